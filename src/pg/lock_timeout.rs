//! Timeouts of waits for locks, which cost nothing where nobody waits, and tell where one has run out.

use std::panic::AssertUnwindSafe;

use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

use super::attempt::{Caught, attempt, is_lock_timeout};
use super::{plan, session};

/// How long each wait for a lock may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockTimeout {
    /// The setting that says so, if one does.
    pub setting: Option<&'static str>,
    /// 0 is no limit.
    pub milliseconds: i32,
}

/// Runs `work`, in which no wait for a lock of a row, a transaction or a table lasts longer than this timeout, nor than
/// the session's lock_timeout. Where one has run out, `on_timeout` raises an error in place of the server's, and is
/// told which of the two it was.
///
/// It costs nothing where nobody waits: the server starts its timer when it begins to wait, together with the one for
/// deadlocks. Nothing may set lock_timeout within.
pub fn bounded<T>(
    timeout: LockTimeout,
    work: impl FnOnce() -> T,
    on_timeout: impl FnOnce(LockTimeout) -> T,
) -> T {
    let (shorter, timeout) = Shorter::begin(timeout);
    let done = unless_timed_out(work);
    drop(shorter);
    done.unwrap_or_else(|| on_timeout(timeout))
}

/// Runs `work` in a subtransaction in which no wait for a lock lasts longer than that; where one would, what it did is
/// undone, and the answer is None. Work that is slow for another reason goes on: its first statement is planned, or the
/// machine is busy. Nothing may set lock_timeout within, nor run a function of somebody else's.
pub fn attempt_waiting<T>(
    milliseconds: u32,
    work: impl FnOnce() -> T,
) -> Result<Option<T>, Caught> {
    let milliseconds = i32::try_from(milliseconds).unwrap_or(i32::MAX).max(1);
    let done = attempt(|| {
        let (_shorter, _) = Shorter::begin(LockTimeout::fixed(milliseconds));
        let done = work();
        // A timeout that ran out just as the lock was granted is told here, and not to the caller's next statement.
        session::check_interrupts();
        done
    });
    match done {
        Ok(done) => Ok(Some(done)),
        Err(caught) if caught.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => Ok(None),
        Err(caught) => Err(caught),
    }
}

/// The same as `bounded`, where functions within may set lock_timeout.
pub fn bounded_by_setting<T>(
    timeout: LockTimeout,
    work: impl FnOnce() -> T,
    on_timeout: impl FnOnce(LockTimeout) -> T,
) -> T {
    let timeout = timeout.or_of_session();
    let work = || with_setting(timeout, |_| work());
    unless_timed_out(work).unwrap_or_else(|| on_timeout(timeout))
}

/// Runs `work` with lock_timeout set to this timeout, or as it is where that is less; `work` is told which. A wait that
/// is too long fails as the server lets it.
pub fn with_setting<T>(timeout: LockTimeout, work: impl FnOnce(LockTimeout) -> T) -> T {
    let timeout = timeout.or_of_session();
    match timeout.is_of_session() {
        true => work(timeout),
        false => plan::with_lock_timeout(timeout.milliseconds, || work(timeout)),
    }
}

impl LockTimeout {
    /// A timeout that no setting says.
    pub const fn fixed(milliseconds: i32) -> LockTimeout {
        LockTimeout {
            setting: None,
            milliseconds,
        }
    }

    /// The session's own timeout where that is shorter.
    fn or_of_session(self) -> LockTimeout {
        // SAFETY: reads a setting of the session.
        let milliseconds = unsafe { pg_sys::LockTimeout };
        let is_longer = milliseconds <= 0 || milliseconds > self.milliseconds;
        match self.milliseconds > 0 && is_longer {
            true => self,
            false => LockTimeout {
                setting: Some(OF_SESSION),
                milliseconds,
            },
        }
    }

    fn is_of_session(&self) -> bool {
        self.setting == Some(OF_SESSION)
    }
}

const OF_SESSION: &str = "lock_timeout";

/// What `work` answers; None if it has failed since it waited too long for a lock.
#[allow(clippy::result_large_err)] // the error that pgrx hands on is as large as it is
fn unless_timed_out<T>(work: impl FnOnce() -> T) -> Option<T> {
    let bounded = || {
        let done = work();
        // A timeout that ran out just as the lock was granted is told here, and not to the caller's next statement.
        session::check_interrupts();
        Ok(done)
    };
    let done = PgTryBuilder::new(AssertUnwindSafe(bounded))
        .catch_others(Err)
        .execute();
    match done {
        Ok(done) => Some(done),
        Err(error) if is_lock_timeout(&error) => None,
        Err(error) => error.rethrow(),
    }
}

/// While it lives, lock_timeout is no longer than that. What the session has set is neither looked up nor changed: only
/// the number that the server reads when it begins to wait.
struct Shorter {
    before: i32,
}

impl Shorter {
    fn begin(timeout: LockTimeout) -> (Shorter, LockTimeout) {
        let timeout = timeout.or_of_session();
        // SAFETY: a number of the process. It is put back when self is dropped, also while an ERROR unwinds: whoever
        // ends the (sub)transaction finds it as it was.
        unsafe {
            let before = pg_sys::LockTimeout;
            pg_sys::LockTimeout = timeout.milliseconds;
            (Shorter { before }, timeout)
        }
    }
}

impl Drop for Shorter {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::LockTimeout = self.before }
    }
}
