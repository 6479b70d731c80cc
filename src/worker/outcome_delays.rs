//! Delays of outcomes are fitted anew.

use pgrx::pg_sys::{INT8OID, TIMESTAMPTZOID};

use super::job::{Run, Step};
use crate::error::Error;
use crate::pg::{Statement, clock, datum};
use crate::settings;

thread_local! {
    static FIT: Statement = const { Statement::new(
        "SELECT decide.fit_delays($1, $2)", &[TIMESTAMPTZOID, INT8OID]) };
}

/// About how many decisions are looked at: of more, a sample.
const DECISIONS: i64 = 500_000;

pub fn step() -> Result<Step, Error> {
    let upto = clock::now() - settings::attribution_lag();
    let (mut fitted, args) = (0, [datum::timestamp(upto), datum::int8(DECISIONS)]);
    FIT.with(|statement| statement.write(&args, |row| fitted = row.must::<i64>(1)));
    Ok(Step::last(fitted))
}

pub fn report(run: &Run) -> String {
    format!("{} delays fitted", run.rows)
}
