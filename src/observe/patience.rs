//! How long the verbs of events wait for what other transactions have.

use crate::govern::waiting::{Awaited, Waiting, waiting_for};
use crate::pg::lock_limit::{Limit, within};
use crate::settings;

/// Runs a verb, each of whose waits for a lock has an end: of the row of a user, of an event that another session is
/// adding, and of a table as a whole. Then the verb fails, as if it had not been called.
pub fn bounded<T>(verb: &str, work: impl FnOnce() -> T) -> T {
    let limit = Limit {
        setting: Some("pg_decide.track_lock_timeout"),
        milliseconds: settings::track_lock_timeout(),
    };
    within(limit, work, |limit| {
        let waiting = Waiting {
            who: format!("{verb}()").into(),
            usually: Awaited {
                what: "a table of events".into(),
                by: "Another transaction has locked a table that events are written to or looked up in, or a row there.",
            },
            then: "Then try again: an event counts once.",
        };
        waiting.give_up(limit)
    })
}

/// Runs what locks the row of a user. No user is named: who reads an error need not be who may know.
pub fn for_user<T>(lock: impl FnOnce() -> T) -> T {
    let row = Awaited {
        what: "the row of a user".into(),
        by: "Another transaction has that row of decide.user_state, is adding it, or has locked the table.",
    };
    waiting_for(row, lock)
}
