//! A limit of waits for locks, which costs nothing where nobody waits, and says what was waited for.

use std::panic::AssertUnwindSafe;

use pgrx::{PgTryBuilder, pg_sys};

use super::attempt::is_lock_timeout;
use super::{plan, session};

/// How long each wait for a lock may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The setting that says so, if one does.
    pub setting: Option<&'static str>,
    /// 0 is no limit.
    pub milliseconds: i32,
}

/// Runs `work`, whose every wait for a lock of a row, a transaction or a table lasts no longer than the limit, nor than
/// the session's lock_timeout. Where one has, `held` raises an error in place of the server's, and is told which
/// of the two it was.
///
/// It costs nothing where nobody waits: the server starts its timer when it begins to wait, together with the one for
/// deadlocks. Nothing may set lock_timeout within.
pub fn within<T>(limit: Limit, work: impl FnOnce() -> T, held: impl FnOnce(Limit) -> T) -> T {
    let (shorter, limit) = Shorter::begin(limit);
    let done = or_lock_timeout(work);
    drop(shorter);
    done.unwrap_or_else(|| held(limit))
}

/// The same where functions within may set lock_timeout.
pub fn by_setting<T>(limit: Limit, work: impl FnOnce() -> T, held: impl FnOnce(Limit) -> T) -> T {
    let limit = limit.or_of_session();
    or_lock_timeout(|| with_setting(limit, |_| work())).unwrap_or_else(|| held(limit))
}

/// Runs `work` with lock_timeout as the limit says, or as it is where that is less, and fails as the server does.
pub fn with_setting<T>(limit: Limit, work: impl FnOnce(Limit) -> T) -> T {
    let limit = limit.or_of_session();
    match limit.is_of_session() {
        true => work(limit),
        false => plan::with_lock_timeout(limit.milliseconds, || work(limit)),
    }
}

impl Limit {
    /// The session's own limit where that is shorter.
    fn or_of_session(self) -> Limit {
        // SAFETY: reads a setting of the session.
        let milliseconds = unsafe { pg_sys::LockTimeout };
        let is_longer = milliseconds <= 0 || milliseconds > self.milliseconds;
        match self.milliseconds > 0 && is_longer {
            true => self,
            false => Limit {
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

/// What `work` answers; None if it has failed since a lock was waited for too long.
#[allow(clippy::result_large_err)] // the error that pgrx hands on is as large as it is
fn or_lock_timeout<T>(work: impl FnOnce() -> T) -> Option<T> {
    let bounded = || {
        let done = work();
        // A limit that was reached just as the lock was had is told here, and not to the caller's next statement.
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
    fn begin(limit: Limit) -> (Shorter, Limit) {
        let limit = limit.or_of_session();
        // SAFETY: a number of the process. It is put back when self is dropped, also while an ERROR unwinds: whoever
        // ends the (sub)transaction finds it as it was.
        unsafe {
            let before = pg_sys::LockTimeout;
            pg_sys::LockTimeout = limit.milliseconds;
            (Shorter { before }, limit)
        }
    }
}

impl Drop for Shorter {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::LockTimeout = self.before }
    }
}
