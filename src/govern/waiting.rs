//! Waits for what other transactions have: each has an end, and one that was too long says what it was for.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::error::{Error, Held};
use crate::pg::lock_limit::{self, Limit};

/// What is waited for, and who has it.
#[derive(Clone, Debug)]
pub struct Awaited {
    pub what: Cow<'static, str>,
    pub by: &'static str,
}

/// Who waits.
pub struct Waiting {
    pub who: Cow<'static, str>,
    /// What for, where nothing else is said.
    pub usually: Awaited,
    /// What to do once it is free.
    pub then: &'static str,
}

thread_local! {
    /// What is waited for now, and how long where that has a limit of its own.
    static NOW: RefCell<Option<(Awaited, Option<Limit>)>> = const { RefCell::new(None) };
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

    /// Runs `work`, which waits ten seconds at most for each lock.
    pub fn patiently<T>(self, work: impl FnOnce() -> T) -> T {
        self.for_at_most(10_000, work)
    }

    /// Runs `work`, which waits so many milliseconds at most for each lock.
    pub fn for_at_most<T>(self, milliseconds: i32, work: impl FnOnce() -> T) -> T {
        NOW.take();
        lock_limit::by_setting(own(milliseconds), work, |limit| self.give_up(limit))
    }

    /// Raises the error of a wait that was too long.
    pub fn give_up(self, limit: Limit) -> ! {
        let now = NOW.take();
        let (awaited, limit) = match now {
            Some((awaited, shorter)) => (awaited, shorter.unwrap_or(limit)),
            None => (self.usually, limit),
        };
        let held = Held {
            who: self.who,
            what: awaited.what,
            by: awaited.by,
            limit,
            then: self.then,
        };
        Error::Held(held).raise()
    }
}

/// Runs what waits for that, within the limit of a [`Waiting`].
pub fn waiting_for<T>(awaited: Awaited, work: impl FnOnce() -> T) -> T {
    NOW.set(Some((awaited, None)));
    let done = work();
    NOW.take();
    done
}

/// The same, and for a second at most.
pub fn waiting_a_second_for<T>(awaited: Awaited, work: impl FnOnce() -> T) -> T {
    let second = own(1_000);
    let done = lock_limit::with_setting(second, |limit| {
        NOW.set(Some((awaited, Some(limit))));
        work()
    });
    NOW.take();
    done
}

fn own(milliseconds: i32) -> Limit {
    Limit {
        setting: None,
        milliseconds,
    }
}
