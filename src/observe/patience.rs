//! How long the verbs of events wait for what other transactions have.

use std::cell::Cell;

use crate::error::{Error, Held};
use crate::pg::lock_limit::{Limit, within};
use crate::settings;

thread_local! {
    /// What is waited for now, if anything is, is the row of a user.
    static FOR_USER: Cell<bool> = const { Cell::new(false) };
}

/// Runs a verb, each of whose waits for a lock has an end: of the row of a user, of an event that another session is
/// adding, and of a table as a whole. Then the verb fails, as if it had not been called.
pub fn bounded<T>(verb: &'static str, work: impl FnOnce() -> T) -> T {
    let limit = Limit {
        setting: Some("pg_decide.track_lock_timeout"),
        milliseconds: settings::track_lock_timeout(),
    };
    FOR_USER.set(false);
    within(limit, work, |limit| held(verb, limit).raise())
}

/// Runs what locks the row of a user.
pub fn for_user<T>(lock: impl FnOnce() -> T) -> T {
    FOR_USER.set(true);
    let locked = lock();
    FOR_USER.set(false);
    locked
}

/// No user is named: who reads the error need not be who may know.
fn held(verb: &'static str, limit: Limit) -> Error {
    let (what, by) = match FOR_USER.get() {
        true => (
            "the row of a user",
            "Another transaction has that row of decide.user_state, is adding it, or has locked the table.",
        ),
        false => (
            "a table of events",
            "Another transaction has locked a table that events are written to or looked up in, or a row there.",
        ),
    };
    Error::Held(Held {
        verb,
        what,
        by,
        limit,
        then: "Then try again: an event counts once.",
    })
}
