//! Requests whose answers cannot be had again any more.

use pgrx::pg_sys::{INT8OID, TIMESTAMPTZOID};

use super::job::{Run, Step};
use crate::decide::REQUESTS_KEPT;
use crate::error::Error;
use crate::pg::{Statement, clock, datum};

thread_local! {
    static EXPIRE: Statement = const { Statement::new(
        "DELETE FROM decide.request AS r WHERE r.ctid = ANY (ARRAY( \
           SELECT o.ctid FROM decide.request AS o WHERE o.requested_at < $1 \
            ORDER BY o.requested_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        &[TIMESTAMPTZOID, INT8OID]) };
}

const BATCH: i64 = 10_000;

pub fn step() -> Result<Step, Error> {
    let before = clock::now() - REQUESTS_KEPT;
    let args = [datum::timestamp(before), datum::int8(BATCH)];
    let rows = EXPIRE.with(|statement| statement.write(&args, |_| {})) as i64;
    Ok(Step::of_batch(rows, BATCH))
}

pub fn report(run: &Run) -> String {
    format!("{} requests deleted", run.rows)
}
