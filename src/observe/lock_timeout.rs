//! How long the verbs of events wait for locks of other transactions: `pg_decide.track_lock_timeout`.

use crate::govern::waiting::{Awaited, Waiting, bounded, waiting_for};
use crate::pg::lock_timeout::LockTimeout;
use crate::settings;

/// Runs a verb, in which each wait for a lock has a timeout: of the row of a user, of an event that another session is
/// adding, and of a table as a whole. When it has run out the verb fails, as if it had not been called.
pub fn with_lock_timeout<T>(verb: &str, work: impl FnOnce() -> T) -> T {
    let timeout = LockTimeout {
        setting: Some("pg_decide.track_lock_timeout"),
        milliseconds: settings::track_lock_timeout(),
    };
    let waiting = || Waiting {
        who: format!("{verb}()").into(),
        usually: Awaited {
            what: "a table of events".into(),
            by: "Another transaction has locked a table that events are written to or looked up in, or a row there.",
        },
        then: "Then try again: an event counts once.",
    };
    bounded(timeout, waiting, work)
}

/// Runs what locks the row of a user. No user is named: who reads an error need not be who may know.
pub fn waiting_for_user<T>(lock: impl FnOnce() -> T) -> T {
    let row = Awaited {
        what: "the row of a user".into(),
        by: "Another transaction has locked that row of decide.user_state, is adding it, or has locked the table.",
    };
    waiting_for(row, lock)
}
