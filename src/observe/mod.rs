//! Facts come in: an event is checked, stored once, and folded into the features of its user, of its action
//! and of its surface.

mod ahead;
pub mod backfill;
mod consistency;
mod contract;
mod decided;
mod entity;
mod exposure;
mod fact;
mod features;
pub mod inbox;
mod keys;
mod patience;
mod quarantine;
mod shown;
mod store;
mod stored;
mod text;
mod verbs;

use std::rc::Rc;

use uuid::Uuid;

use ahead::Ahead;
pub use contract::Who;
use contract::{Bad, Event, Sender, Terms};
use entity::Additions;
use fact::Fact;

use crate::error::Error;
use crate::govern::pseudonym::{self, Key};
use crate::pg::json::Json;
use crate::pg::locked::{Locked, Wait};
use crate::pg::{Session, clock, session};
use crate::policy::{self, Bundle, UserRow};
use crate::settings;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Accepted,
    Duplicate,
    Quarantined,
}

impl Taken {
    pub fn as_str(self) -> &'static str {
        match self {
            Taken::Accepted => "accepted",
            Taken::Duplicate => "duplicate",
            Taken::Quarantined => "quarantined",
        }
    }

    /// Its place in a row of counts.
    pub fn place(self) -> usize {
        self as usize
    }
}

/// Takes in one event that came in at `received`. A bad one is quarantined with every reason; it is
/// an error, and nothing is kept, only if `strict`.
pub fn take(event: &Json<'_>, who: Who, received: i64, strict: bool) -> Result<Taken, Error> {
    let desk = Desk::open(Sender::Client)?;
    let _session = Session::open();
    desk.take(event, who, received)
        .or_else(|bad| refused(&bad, received, strict))
}

/// The same for what is no document at all.
pub fn take_unreadable(reason: &str, received: i64, strict: bool) -> Result<Taken, Error> {
    let _desk = Desk::open(Sender::Client)?;
    let _session = Session::open();
    refused(&Bad::unreadable(reason), received, strict)
}

fn refused(bad: &Bad<'_>, received: i64, strict: bool) -> Result<Taken, Error> {
    if strict {
        return Err(Error::BadEvent(bad.reasons.clone(), None));
    }
    quarantine::keep(bad, received);
    Ok(Taken::Quarantined)
}

/// Takes in many events, each a document or the reason why it is none; what came of them, as counts
/// by [`Taken::place`].
pub fn take_all<'a>(
    events: impl Iterator<Item = Result<Json<'a>, &'static str>>,
    strict: bool,
    sender: Sender,
) -> Result<[i64; 3], Error> {
    let desk = Desk::open(sender)?;
    let (mut good, mut bad) = (Vec::new(), 0);
    for (i, event) in events.enumerate() {
        let received = clock::now();
        let read = event
            .map_err(Bad::unreadable)
            .and_then(|event| desk.read(&event, Who::Named, received));
        match read {
            Ok(event) => good.push(event),
            Err(fault) => {
                let _session = Session::open();
                refused(&fault, received, strict).map_err(|error| error.of_event(i + 1))?;
                bad += 1;
            }
        }
        session::check_interrupts();
    }
    let ([accepted, duplicate], _) = desk.put_all(good, Wait::ForIt);
    Ok([accepted, duplicate, bad])
}

/// What it takes to take in events: the bundle in force and the key of pseudonyms.
struct Desk {
    bundle: Rc<Bundle>,
    key: Rc<Key>,
    sender: Sender,
}

impl Desk {
    fn open(sender: Sender) -> Result<Desk, Error> {
        let bundle = policy::live()?;
        let key = pseudonym::key()?;
        Ok(Desk {
            bundle,
            key,
            sender,
        })
    }

    /// Takes in a good event, or says what is wrong with it. Needs an open session.
    fn take<'a>(&'a self, event: &Json<'a>, who: Who, received: i64) -> Result<Taken, Bad<'a>> {
        let event = self.read(event, who, received)?;
        let mut additions = Additions::default();
        let locked = patience::for_user(|| UserRow::lock(event.user_key));
        let [accepted, _] = self.put(event.user_key, locked, &[event], &mut additions);
        additions.write();
        Ok(match accepted {
            0 => Taken::Duplicate,
            _ => Taken::Accepted,
        })
    }

