//! Waits for locks that other transactions have: each has a timeout, and the error says what was waited for.

use std::borrow::Cow;
use std::cell::RefCell;
use std::thread::LocalKey;

use super::acting::refuse_read_only;
use crate::error::{Error, LongWait};
use crate::pg::datum::Arg;
use crate::pg::lock_timeout::{self, LockTimeout};
use crate::pg::{Session, Statement};

/// What is waited for, and which transactions have locked it.
#[derive(Clone, Debug)]
pub struct Awaited {
    pub what: Cow<'static, str>,
    pub by: &'static str,
}

/// Who waits.
pub struct Waiting {
    pub who: Cow<'static, str>,
    /// What for, where [`waiting_for`] says nothing else.
    pub usually: Awaited,
    /// What to do once it is free.
    pub then: &'static str,
}

/// Of a verb of operators, in milliseconds.
const VERB_TIMEOUT: i32 = 10_000;

/// Of locks that keep decisions, events or reports from going on, in milliseconds.
const SHORT_TIMEOUT: i32 = 1_000;

thread_local! {
    /// What is waited for now, and the timeout of that where it has one of its own.
    static NOW: RefCell<Option<(Awaited, Option<LockTimeout>)>> = const { RefCell::new(None) };
}

impl Waiting {
    /// A verb of operators.
    pub fn of_verb(verb: &str) -> Waiting {
        Waiting {
            who: format!("{verb}()").into(),
            usually: Awaited {
                what: "a table that it reads or writes".into(),
                by: "Another transaction has locked it, or a row of it.",
            },
            then: "Then call it again.",
        }
    }

    /// A job that `run_job` does.
    pub fn of_job(job: &str) -> Waiting {
        Waiting {
            who: format!("job \"{job}\"").into(),
            ..Waiting::of_verb("run_job")
        }
    }

    /// Runs `work`, in which each wait for a lock lasts ten seconds at most.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        self.run_within(VERB_TIMEOUT, work)
    }

    /// Runs `work`, in which each wait for a lock lasts a second at most.
    pub fn run_short<T>(self, work: impl FnOnce() -> T) -> T {
        self.run_within(SHORT_TIMEOUT, work)
    }

    fn run_within<T>(self, milliseconds: i32, work: impl FnOnce() -> T) -> T {
        NOW.take();
        let timeout = LockTimeout::fixed(milliseconds);
        lock_timeout::bounded_by_setting(timeout, work, |timeout| self.raise(timeout))
    }

    /// Raises the error of a wait that was too long.
    fn raise(self, timeout: LockTimeout) -> ! {
        let (awaited, timeout) = match NOW.take() {
            Some((awaited, own)) => (awaited, own.unwrap_or(timeout)),
            None => (self.usually, timeout),
        };
        let wait = LongWait {
            who: self.who,
            what: awaited.what,
            by: awaited.by,
            setting: timeout.setting,
            milliseconds: timeout.milliseconds,
            then: self.then,
        };
        Error::WaitedTooLong(wait).raise()
    }
}

/// Runs a verb of operators whose work a function in SQL does, with the rights of the caller: on the primary server,
/// and within the limits of [`Waiting::of_verb`].
pub fn run_in_sql(verb: &'static str, call: &'static LocalKey<Statement>, args: &[Arg<'_>]) {
    refuse_read_only(verb);
    let run = || {
        let _session = Session::open();
        call.with(|statement| statement.write(args, |_| {}))
    };
    Waiting::of_verb(verb).run(run);
}

/// Runs `work` with that timeout of each wait for a lock, at no cost where nobody waits; `waiting` is asked for the
/// error. Nothing may set lock_timeout within.
pub fn bounded<T>(
    timeout: LockTimeout,
    waiting: impl FnOnce() -> Waiting,
    work: impl FnOnce() -> T,
) -> T {
    NOW.take();
    lock_timeout::bounded(timeout, work, |timeout| waiting().raise(timeout))
}

/// Runs what waits for that, with the timeout of a [`Waiting`].
pub fn waiting_for<T>(awaited: Awaited, work: impl FnOnce() -> T) -> T {
    NOW.set(Some((awaited, None)));
    let done = work();
    NOW.take();
    done
}

/// The same, and for a second at most.
pub fn waiting_a_second_for<T>(awaited: Awaited, work: impl FnOnce() -> T) -> T {
    let done = lock_timeout::with_setting(LockTimeout::fixed(SHORT_TIMEOUT), |timeout| {
        NOW.set(Some((awaited, Some(timeout))));
        work()
    });
    NOW.take();
    done
}
