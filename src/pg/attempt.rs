//! Work that may fail without taking the caller's transaction along.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

use super::spi::Session;
use super::timeout::{self, Timer};

/// An error that was caught and undone.
#[derive(Debug, Clone)]
pub struct Caught {
    pub code: PgSqlErrorCode,
    pub message: String,
    /// It is the cancel of a `Timer`.
    pub timed_out: bool,
}

impl Caught {
    /// Raises it again.
    pub fn raise(&self) -> ! {
        if self.timed_out {
            timeout::goes_on();
        }
        pgrx::pg_sys::panic::ErrorReport::new(self.code, self.message.clone(), "pg_decide")
            .report(pgrx::PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }

    /// The error as it may be told to who has asked, and to the server's log; kept in no table.
    pub fn in_full(&self) -> String {
        format!("{}: {}", sqlstate(self.code), self.message)
    }

    /// The error as a table may keep it: its SQLSTATE and the name of that. The message may have somebody's data
    /// in it, with or without quotes around it.
    pub fn describe(&self) -> String {
        let name = format!("{:?}", self.code);
        let name = name.trim_start_matches("ERRCODE_").to_ascii_lowercase();
        format!("{}: {}", sqlstate(self.code), name.replace('_', " "))
    }
}

/// Runs `work` in a subtransaction. An error, or a panic, undoes what it did and is returned.
///
/// Errors that belong to the caller are passed on: a cancelled statement (unless by a timer of ours),
/// a shutdown, and a serialization failure or deadlock, which only a retry of the whole transaction can
/// cure. Not where a function has raised one of these by itself.
pub fn attempt<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    subtransaction(work, is_the_callers)
}

/// The same for so many milliseconds at most; what is not done by then has failed, with `timed_out`.
/// Not by lock_timeout: where that runs out just as the lock is granted, its cancel comes later, as if the
/// caller had asked for it.
pub fn attempt_for<T>(milliseconds: u32, work: impl FnOnce() -> T) -> Result<T, Caught> {
    attempt(|| {
        let _timer = Timer::arm(Duration::from_millis(milliseconds.into()));
        work()
    })
}

/// The same where a wait for a lock that has lasted too long is an error of the caller as well.
pub fn attempt_unless_locked<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    subtransaction(work, |code| {
        is_the_callers(code) || code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE
    })
}

/// The same for work beside the decision: also a serialization failure of it is nobody else's.
pub fn attempt_aside<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    subtransaction(work, |code| {
        is_the_callers(code) && !is_of_concurrency(code)
    })
}

/// The same for so many milliseconds; None if that was too long, or if a wait closed a circle of waits, which servers
/// with a short deadlock_timeout may find before.
pub fn attempt_aside_for<T>(milliseconds: u32, work: impl FnOnce() -> T) -> Option<T> {
    let done = attempt_aside(|| {
        let _timer = Timer::arm(Duration::from_millis(milliseconds.into()));
        work()
    });
    done.ok()
}

/// How long work beside a decision may take, where other sessions hold a table or a row that it needs.
const BEST_EFFORT_TIMEOUT: Duration = Duration::from_millis(20);

/// Work beside a decision, which must not hold it up, nor make it fail; None where it cannot be done now.
pub fn best_effort<T>(work: impl FnOnce() -> T) -> Option<T> {
    let _session = Session::open();
    attempt_aside(|| {
        let _timer = Timer::arm(BEST_EFFORT_TIMEOUT);
        work()
    })
    .ok()
}

#[allow(clippy::result_large_err)] // the error that pgrx hands on is as large as it is
fn subtransaction<T>(
    work: impl FnOnce() -> T,
    goes_on: impl Fn(PgSqlErrorCode) -> bool,
) -> Result<T, Caught> {
    // SAFETY: the pair of begin and release (or roll back) is the one that PL/pgSQL uses around a
    // block with an exception handler; memory context and resource owner are put back after both.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = PgTryBuilder::new(AssertUnwindSafe(|| Ok(work())))
            .catch_others(Err)
            .execute();
        match &result {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result.map_err(|error| caught(error, goes_on))
    }
}

/// What was caught, unless it must go on to the caller. The subtransaction is over by then: one that
/// an error left open would stay open, aborted, until the caller says ROLLBACK.
fn caught(error: CaughtError, goes_on: impl Fn(PgSqlErrorCode) -> bool) -> Caught {
    let mut caught = report_of(&error);
    let cancelled = caught.code == PgSqlErrorCode::ERRCODE_QUERY_CANCELED;
    caught.timed_out = timeout::is_ours(cancelled);
    if !caught.timed_out && goes_on(caught.code) && is_the_servers(&error, caught.code) {
        error.rethrow();
    }
    caught
}

/// Whether an error of such a code is what it says: raised by the server, or by us, and not by a function of
/// somebody else's. Of cancels and shutdowns it is known where the server raises them; of the others, that
/// procedural languages, whose files begin with "pl", do not.
fn is_the_servers(error: &CaughtError, code: PgSqlErrorCode) -> bool {
    let CaughtError::PostgresError(report) = error else {
        return true;
    };
    let file = report.file().rsplit('/').next().unwrap_or_default();
    match is_of_concurrency(code) {
        true => !file.starts_with("pl"),
        false => file == "postgres.c",
    }
}

/// Whether it is the server's, and says that a lock was waited for longer than lock_timeout.
pub(super) fn is_lock_timeout(error: &CaughtError) -> bool {
    let code = report_of(error).code;
    let CaughtError::PostgresError(_) = error else {
        return false;
    };
    code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE && is_the_servers(error, code)
}

/// What the error says.
pub fn report_of(error: &CaughtError) -> Caught {
    let report = match error {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic {
            ereport: report, ..
        } => report,
    };
    Caught {
        code: report.sql_error_code(),
        message: report.message().to_owned(),
        timed_out: false,
    }
}

fn is_the_callers(code: PgSqlErrorCode) -> bool {
    use PgSqlErrorCode::*;
    matches!(
        code,
        ERRCODE_QUERY_CANCELED
            | ERRCODE_ADMIN_SHUTDOWN
            | ERRCODE_CRASH_SHUTDOWN
            | ERRCODE_CANNOT_CONNECT_NOW
            | ERRCODE_DATABASE_DROPPED
            | ERRCODE_T_R_SERIALIZATION_FAILURE
            | ERRCODE_T_R_DEADLOCK_DETECTED
    )
}

fn is_of_concurrency(code: PgSqlErrorCode) -> bool {
    use PgSqlErrorCode::*;
    matches!(
        code,
        ERRCODE_T_R_SERIALIZATION_FAILURE | ERRCODE_T_R_DEADLOCK_DETECTED
    )
}

/// The five characters of an SQLSTATE.
pub fn sqlstate(code: PgSqlErrorCode) -> String {
    let packed = code as i32;
    (0..5)
        .map(|i| char::from(((packed >> (6 * i)) & 0x3f) as u8 + b'0'))
        .collect()
}
