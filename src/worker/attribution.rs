//! Events are credited to the decisions that they follow from.
//!
//! A run goes up to the time before which all decisions are known to be committed. Each step is a whole by itself: it takes
//! events out of the queue and writes what has become of them, so that nothing is lost or done twice wherever it ends.

use pgrx::pg_sys::{INT4OID, INT8OID, TIMESTAMPTZOID};

use super::job::{Run, Step, Steps};
use crate::error::Error;
use crate::pg::{Statement, clock, datum};
use crate::settings;

thread_local! {
    static SETTLED: Statement = const { Statement::new(
        "SELECT decide.settled_before(pg_catalog.make_interval(secs => $1 / 1000000.0))", &[INT8OID]) };
    static COPY: Statement = const { Statement::new(
        "SELECT c.decisions, c.settled FROM decide.copy_decisions($1, $2) AS c", &[TIMESTAMPTZOID, INT4OID]) };
    static CREDIT: Statement = const { Statement::new(
        "SELECT decide.credit_next($1, $2)", &[INT4OID, TIMESTAMPTZOID]) };
    static EXPIRE: Statement = const { Statement::new(
        "SELECT decide.expire_outcomes($1)", &[TIMESTAMPTZOID]) };
}

/// How many decisions are copied, and how many events credited, in a step.
const DECISIONS: i32 = 10_000;
const EVENTS: i32 = 2_000;
/// As decide.expire_outcomes has it.
const EXPIRED: i64 = 10_000;

/// What a run does next.
enum Next {
    Settle,
    /// Copies decisions from before that time by user.
    Copy(i64),
    /// Credits events from before that time.
    Credit(i64),
    Expire,
}

pub fn start() -> Steps {
    let mut next = Next::Settle;
    Box::new(move || step(&mut next))
}

fn step(next: &mut Next) -> Result<Step, Error> {
    match *next {
        Next::Settle => {
            let (mut settled, args) = (i64::MIN, [datum::int8(settings::attribution_lag())]);
            SETTLED.with(|statement| {
                statement.write(&args, |row| settled = row.timestamp(1).unwrap_or(i64::MIN))
            });
            *next = Next::Copy(settled);
            Ok(Step::with_more(0))
        }
        Next::Copy(until) => {
            let (mut copied, args) = (0, [datum::timestamp(until), datum::int4(DECISIONS)]);
            COPY.with(|statement| statement.write(&args, |row| copied = row.must::<i64>(1)));
            if copied < i64::from(DECISIONS) {
                *next = Next::Credit(until);
            }
            Ok(Step::with_more(0))
        }
        Next::Credit(until) => {
            let (mut credited, args) = (0, [datum::int4(EVENTS), datum::timestamp(until)]);
            CREDIT.with(|statement| statement.write(&args, |row| credited = row.must::<i64>(1)));
            // Some of them may have had others queued again.
            if credited == 0 {
                *next = Next::Expire;
            }
            Ok(Step::with_more(credited))
        }
        Next::Expire => {
            let before = match settings::trace_retention() {
                Some(days) => clock::now() - days * clock::DAY,
                None => i64::MIN,
            };
            let (mut expired, args) = (0, [datum::timestamp(before)]);
            EXPIRE.with(|statement| statement.write(&args, |row| expired = row.must::<i64>(1)));
            Ok(match expired < EXPIRED {
                true => Step::last(0),
                false => Step::with_more(0),
            })
        }
    }
}

pub fn report(run: &Run) -> String {
    format!("{} events credited or looked at", run.rows)
}
