//! Facts come in. The way of an event:
//!
//! 1. `contract`: the event is read, and must look as the contract of its type says. An invalid one goes into the
//!    `quarantine` with every reason, from where `release` tracks it again.
//! 2. `refusal`: what must not be kept is only counted.
//! 3. `store`: it is stored once; a second event of its name is a duplicate and changes nothing.
//! 4. `features`: it is added to the features in the row of its user (`keys` keeps the texts of their keys), and
//!    `entity` adds it to those of its action and of its surface.
//! 5. `exposure`: it counts in the caps of its user, and confirms what its `decision` has reserved.
//! 6. `outcome`: it is joined to its decision.
//!
//! `batch` takes in many events, `inbox` those that COPY has brought, and `prepare` does for a user what can be done
//! before the row is locked. `backfill` and `consistency` read the events again that are `stored`. `merge`
//! makes one user of two.

mod action;
pub mod backfill;
mod batch;
mod consent;
mod consistency;
mod contract;
mod decision;
mod entity;
mod exposure;
mod fact;
mod features;
pub mod inbox;
mod keys;
mod lock_timeout;
mod merge;
mod outcome;
mod prepare;
mod quarantine;
mod receipt;
mod refusal;
mod release;
mod store;
mod stored;
mod text;
mod verbs;

use std::rc::Rc;

pub use consent::Consent;
pub use contract::parse_time;
use contract::{Arrival, Event, Invalid, Reason};
use entity::Additions;
use fact::Fact;
use lock_timeout::waiting_for_user;
pub use merge::move_person;
pub use outcome::Outcome;
use receipt::{Counts, Receipt};
use refusal::{Refusal, Refused, refuses_all};

use uuid::Uuid;

use crate::error::Error;
use crate::govern::pseudonym::{self, Keys};
use crate::pg::json::Json;
use crate::pg::locked::Locked;
use crate::pg::{clock, session};
use crate::policy::{self, Bundle, UserRow};
use crate::settings;

/// What it takes to take in events: the bundle in force and the keys of pseudonyms.
struct Ingest {
    bundle: Rc<Bundle>,
    keys: Rc<Keys>,
}

impl Ingest {
    fn open() -> Result<Ingest, Error> {
        Ok(Ingest {
            bundle: policy::live()?,
            keys: pseudonym::keys()?,
        })
    }

    /// Takes in a valid event, or says what is wrong with it.
    fn take<'a>(&'a self, event: &Json<'a>, arrival: &Arrival<'_>) -> Result<Receipt, Invalid<'a>> {
        let mut event = [self.read(event, arrival)?];
        let mut gathered = Gathered::default();
        let counts = match waiting_for_user(|| lock(&event, &self.bundle, &mut gathered.refused)) {
            Some((living, row, locked)) => {
                event[0].user_key = living;
                self.put(row, locked, &event, &mut gathered)
            }
            None => Counts::of_refused(1),
        };
        gathered.write();
        Ok(counts.receipt())
    }

    /// Reads an event, or says what is wrong with it.
    fn read<'a>(
        &'a self,
        event: &Json<'a>,
        arrival: &Arrival<'_>,
    ) -> Result<Event<'a>, Invalid<'a>> {
        let read = contract::read(event, arrival, &self.bundle, &self.keys, clock::now())?;
        match !settings::require_decision() || decision::is_of_user(&read) {
            true => Ok(read),
            false => Err(Invalid {
                kind: Some(read.kind),
                user_key: Some(read.user_key),
                payload: Some(*event),
                ..Invalid::with(Reason::UnknownDecision.about("decision_id"))
            }),
        }
    }

    /// Takes in events of one user, whose row is locked. The row is written once; what the events add to actions and
    /// surfaces, and what is refused, is gathered.
    fn put(
        &self,
        mut row: UserRow,
        locked: Locked,
        events: &[Event<'_>],
        gathered: &mut Gathered,
    ) -> Counts {
        // While the lock was waited for, a feature may have been staged in which all events from then on count.
        let bundle = policy::live().unwrap_or_else(|_| self.bundle.clone());
        let (mut counts, mut keys) = (Counts::default(), Vec::new());
        for event in events {
            session::check_interrupts();
            if let Some(refusal) = Refusal::of(event, &row, &bundle) {
                gathered.refused.note(refusal, event.kind);
                counts.add(Receipt::Refused);
                continue;
            }
            let fact = event.fact(&bundle);
            if !store::store(event, &fact, &bundle, row.events + 1) {
                counts.add(Receipt::Duplicate);
                continue;
            }
            counts.add(Receipt::Accepted);
            keys.extend(add_to_user(event, &fact, &bundle, &mut row));
            consent::of_event(event, &bundle, &mut row);
            gathered.additions.add(&fact, event.kind, &bundle);
            outcome::store(event, decision::owner(event, &row), &bundle);
            outcome::queue(event, &bundle);
        }
        if counts.accepted > 0 {
            row.write(events[0].user_key, locked);
            keys::remember(keys);
        } else if counts.refused > 0 && row.is_blank() {
            // It was made for these events, while the person was erased.
            UserRow::delete(events[0].user_key);
        }
        counts
    }
}

/// What a call gathers, to be written once.
#[derive(Default)]
struct Gathered {
    /// For actions and surfaces.
    additions: Additions,
    refused: Refused,
}

impl Gathered {
    fn write(&mut self) {
        self.additions.write();
        self.refused.write();
    }
}

/// Locks the row of the user of these events, or of the one into whom they were merged, or makes one; whose it is. None
/// where there is none, and all events are refused.
fn lock(
    events: &[Event<'_>],
    bundle: &Bundle,
    refused: &mut Refused,
) -> Option<(Uuid, UserRow, Locked)> {
    let user_key = events[0].user_key;
    if let Some(found) = UserRow::lock_existing(user_key) {
        return Some(UserRow::living_of(user_key, found));
    }
    (!refuses_all(user_key, events, bundle, refused)).then(|| UserRow::lock_living(user_key))
}

/// Adds a new event to the row of its user; the texts of the keys under which features have counted it. Needs an open
/// session, and the outcome must not be stored yet.
fn add_to_user(
    event: &Event<'_>,
    fact: &Fact<'_>,
    bundle: &Bundle,
    row: &mut UserRow,
) -> Vec<String> {
    row.events += 1;
    let keys = features::fold(fact, event.kind, row, bundle);
    exposure::count(event, bundle, row);
    keys
}

/// Quarantines an invalid event; if `strict`, it is an error and nothing is kept.
fn reject(invalid: &Invalid<'_>, received: i64, strict: bool) -> Result<Receipt, Error> {
    if strict {
        return Err(Error::BadEvent(invalid.reasons.clone(), None));
    }
    Ok(match quarantine::keep(invalid, received) {
        true => Receipt::Quarantined,
        false => Receipt::Refused,
    })
}
