//! What can be found out about the events of a user before their row is locked: which are new, and what
//! the row will be. It holds as long as the row is the same.

use std::collections::BTreeSet;

use super::contract::Event;
use super::{count_in, exposure, store};
use crate::pg::version::Version;
use crate::pg::{Session, session};
use crate::policy::{Bundle, UserRow};

/// What will be written, if the row still is what was looked at.
pub struct Ahead {
    pub version: Version,
    /// How many events were in it.
    pub before: i64,
    /// Places of the events that are new.
    pub new: Vec<usize>,
    /// The row with these in it, and the texts of keys.
    pub row: UserRow,
    pub keys: Vec<String>,
}

impl Ahead {
    /// Looks at the events of one user; None where it takes the lock to know.
    pub fn look(events: &[Event<'_>], bundle: &Bundle) -> Option<Ahead> {
        let _session = Session::open();
        let (mut row, version) = UserRow::newest(events[0].user_key)?;
        let before = row.events;
        let (mut new, mut keys): (Vec<usize>, Vec<String>) = Default::default();
        let mut moments: BTreeSet<(&str, i64)> = BTreeSet::new();
        for (i, event) in events.iter().enumerate() {
            session::check_interrupts();
            // Whether it confirms what a decision has reserved is asked of the outcomes stored before it.
            if exposure::follows(event) {
                return None;
            }
            let (first, last) = store::horizon(event);
            let id: &str = &event.event_id;
            let mut same = moments.range((id, first)..=(id, last));
            if store::is_there(event)? || same.next().is_some() {
                continue;
            }
            moments.insert((id, event.at));
            let fact = event.fact(bundle);
            keys.extend(count_in(event, &fact, bundle, &mut row));
            new.push(i);
        }
        Some(Ahead {
            version,
            before,
            new,
            row,
            keys,
        })
    }
}

/// The row of a user with these events in it. Needs an open session.
pub fn counted(version: Version, events: &[&Event<'_>], bundle: &Bundle) -> UserRow {
    let mut row = UserRow::in_version(version);
    for event in events {
        count_in(event, &event.fact(bundle), bundle, &mut row);
    }
    row
}
