//! Modes and kill switches that reach sessions elsewhere: on a standby, and without preload.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::Client;

use super::shop;
use crate::temporary::{Database, Standby};

const PATIENCE: Duration = Duration::from_secs(60);

/// A session of a standby explains by what the primary has committed, once that has been replayed.
pub fn hold_on_a_standby(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let standby = Standby::of(database.server)?;
    let mut follower = standby.connect(&database.name)?;
    for (change, steps) in [
        ("SELECT 1", "choose shown"),
        (
            "SELECT decide.set_mode('home', 'cautious', 'x')",
            "choose narrow shown",
        ),
        (
            "SELECT decide.kill('action', 'a3', 'x')",
            "choose narrow shown switch",
        ),
        (
            "SELECT decide.set_mode(NULL, 'paused', 'x')",
            "fallback mode",
        ),
        (
            "SELECT decide.set_mode(NULL, 'normal', 'x'), decide.set_mode('home', 'normal', 'x')",
            "choose shown switch",
        ),
    ] {
        client.batch_execute(change)?;
        follow(&mut client, &mut follower)?;
        let found = steps_of(&mut follower)?;
        ensure!(
            found == steps,
            "after {change} the standby explains by {found}"
        );
    }
    for call in [
        "set_mode(NULL, 'paused', 'x')",
        "kill('action', 'a1', 'x')",
        "revive('action', 'a3', 'x')",
        "publish('x')",
        "rollback(1)",
        "run_job('fold')",
        "run_job('partitions')",
        "backfill('clicks')",
        "approve('m', 1)",
    ] {
        let refused = follower.batch_execute(&format!("SELECT decide.{call}"));
        let refused = refused.err().context("a standby has changed something")?;
        let error = refused.as_db_error().context("an error of the server")?;
        let (verb, _) = call.split_once('(').context("a call")?;
        ensure!(
            error.code().code() == "25006"
                && error.message() == format!("cannot execute {verb}() in a read-only transaction")
                && error.hint().is_some_and(|hint| hint.contains("primary")),
            "{call} on a standby: {error:?}"
        );
    }
    Ok(())
}

/// Waits until a standby has replayed all that is committed.
pub fn follow(client: &mut Client, follower: &mut Client) -> Result<()> {
    let row = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[])?;
    let written: String = row.get(0);
    // so that there is something to replay beyond it
    client.batch_execute("SELECT pg_switch_wal()")?;
    let begun = Instant::now();
    loop {
        let row = follower.query_one(
            "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn",
            &[&written],
        )?;
        if row.get(0) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "the standby does not follow");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The steps at which the actions of the shop stand.
fn steps_of(client: &mut Client) -> Result<String> {
    let row = client.query_one(
        "SELECT string_agg(DISTINCT step, ' ' ORDER BY step) FROM decide.explain('ann', 'home')",
        &[],
    )?;
    Ok(row.get(0))
}

/// Two sessions that have loaded the library at their first use: what one sets is in force in the other.
pub fn need_no_preload(database: &Database) -> Result<()> {
    shop::open(&mut database.connect()?)?;
    database.server.restart_with_preload("")?;
    let (mut one, mut other) = (database.connect()?, database.connect()?);
    for client in [&mut one, &mut other] {
        let steps = steps_of(client)?;
        ensure!(steps == "choose shown", "before, it explains by {steps}");
    }
    one.batch_execute("SELECT decide.set_mode(NULL, 'paused', 'x')")?;
    let row = other.query_one("SELECT reason FROM decide('ann', 'home')", &[])?;
    let reason: Option<String> = row.get(0);
    ensure!(
        reason.as_deref() == Some("paused"),
        "decided with reason {reason:?}"
    );
    other.batch_execute(
        "SELECT decide.set_mode(NULL, 'normal', 'x'), decide.kill('coefficient', 'value:action.value', 'x')",
    )?;
    let alike = shop::count(
        &mut one,
        "SELECT count(DISTINCT score) FROM decide.explain('ann', 'home')",
    )?;
    ensure!(alike == 1, "there are {alike} scores without a coefficient");
    one.batch_execute("SELECT decide('ann', 'home')")?;
    shop::replay_all(&mut other)?;
    Ok(())
}
