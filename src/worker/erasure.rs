//! Persons who were erased: their rows are deleted from every table, in one pass for all who wait.
//!
//! A pass begins for those persons for whom all transactions have ended that were open when the job first saw them: what
//! these have written of the person is visible by then. Its progress is in decide.erasure_part, so that it goes on where
//! it was, whatever happens to the worker.

use pgrx::pg_sys::{TEXTARRAYOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::budgets;
use super::job::{Run, Step, Steps};
use crate::error::Error;
use crate::pg::{Statement, clock, datum};
use crate::settings;

thread_local! {
    static BEGIN: Statement = const { Statement::new("SELECT decide.begin_erasure()", &[]) };
    static NEXT: Statement = const { Statement::new(
        "SELECT n.part, n.rows, n.state FROM decide.erase_next($1, $2, $3) AS n", &[UUIDOID, TIMESTAMPTZOID, TEXTARRAYOID]) };
    static FINISH: Statement = const { Statement::new(
        "SELECT decide.finish_erasure($1, $2)", &[UUIDOID, TEXTARRAYOID]) };
    static TIDY: Statement = const { Statement::new("SELECT decide.tidy_erasures($1)", &[TIMESTAMPTZOID]) };
}

/// What a run remembers from step to step.
#[derive(Default)]
struct Pass {
    pass: Option<Uuid>,
    /// Tables and partitions in which rows wait for reservations of budgets.
    skipped: Vec<Option<String>>,
}

pub fn start() -> Steps {
    let mut pass = Pass::default();
    Box::new(move || step(&mut pass))
}

/// One table or partition, or some rows of it.
fn step(run: &mut Pass) -> Result<Step, Error> {
    let Some(pass) = run.pass else {
        BEGIN.with(|statement| statement.write(&[], |row| run.pass = row.uuid(1)));
        return Ok(match run.pass {
            Some(_) => Step::with_more(0),
            None => Step::last(tidy()),
        });
    };
    let args = [
        datum::uuid(pass),
        datum::timestamp(budgets::unsettled_since()),
        datum::texts(&run.skipped),
    ];
    let (mut part, mut rows, mut state) = (None::<String>, 0, String::new());
    NEXT.with(|statement| {
        statement.write(&args, |row| {
            part = row.get(1);
            rows = row.must(2);
            state = row.must(3);
        })
    });
    match state.as_str() {
        "waits" => run.skipped.push(part),
        "none" => {
            let args = [datum::uuid(pass), datum::texts(&run.skipped)];
            FINISH.with(|statement| statement.write(&args, |_| {}));
            let waits = !run.skipped.is_empty();
            *run = Pass::default();
            // Others may have come meanwhile; but where rows wait, the pass goes on with the next run.
            return Ok(match waits {
                true => Step::last(tidy()),
                false => Step::with_more(0),
            });
        }
        _ => {}
    }
    Ok(Step::with_more(rows))
}

/// Deletes tombstones whose time is over.
fn tidy() -> i64 {
    let before = match settings::tombstone_retention() {
        Some(days) => clock::now() - days * clock::DAY,
        None => i64::MIN,
    };
    let mut expired = 0;
    TIDY.with(|statement| {
        statement.write(&[datum::timestamp(before)], |row| expired = row.must(1))
    });
    expired
}

pub fn report(run: &Run) -> String {
    format!("{} rows of erased persons deleted", run.rows)
}