    /// Reads an event, or says what is wrong with it.
    fn read<'a>(&'a self, event: &Json<'a>, who: Who, received: i64) -> Result<Event<'a>, Bad<'a>> {
        let terms = Terms {
            bundle: &self.bundle,
            key: &self.key,
            received,
            now: clock::now(),
            sender: self.sender,
        };
        let read = Event::read(event, who, &terms)?;
        match !settings::require_decision() || decided::is_the_users(&read) {
            true => Ok(read),
            false => Err(Bad {
                kind: Some(read.kind),
                user_key: Some(read.user_key),
                payload: Some(*event),
                ..Bad::unreadable("unknown_decision: decision_id")
            }),
        }
    }

    /// Takes in events of one user, whose row is locked, and is written once; what they add to actions and
    /// surfaces is gathered. How many were accepted, and how many were duplicates. Needs an open session.
    fn put(
        &self,
        user_key: Uuid,
        (mut row, locked): (UserRow, Locked),
        events: &[Event<'_>],
        additions: &mut Additions,
    ) -> [i64; 2] {
        // While it waited, another feature may have come that all events from then on count in.
        let bundle = policy::live().unwrap_or_else(|_| self.bundle.clone());
        let (mut accepted, mut keys) = (0, Vec::new());
        for event in events {
            session::check_interrupts();
            let fact = event.fact(&bundle);
            if !store::event(event, &fact, &bundle, row.events + 1) {
                continue;
            }
            accepted += 1;
            keys.extend(count_in(event, &fact, &bundle, &mut row));
            additions.fold(&fact, event.kind, &bundle);
            if let Some(decision_id) = event.decision_id {
                store::outcome(event, decision_id, &bundle);
            }
        }
        if accepted > 0 {
            row.write(user_key, locked);
            keys::remember(keys);
        }
        [accepted, events.len() as i64 - accepted]
    }

    /// The same where all has been found out ahead; None, and nothing, if it does not hold any more.
    fn put_ahead(
        &self,
        ahead: Ahead,
        events: &[Event<'_>],
        wait: Wait,
        additions: &mut Additions,
    ) -> Option<[i64; 2]> {
        let (user_key, of) = (events[0].user_key, events.len() as i64);
        if ahead.new.is_empty() {
            return Some([0, of]);
        }
        let over = || ahead.row.write_over(user_key, ahead.version, wait);
        let locked = patience::for_user(over)?;
        // While it waited, another feature may have come that all events from then on count in.
        let bundle = &self.bundle;
        if !policy::live().is_ok_and(|live| Rc::ptr_eq(&live, bundle)) {
            UserRow::in_version(ahead.version).write(user_key, locked);
            return None;
        }
        let (mut stored, mut ordinal) = (Vec::with_capacity(ahead.new.len()), ahead.before);
        for &i in &ahead.new {
            session::check_interrupts();
            let event = &events[i];
            let fact = event.fact(bundle);
            if !store::add(event, &fact, bundle, ordinal + 1, true) {
                continue;
            }
            ordinal += 1;
            stored.push(event);
            additions.fold(&fact, event.kind, bundle);
            if let Some(decision_id) = event.decision_id {
                store::outcome(event, decision_id, bundle);
            }
        }
        // Somebody may have stored one of them by hand.
        if stored.len() < ahead.new.len() {
            ahead::counted(ahead.version, &stored, bundle).write(user_key, locked);
        }
        keys::remember(ahead.keys);
        let accepted = stored.len() as i64;
        Some([accepted, of - accepted])
    }

    /// Takes in events of many users: user by user in one order for all, so that nobody who does the
    /// same waits for the other in a circle. Rows are locked when nothing is left to do but to write. How many
    /// were accepted, how many were duplicates, and the users whose rows others have and were not waited for:
    /// nothing of theirs was taken in.
    fn put_all(&self, mut events: Vec<Event<'_>>, wait: Wait) -> ([i64; 2], Vec<Uuid>) {
        events.sort_by_key(|event| event.user_key);
        let users: Vec<&[Event]> = events.chunk_by(|a, b| a.user_key == b.user_key).collect();
        let (mut counts, mut additions, mut held) = ([0; 2], Additions::default(), Vec::new());
        for users in users.chunks(AHEAD) {
            let ahead: Vec<Option<Ahead>> = users
                .iter()
                .map(|events| Ahead::look(events, &self.bundle))
                .collect();
            for (&events, ahead) in users.iter().zip(ahead) {
                let _session = Session::open();
                let user_key = events[0].user_key;
                let put =
                    ahead.and_then(|ahead| self.put_ahead(ahead, events, wait, &mut additions));
                let put = put.or_else(|| {
                    let locked = match wait {
                        Wait::ForIt => Some(patience::for_user(|| UserRow::lock(user_key))),
                        Wait::Never => UserRow::lock_free(user_key),
                    };
                    Some(self.put(user_key, locked?, events, &mut additions))
                });
                match put {
                    Some([accepted, duplicate]) => {
                        counts = [counts[0] + accepted, counts[1] + duplicate];
                    }
                    None => held.push(user_key),
                }
                session::check_interrupts();
            }
        }
        let _session = Session::open();
        additions.write();
        (counts, held)
    }
}

/// Counts an event that is new in the row of its user; the texts of keys. Needs an open session.
fn count_in(event: &Event<'_>, fact: &Fact<'_>, bundle: &Bundle, row: &mut UserRow) -> Vec<String> {
    row.events += 1;
    let keys = features::fold(fact, event.kind, row, bundle);
    exposure::count(event, bundle, row);
    keys
}

/// Of how many users all is found out ahead.
const AHEAD: usize = 1000;
