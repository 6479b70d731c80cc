//! Events that come by COPY are taken in, each once.

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{INBOX_EMPTY, PATIENCE, copy, counts, look_after, shop, until, worker};
use crate::server::Stop;
use crate::temporary::Database;

/// 10,000 lines by COPY, some of them bad, are folded in by the worker, each once.
pub fn fold_the_inbox(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    look_after(&mut client, &[&database.name])?;
    let good = copy(&mut client, 10_000)?;
    until(&mut client, INBOX_EMPTY)?;
    counts(&mut client, good, 10_000 - good)?;
    // and what has come before comes to nothing
    copy(&mut client, 10_000)?;
    until(&mut client, INBOX_EMPTY)?;
    counts(&mut client, good, 2 * (10_000 - good))
}

/// The worker is killed, and then the whole server ends, in the middle of it: nothing is lost or doubled.
pub fn lose_and_double_nothing(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let good = copy(&mut client, 40_000)?;
    look_after(&mut client, &[&database.name])?;
    for round in 0..2 {
        let before = shop::count(&mut client, "SELECT count(*) FROM decide.event")?;
        until(
            &mut client,
            &format!("SELECT count(*) > {before} FROM decide.event"),
        )?;
        let worker = worker(&mut client)?;
        match round {
            0 => {
                kill(Pid::from_raw(worker), Signal::SIGKILL)?;
                // until the server ends all sessions
                while client.simple_query("SELECT pg_sleep(0.01)").is_ok() {}
            }
            _ => database.server.restart(Stop::Immediate)?,
        }
        client = database.reconnect(PATIENCE)?;
        let left = shop::count(&mut client, "SELECT count(*) FROM decide.event_inbox")?;
        ensure!(left > 0, "all was folded before crash {round}");
    }
    until(&mut client, INBOX_EMPTY)?;
    counts(&mut client, good, 40_000 - good)
}
