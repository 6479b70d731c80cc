//! Facts come in: an event is checked, stored once, and folded into the features of its user, of its action
//! and of its surface.

mod contract;
mod entity;
mod fact;
mod features;
pub mod inbox;
mod keys;
mod quarantine;
mod store;
mod text;
mod user;
mod verbs;

use std::rc::Rc;

pub use contract::Who;
use contract::{Bad, Event, Terms};
use user::UserRow;

use crate::error::Error;
use crate::govern::pseudonym::{self, Key};
use crate::pg::json::Json;
use crate::pg::{Session, clock};
use crate::policy::{self, Bundle};

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
    let desk = Desk::open()?;
    let _session = Session::open();
    desk.take(event, who, received)
        .or_else(|bad| refused(&bad, received, strict))
}

/// The same for what is no document at all.
pub fn take_unreadable(reason: &str, received: i64, strict: bool) -> Result<Taken, Error> {
    let _desk = Desk::open()?;
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

/// What it takes to take in events: the bundle in force and the key of pseudonyms.
struct Desk {
    bundle: Rc<Bundle>,
    key: Rc<Key>,
}

impl Desk {
    fn open() -> Result<Desk, Error> {
        let bundle = policy::live()?;
        let key = pseudonym::key()?;
        Ok(Desk { bundle, key })
    }

    /// Takes in a good event, or says what is wrong with it. Needs an open session.
    fn take<'a>(&'a self, event: &Json<'a>, who: Who, received: i64) -> Result<Taken, Bad<'a>> {
        let terms = Terms {
            bundle: &self.bundle,
            key: &self.key,
            received,
            now: clock::now(),
        };
        let event = Event::read(event, who, &terms)?;
        let mut row = UserRow::lock(event.user_key);
        let fact = event.fact(&self.bundle);
        if !store::event(&event, &fact, &self.bundle, received, row.events + 1) {
            return Ok(Taken::Duplicate);
        }
        let keys = features::fold(&fact, event.kind, &mut row, &self.bundle);
        row.events += 1;
        row.write(event.user_key);
        keys::remember(keys);
        entity::fold(&fact, event.kind, &self.bundle);
        if let Some(decision_id) = event.decision_id {
            store::outcome(&event, decision_id);
        }
        Ok(Taken::Accepted)
    }
}
