//! What can be done about the events of a user before their row is locked: which of them are new, and what the row
//! will be. It holds as long as the row is the same.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::contract::Event;
use super::refusal::Refusal;
use super::{add_to_user, exposure, store};
use crate::pg::version::Version;
use crate::pg::{Session, session};
use crate::policy::{Bundle, UserRow};

/// What will be written, if the row still is what it was.
pub struct Prepared {
    pub before: Before,
    /// Indexes of the events that are new.
    pub new: Vec<usize>,
    /// The row with these added, and the texts of the keys under which features have counted them.
    pub row: UserRow,
    pub keys: Vec<String>,
}

/// The row as it was read.
#[derive(Clone, Copy)]
pub struct Before {
    pub version: Version,
    /// How many events it had counted.
    pub events: i64,
}

impl Prepared {
    /// Prepares the events of one user; None where the row must be locked first, and the other user where this one
    /// was merged into another.
    pub fn of(events: &[Event<'_>], bundle: &Bundle) -> Result<Option<Prepared>, Uuid> {
        let _session = Session::open();
        match UserRow::newest(events[0].user_key) {
            Some((row, version)) => match row.merged_into {
                None => Ok(Prepared::on(row, version, events, bundle)),
                Some(into) => Err(into),
            },
            None => Ok(None),
        }
    }

    fn on(
        mut row: UserRow,
        version: Version,
        events: &[Event<'_>],
        bundle: &Bundle,
    ) -> Option<Prepared> {
        let before = Before {
            version,
            events: row.events,
        };
        let (mut new, mut keys): (Vec<usize>, Vec<String>) = Default::default();
        let mut seen: BTreeSet<(&str, i64)> = BTreeSet::new();
        for (i, event) in events.iter().enumerate() {
            session::check_interrupts();
            // Whether it confirms a reservation depends on the outcomes that are stored before it; what is refused is
            // counted, and a consent recorded, under the lock.
            let of_others = event.decision_id.is_some() && !row.merged_from.is_empty();
            let needs_lock =
                exposure::may_confirm(event) || event.contract.sets_consent || of_others;
            if needs_lock || Refusal::of(event, &row, bundle).is_some() {
                return None;
            }
            let (first, last) = store::horizon(event);
            let id: &str = &event.event_id;
            let mut same = seen.range((id, first)..=(id, last));
            if store::is_there(event)? || same.next().is_some() {
                continue;
            }
            seen.insert((id, event.at));
            let fact = event.fact(bundle);
            keys.extend(add_to_user(event, &fact, bundle, &mut row));
            new.push(i);
        }
        Some(Prepared {
            before,
            new,
            row,
            keys,
        })
    }
}

/// The row of a user with these events added.
pub fn add_all(version: Version, events: &[&Event<'_>], bundle: &Bundle) -> UserRow {
    let mut row = UserRow::in_version(version);
    for event in events {
        add_to_user(event, &event.fact(bundle), bundle, &mut row);
    }
    row
}
