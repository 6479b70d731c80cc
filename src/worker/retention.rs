//! Expired days: their partitions are dropped, and their rows in the default partitions deleted; and so are events
//! that are older than the retention of their contract.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{TEXTOID, TIMESTAMPTZOID};

use super::job::{Run, Step};
use crate::error::{Error, LongWait};
use crate::pg::attempt::attempt;
use crate::pg::{Statement, clock, datum};
use crate::{policy, settings};

thread_local! {
    static EXPIRE: Statement = const { Statement::new(
        "SELECT decide.expire($1, $2, $3)", &[TEXTOID, TEXTOID, TIMESTAMPTZOID]) };
    static EXPIRE_TYPE: Statement = const { Statement::new(
        "SELECT decide.expire_type($1, $2)", &[TEXTOID, TIMESTAMPTZOID]) };
}

/// As decide.expire and decide.expire_type have it, in milliseconds.
const LOCK_TIMEOUT: i32 = 200;

/// One partition, some rows of a default one, or the events of one type and day.
pub fn step() -> Result<Step, Error> {
    let days = |days: Option<i64>| days.map(|days| days * clock::DAY);
    let traces = days(settings::trace_retention());
    // Where nothing is published, no contract says anything.
    let bundle = policy::live().ok();
    let contracts = bundle.as_ref().map(|bundle| &bundle.contracts);
    let events = days(settings::event_retention());
    let by_contract = contracts.and_then(|contracts| contracts.longest_retention());
    let events = events.into_iter().chain(by_contract).min();
    let mut locked = None;
    // A lock on one table, or on the events of one type, does not keep the others from their retention.
    let mut try_to = |what: String, expire: &dyn Fn() -> i64| match attempt(expire) {
        Err(error) if error.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => {
            locked.get_or_insert(what);
            0
        }
        Err(error) => error.raise(),
        Ok(rows) => rows,
    };
    for (parent, key, kept) in [
        ("event", "at", events),
        ("trace", "decided_at", traces),
        ("outcome", "decided_at", traces),
    ] {
        let Some(kept) = kept else { continue };
        let what = format!("an expired day of decide.{parent}");
        let rows = try_to(what, &|| expire(parent, key, clock::now() - kept));
        if rows > 0 {
            return Ok(Step::with_more(rows));
        }
    }
    for (kind, kept) in contracts
        .into_iter()
        .flat_map(|contracts| contracts.retentions())
    {
        let what = format!("expired events of type \"{kind}\"");
        let rows = try_to(what, &|| expire_type(kind, clock::now() - kept));
        if rows > 0 {
            return Ok(Step::with_more(rows));
        }
    }
    if let Some(what) = locked {
        return Err(Error::WaitedTooLong(LongWait {
            who: "job \"retention\"".into(),
            what: what.into(),
            by: "Other transactions read or write the table, or have locked rows of it.",
            setting: None,
            milliseconds: LOCK_TIMEOUT,
            then: "Then run the job again, or leave it to a worker.",
        }));
    }
    Ok(Step::last(0))
}

fn expire_type(kind: &str, before: i64) -> i64 {
    let args = [datum::text(kind), datum::timestamp(before)];
    let mut rows = 0;
    EXPIRE_TYPE.with(|statement| statement.write(&args, |row| rows = row.must(1)));
    rows
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

pub fn report(run: &Run) -> String {
    format!("{} partitions and rows without one dropped", run.rows)
}
