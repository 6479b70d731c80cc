//! Events that were stored, read again in the order in which they were.

use pgrx::pg_sys::{INT8OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::fact::{Fact, Origin};
use crate::pg::plan::Access;
use crate::pg::{Session, Statement, datum, session};

thread_local! {
    static PAGE: Statement = const { Statement::new(
        "SELECT e.ordinal, e.event_id, e.at, e.type, e.action, e.surface, e.value, e.attributes \
           FROM decide.event AS e \
          WHERE e.user_key = $1 AND (e.ordinal, e.event_id, e.at) > ($2, $3, $4) AND e.ordinal <= $5 \
          ORDER BY e.ordinal, e.event_id, e.at LIMIT 1000",
        &[UUIDOID, INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID]) };
}

const PAGE_ROWS: u64 = 1_000;

/// Hands the events of a user with ordinals above `after`, up to `to`, to `each`, with their type and
/// ordinal. By pages, each in memory of its own.
pub fn read(
    user_key: Uuid,
    after: i64,
    to: i64,
    access: Access,
    mut each: impl FnMut(&Fact<'_>, &str, i64),
) {
    let mut last = (after + 1, String::new(), i64::MIN);
    loop {
        session::check_interrupts();
        let _session = Session::open();
        let args = [
            datum::uuid(user_key),
            datum::int8(last.0),
            datum::text(&last.1),
            datum::timestamp(last.2),
            datum::int8(to),
        ];
        let mut one = |row: crate::pg::Row<'_>| {
            let at = row.timestamp(3).expect("a key");
            last = (row.must(1), row.must(2), at);
            let fact = Fact {
                at,
                action: row.get(5),
                surface: row.get(6),
                value: row.get(7),
                attributes: row.json(8),
                origin: Origin::Stored,
            };
            each(&fact, row.must(4), last.0);
        };
        let rows = PAGE.with(|statement| match access {
            Access::Read => statement.read(&args, &mut one),
            Access::Write => statement.write(&args, &mut one),
        });
        if rows < PAGE_ROWS {
            return;
        }
    }
}
