//! Events that were stored, read again in the order in which they were.

use pgrx::pg_sys::{INT8OID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::fact::{Fact, Origin};
use crate::pg::plan::{Access, Cursor};
use crate::pg::{Row, Session, Statement, datum, session};

thread_local! {
    static EVENTS: Statement = const { Statement::new(
        "SELECT e.ordinal, e.at, e.type, e.action, e.surface, e.value, e.attributes \
           FROM decide.event AS e WHERE e.user_key = $1 AND e.ordinal > $2 AND ($3 IS NULL OR e.received_at > $3) ORDER BY e.ordinal, e.event_id, e.at",
        &[UUIDOID, INT8OID, TIMESTAMPTZOID]) };
}

/// Events that are in memory at a time.
const PAGE: i64 = 1_000;

/// The events of a user, from the first to the last.
pub struct Stored(Cursor);

impl Stored {
    /// Those with ordinals above `after`; where the person was erased, those that have come since.
    pub fn of(user_key: Uuid, after: i64, not_before: Option<i64>, access: Access) -> Stored {
        let not_before = not_before.and_then(datum::timestamp);
        let args = [datum::uuid(user_key), datum::int8(after), not_before];
        Stored(EVENTS.with(|statement| statement.cursor(access, &args)))
    }

    /// Hands the next ones to `each`, as many as wanted or as there are, with their type and ordinal.
    pub fn read(&mut self, mut wanted: i64, mut each: impl FnMut(&Fact<'_>, &str, i64)) {
        while wanted > 0 {
            session::check_interrupts();
            // What a page has allocated goes with it.
            let _page = Session::open();
            let most = PAGE.min(wanted);
            let rows = self.0.fetch(most, |row: Row<'_>| {
                let fact = Fact {
                    at: row.timestamp(2).expect("a key"),
                    action: row.get(4),
                    surface: row.get(5),
                    value: row.get(6),
                    attributes: row.json(7),
                    origin: Origin::Stored,
                };
                each(&fact, row.must(3), row.must(1));
            });
            if rows < most {
                return;
            }
            wanted -= rows;
        }
    }
}
