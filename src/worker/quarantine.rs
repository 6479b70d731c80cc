//! Invalid events that are older than their retention.

use pgrx::pg_sys::{INT8OID, TIMESTAMPTZOID};

use super::job::{Run, Step};
use crate::error::Error;
use crate::pg::{Statement, clock, datum};
use crate::settings;

thread_local! {
    static EXPIRE: Statement = const { Statement::new(
        "DELETE FROM decide.quarantine AS q WHERE q.quarantine_id = ANY (ARRAY( \
           SELECT o.quarantine_id FROM decide.quarantine AS o WHERE o.received_at < $1 \
            ORDER BY o.received_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        &[TIMESTAMPTZOID, INT8OID]) };
}

const BATCH: i64 = 10_000;

pub fn step() -> Result<Step, Error> {
    let Some(days) = settings::quarantine_retention() else {
        return Ok(Step::last(0));
    };
    let before = clock::now() - days * clock::DAY;
    let args = [datum::timestamp(before), datum::int8(BATCH)];
    let rows = EXPIRE.with(|statement| statement.write(&args, |_| {})) as i64;
    Ok(Step::of_batch(rows, BATCH))
}

pub fn report(run: &Run) -> String {
    format!("{} invalid events deleted", run.rows)
}
