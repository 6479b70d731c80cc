//! Many events at a time: checked one by one, and taken in user by user.

use std::rc::Rc;

use uuid::Uuid;

use super::contract::{Arrival, Event, EventUser, Invalid, Reason, Sender};
use super::lock_timeout::waiting_for_user;
use super::prepare::{Prepared, add_all};
use super::receipt::{Counts, Receipt};
use super::refusal::refuses_all;
use super::{Gathered, Ingest, keys, lock, outcome, reject, store};
use crate::error::Error;
use crate::pg::json::Json;
use crate::pg::locked::{NotLocked, Wait};
use crate::pg::{Session, clock, session};
use crate::policy::{self, Bundle, MOST_MERGED, UserRow};

/// Takes in many events, each a document or the reason why it is none.
pub fn take_all<'a>(
    events: impl Iterator<Item = Result<Json<'a>, Reason>>,
    strict: bool,
    sender: Sender,
) -> Result<Counts, Error> {
    let ingest = Ingest::open()?;
    let (mut valid, mut counts) = (Vec::new(), Counts::default());
    for (i, event) in events.enumerate() {
        let arrival = Arrival {
            user: EventUser::ByUserId,
            sender,
            received: clock::now(),
            done: &[],
        };
        let read = event
            .map_err(Invalid::because)
            .and_then(|event| ingest.read(&event, &arrival));
        match read {
            Ok(event) => valid.push(event),
            Err(invalid) => {
                let _session = Session::open();
                let rejected = reject(&invalid, arrival.received, strict);
                counts.add(rejected.map_err(|error| error.of_event(i + 1))?);
            }
        }
        session::check_interrupts();
    }
    counts += put_all(&ingest, valid, Wait::ForIt).counts;
    Ok(counts)
}

/// What became of the valid events of a batch.
pub struct Batch {
    pub counts: Counts,
    /// Users whose rows other transactions have locked and were not waited for: none of their events was taken in.
    pub locked_users: Vec<Uuid>,
}

/// Users whose events are prepared together, before any of their rows is locked.
const PREPARED: usize = 1000;

/// Takes in events of many users: user by user, in one order for all sessions, so that two of them cannot wait for
/// each other. Features are computed before the row is locked; storing the events happens under the lock.
pub fn put_all(ingest: &Ingest, mut events: Vec<Event<'_>>, wait: Wait) -> Batch {
    events.sort_by_key(|event| event.user_key);
    let (mut counts, mut locked_users) = (Counts::default(), Vec::new());
    let (mut gathered, mut merged) = (Gathered::default(), Merged::default());
    let mut rest = &mut events[..];
    while !rest.is_empty() {
        let users = rest.chunk_by(|a, b| a.user_key == b.user_key);
        let length = users.take(PREPARED).map(|events| events.len()).sum();
        let (some, others) = rest.split_at_mut(length);
        rest = others;
        let prepared = prepare(some, &ingest.bundle, &mut merged);
        let users = some.chunk_by_mut(|a, b| a.user_key == b.user_key);
        for (events, prepared) in users.zip(prepared) {
            let _session = Session::open();
            let user_key = events[0].user_key;
            let put = prepared
                .and_then(|prepared| put_prepared(ingest, prepared, events, wait, &mut gathered));
            let put = put.or_else(|| {
                let refused = &mut gathered.refused;
                let locked = match wait {
                    Wait::ForIt => waiting_for_user(|| lock(events, &ingest.bundle, refused)),
                    Wait::Never => match UserRow::lock_if_free(user_key) {
                        Ok(found) => Some(UserRow::living_if_free(user_key, found)?),
                        Err(NotLocked::Absent)
                            if refuses_all(user_key, events, &ingest.bundle, refused) =>
                        {
                            None
                        }
                        Err(_) => Some(UserRow::lock_living_free(user_key)?),
                    },
                };
                Some(match locked {
                    Some((living, row, locked)) => {
                        merged.give(events, living);
                        ingest.put(row, locked, events, &mut gathered)
                    }
                    None => Counts::of_refused(events.len()),
                })
            });
            match put {
                Some(of_user) => counts += of_user,
                None => locked_users.extend(merged.all_of(user_key)),
            }
            session::check_interrupts();
        }
    }
    let _session = Session::open();
    gathered.write();
    Batch {
        counts,
        locked_users,
    }
}

