//! Events that were stored, read again in the order in which they were.

use pgrx::pg_sys::{INT8OID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::fact::{Fact, Origin};
use crate::pg::plan::{Access, Cursor};
use crate::pg::{Row, Session, Statement, datum, session};
use crate::policy::MOST_MERGED;

thread_local! {
    static EVENTS: Statement = const { Statement::new(
        "SELECT e.ordinal, e.at, e.type, e.action, e.surface, e.value, e.attributes \
           FROM decide.event AS e WHERE e.user_key = $1 AND e.ordinal > $2 AND ($3 IS NULL OR e.received_at > $3) ORDER BY e.ordinal, e.event_id, e.at",
        &[UUIDOID, INT8OID, TIMESTAMPTZOID]) };
    static MERGED: Statement = const { Statement::new(
        "SELECT m.merged_into, m.events_before FROM decide.user_merge AS m WHERE m.user_key = $1", &[UUIDOID]) };
}

/// Events that are in memory at a time.
const PAGE: i64 = 1_000;

/// The events of a user, from the first to the last.
pub struct Stored {
    cursor: Cursor,
    /// How many events of another user come before them.
    before: i64,
}

impl Stored {
    /// Those with ordinals above `after`; where the person was erased, those that have come since.
    pub fn of(user_key: Uuid, after: i64, not_before: Option<i64>, access: Access) -> Stored {
        let not_before = not_before.and_then(datum::timestamp);
        let args = [datum::uuid(user_key), datum::int8(after), not_before];
        Stored {
            cursor: EVENTS.with(|statement| statement.cursor(access, &args)),
            before: 0,
        }
    }

    /// All of a user, also where these have become another's by now; `not_before` says since when of that one.
    pub fn once_of(user_key: Uuid, not_before: impl Fn(Uuid) -> Option<i64>) -> Stored {
        let (mut living, mut before) = (user_key, 0);
        for _ in 0..MOST_MERGED {
            let mut merged = None;
            MERGED.with(|statement| {
                statement.read(&[datum::uuid(living)], |row| {
                    merged = row.uuid(1).zip(row.get::<i64>(2))
                })
            });
            let Some((into, events)) = merged else { break };
            living = into;
            before += events;
        }
        Stored {
            before,
            ..Stored::of(living, before, not_before(living), Access::Read)
        }
    }

    /// Hands the next ones to `each`, as many as wanted or as there are, with their type and ordinal.
    pub fn read(&mut self, mut wanted: i64, mut each: impl FnMut(&Fact<'_>, &str, i64)) {
        let before = self.before;
        while wanted > 0 {
            session::check_interrupts();
            // What a page has allocated goes with it.
            let _page = Session::open();
            let most = PAGE.min(wanted);
            let rows = self.cursor.fetch(most, |row: Row<'_>| {
                let fact = Fact {
                    at: row.timestamp(2).expect("a key"),
                    action: row.get(4),
                    surface: row.get(5),
                    value: row.get(6),
                    attributes: row.json(7),
                    origin: Origin::Stored,
                };
                each(&fact, row.must(3), row.must::<i64>(1) - before);
            });
            if rows < most {
                return;
            }
            wanted -= rows;
        }
    }
}
