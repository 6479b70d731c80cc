//! What changes of policy, of modes and of switches have in common: one at a time; those of the last two
//! each with a reason.

use std::thread::LocalKey;

use super::waiting::{Awaited, waiting_for};
use crate::error::Error;
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Statement, clock};

/// Whether a change says why, and does not end before it begins.
pub fn check(why: &str, until: Option<i64>) -> Result<(), Error> {
    if why.trim().is_empty() {
        return Err(Error::NoReason);
    }
    if until.is_some_and(|until| until <= clock::now()) {
        return Err(Error::Expired);
    }
    Ok(())
}

/// Waits until no other session changes the table, while readers go on: numbers are in the order of
/// commits. Who cannot see the newest change would change what they do not know.
pub fn take(
    lock: &'static LocalKey<Statement>,
    newest: &'static LocalKey<Statement>,
    what: &'static str,
) -> Result<(), Error> {
    let turn = Awaited {
        what: format!("another transaction that has {what}").into(),
        by: "It has not ended, or a transaction has locked the table in which such changes are kept.",
    };
    waiting_for(turn, || lock.with(|statement| statement.write(&[], |_| {})));
    let (mut seen, mut there) = (None, None);
    newest.with(|statement| {
        statement.write(&[], |row| seen = row.get::<i64>(1));
        on_latest_snapshot(|| statement.read(&[], |row| there = row.get::<i64>(1)));
    });
    if seen == there {
        Ok(())
    } else {
        Err(Error::Overtaken(what))
    }
}
