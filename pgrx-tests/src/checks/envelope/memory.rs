//! What a session remembers of a user serves while the row cannot be read, and until it is deleted.

use std::time::Duration;

use anyhow::{Result, ensure};
use postgres::Client;

use super::{SLACK, hanging_shop, shop, timed};
use crate::temporary::Database;

/// Where the table of users is locked, what a session has last seen of the user serves.
pub fn serves_what_was_last_known(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    client.batch_execute(
        "SELECT track('{\"event_id\": \"1\", \"type\": \"click\", \"user_id\": \"ann\", \"at\": \"2026-01-01T00:00:00Z\"}'::jsonb)",
    )?;
    // The first one hears of the table.
    timed(&mut client, "home")?;
    timed(&mut client, "home")?;
    let mut other = database.connect()?;
    locked_out(&mut client, &mut other)?;
    // What counts by the user cannot be told without the row: then it is the fallback, in time.
    client.batch_execute(
        "INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('often', 'home', 'user', 1000); SELECT decide.publish('cap')",
    )?;
    timed(&mut client, "home")?;
    other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
    let (time, reason) = timed(&mut client, "home")?;
    other.batch_execute("ROLLBACK")?;
    ensure!(
        time < SLACK,
        "with a cap and the table of users locked it took {time:?}"
    );
    ensure!(
        reason.as_deref() == Some("busy"),
        "with a cap it has the reason {reason:?}"
    );
    shop::replay_all(&mut client)?;
    Ok(())
}

/// One decision while the table of users is locked by another session.
fn locked_out(client: &mut Client, other: &mut Client) -> Result<()> {
    other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
    let (time, reason) = timed(client, "home")?;
    ensure!(
        time < SLACK,
        "with the table of users locked it took {time:?}"
    );
    ensure!(reason.is_none(), "it is the fallback: {reason:?}");
    other.batch_execute("ROLLBACK")?;
    let row = client.query_one(
        "SELECT n.features[1] BETWEEN p.features[1] * 0.99 AND p.features[1] AND n.seen = 1, n.errors FROM \
           (SELECT * FROM decide.trace ORDER BY decision_id DESC LIMIT 1) AS n, \
           (SELECT * FROM decide.trace ORDER BY decision_id LIMIT 1) AS p",
        &[],
    )?;
    let errors: Option<Vec<String>> = row.get(1);
    ensure!(row.get::<_, bool>(0), "the features differ");
    ensure!(
        errors.as_deref() == Some(&["features: last known good".to_owned()]),
        "the trace says {errors:?}"
    );
    Ok(())
}

/// What a session remembers of a user is gone at the next statement after their row was deleted, by whom and however.
pub fn forgets_who_was_erased(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    let mut other = database.connect()?;
    let errors = |client: &mut Client| -> Result<Option<String>> {
        let errors = "SELECT array_to_string(errors, ' ') FROM decide.trace ORDER BY decision_id DESC LIMIT 1";
        Ok(client.query_one(errors, &[])?.get(0))
    };
    for (i, erase) in [
        "DELETE FROM decide.user_state WHERE user_key = decide.user_key('ann')",
        "TRUNCATE decide.user_state",
        "BEGIN; DELETE FROM decide.user_state; SAVEPOINT s; COMMIT",
    ]
    .into_iter()
    .enumerate()
    {
        client.execute(
            "SELECT track(jsonb_build_object('event_id', $1::text, 'type', 'click', 'user_id', 'ann', 'at', now()))",
            &[&i.to_string()],
        )?;
        // also many at once: all of them may have the snapshot from before
        for _ in 0..2 {
            timed(&mut client, "home")?;
        }
        other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
        timed(&mut client, "home")?;
        other.batch_execute("ROLLBACK")?;
        let before = errors(&mut client)?;
        ensure!(
            before.as_deref() == Some("features: last known good"),
            "before {erase}: {before:?}"
        );
        other.batch_execute(erase)?;
        other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
        timed(&mut client, "home")?;
        other.batch_execute("ROLLBACK")?;
        let after = errors(&mut client)?;
        ensure!(
            after.as_deref() == Some("features: default values, nothing is known of the user here"),
            "after {erase}: {after:?}"
        );
        let kept = "SELECT count(*) FROM decide.trace WHERE decision_id = (SELECT max(decision_id::text)::uuid FROM decide.trace) AND features[1] > 0";
        let kept = shop::count(&mut client, kept)?;
        ensure!(kept == 0, "after {erase} the trace has features");
    }
    // one that is undone is none, and a statement that began before keeps nothing that it has read
    client.batch_execute("SELECT track('{\"event_id\": \"last\", \"type\": \"click\", \"user_id\": \"ann\", \"at\": \"2026-01-01T00:00:00Z\"}'::jsonb)")?;
    let long = std::thread::spawn(move || {
        client.batch_execute(
            "DO $$ BEGIN PERFORM decide('ann', 'home'); PERFORM pg_sleep(1); END $$; SELECT 1",
        )?;
        client.batch_execute("SELECT count(*) FROM (SELECT decide('ann', 'home'), pg_sleep(0.5) FROM generate_series(1, 4)) AS d")?;
        Ok::<Client, postgres::Error>(client)
    });
    std::thread::sleep(Duration::from_millis(1700));
    other.batch_execute("DELETE FROM decide.user_state")?;
    let mut client = long.join().expect("the long statement panicked")?;
    other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
    timed(&mut client, "home")?;
    other.batch_execute("ROLLBACK")?;
    let after = errors(&mut client)?;
    ensure!(
        after.as_deref() == Some("features: default values, nothing is known of the user here"),
        "after a statement that saw the erased row to its end: {after:?}"
    );
    Ok(())
}