/// Users of events who were found to be merged into others.
#[derive(Default)]
struct Merged(Vec<(Uuid, Uuid)>);

impl Merged {
    /// Makes the events of one user those of another.
    fn give(&mut self, events: &mut [Event<'_>], into: Uuid) {
        let from = events[0].user_key;
        if from != into {
            self.0.push((from, into));
            for event in events {
                event.user_key = into;
            }
        }
    }

    /// A user, and all whose events became theirs.
    fn all_of(&self, user_key: Uuid) -> Vec<Uuid> {
        let mut all = vec![user_key];
        // Each was noted before the one into whom they were merged.
        for &(from, into) in self.0.iter().rev() {
            if all.contains(&into) {
                all.push(from);
            }
        }
        all
    }
}

/// Prepares events, user by user. Those of a user who was merged into another become the other's before, so that rows
/// are locked in one order.
fn prepare<'a>(
    events: &mut [Event<'a>],
    bundle: &Bundle,
    merged: &mut Merged,
) -> Vec<Option<Prepared>> {
    let mut rounds = 0;
    loop {
        let users = events.chunk_by(|a, b| a.user_key == b.user_key);
        let prepared: Vec<_> = users.map(|events| Prepared::of(events, bundle)).collect();
        rounds += 1;
        if rounds > MOST_MERGED || prepared.iter().all(Result::is_ok) {
            return prepared.into_iter().map(|of| of.ok().flatten()).collect();
        }
        let users = events.chunk_by_mut(|a, b| a.user_key == b.user_key);
        for (events, prepared) in users.zip(prepared) {
            if let Err(into) = prepared {
                merged.give(events, into);
            }
        }
        events.sort_by_key(|event| event.user_key);
    }
}

/// Takes in events of one user as prepared; None, and nothing is changed, if the row or the bundle is another one by
/// now.
fn put_prepared(
    ingest: &Ingest,
    prepared: Prepared,
    events: &[Event<'_>],
    wait: Wait,
    gathered: &mut Gathered,
) -> Option<Counts> {
    let mut counts = Counts {
        duplicate: (events.len() - prepared.new.len()) as i64,
        ..Counts::default()
    };
    if prepared.new.is_empty() {
        return Some(counts);
    }
    let user_key = events[0].user_key;
    let (bundle, before) = (&ingest.bundle, prepared.before);
    let write = || prepared.row.write_over(user_key, before.version, wait);
    let locked = waiting_for_user(write)?;
    // While the lock was waited for, a feature may have been staged in which all events from then on count.
    if !policy::live().is_ok_and(|live| Rc::ptr_eq(&live, bundle)) {
        UserRow::in_version(before.version).write(user_key, locked);
        return None;
    }
    let mut stored = Vec::with_capacity(prepared.new.len());
    for &i in &prepared.new {
        session::check_interrupts();
        let event = &events[i];
        let fact = event.fact(bundle);
        let ordinal = before.events + stored.len() as i64 + 1;
        if !store::add(event, &fact, bundle, ordinal, true) {
            counts.add(Receipt::Duplicate);
            continue;
        }
        counts.add(Receipt::Accepted);
        stored.push(event);
        gathered.additions.add(&fact, event.kind, bundle);
        outcome::store(event, user_key, bundle);
    }
    // Somebody may have inserted the same event into decide.event meanwhile: the row is computed again without it.
    if stored.len() < prepared.new.len() {
        add_all(before.version, &stored, bundle).write(user_key, locked);
    }
    keys::remember(prepared.keys);
    Some(counts)
}
