//! A limit of waits for locks, which costs nothing where nobody waits, and says what was waited for.

use std::panic::AssertUnwindSafe;

use pgrx::{PgTryBuilder, pg_sys};

use super::attempt::is_lock_timeout;
use super::session;

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
/// The server starts its timer when it begins to wait, together with the one for deadlocks: no system call is spent
/// before that.
#[allow(clippy::result_large_err)] // the error that pgrx hands on is as large as it is
pub fn within<T>(limit: Limit, work: impl FnOnce() -> T, held: impl FnOnce(Limit) -> T) -> T {
    let (shorter, limit) = Shorter::begin(limit);
    let bounded = || {
        let done = work();
        // A limit that was reached just as the lock was had is told here, and not to the caller's next statement.
        session::check_interrupts();
        Ok(done)
    };
    let done = PgTryBuilder::new(AssertUnwindSafe(bounded))
        .catch_others(Err)
        .execute();
    drop(shorter);
    match done {
        Ok(done) => done,
        Err(error) if is_lock_timeout(&error) => held(limit),
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
        // SAFETY: a number of the process. It is put back when self is dropped, also while an ERROR unwinds: whoever
        // ends the (sub)transaction finds it as it was.
        unsafe {
            let before = pg_sys::LockTimeout;
            let is_longer = before <= 0 || before > limit.milliseconds;
            if limit.milliseconds > 0 && is_longer {
                pg_sys::LockTimeout = limit.milliseconds;
                return (Shorter { before }, limit);
            }
            let of_session = Limit {
                setting: Some("lock_timeout"),
                milliseconds: before,
            };
            (Shorter { before }, of_session)
        }
    }
}

impl Drop for Shorter {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::LockTimeout = self.before }
    }
}
