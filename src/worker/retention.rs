//! Days that are over: their partitions go, and what the default ones have of them.

use pgrx::pg_sys::{TEXTOID, TIMESTAMPTZOID};

use super::Step;
use crate::error::Error;
use crate::pg::{Statement, clock, datum};
use crate::settings;

thread_local! {
    static EXPIRE: Statement = const { Statement::new(
        "SELECT decide.expire($1, $2, $3)", &[TEXTOID, TEXTOID, TIMESTAMPTZOID]) };
}

/// One partition, or some rows of a default one.
pub fn step() -> Result<Step, Error> {
    let events = settings::event_retention();
    let traces = settings::trace_retention();
    for (parent, key, days) in [
        ("event", "at", events),
        ("trace", "decided_at", traces),
        ("outcome", "decided_at", traces),
    ] {
        let Some(days) = days else { continue };
        let before = clock::now() - days * clock::DAY;
        let rows = expire(parent, key, before);
        if rows > 0 {
            return Ok(Step { rows, more: true });
        }
    }
    Ok(Step {
        rows: 0,
        more: false,
    })
}

fn expire(parent: &str, key: &str, before: i64) -> i64 {
    let args = [
        datum::text(parent),
        datum::text(key),
        datum::timestamp(before),
    ];
    let mut rows = 0;
    EXPIRE.with(|statement| statement.write(&args, |row| rows = row.must(1)));
    rows
}

pub fn says(rows: i64) -> String {
    format!("{rows} partitions and rows without one dropped")
}
