//! Features of actions: many sessions count for the same action, none waits for another for long, and nothing is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};

use super::shop;
use crate::temporary::Database;

const CLIENTS: usize = 8;
const EVENTS: usize = 400;

/// Eight clients track clicks on two actions, one or several to a transaction, while the job runs all
/// the time: no deadlock, and the counts are exact.
pub fn count_exactly(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "INSERT INTO decide.feature (feature, entity, event_type, aggregate) \
         VALUES ('all_clicks', 'action', 'click', 'decayed_count'), ('here', 'surface', 'click', 'decayed_count'); \
         SELECT decide.publish()",
    )?;
    let over = AtomicBool::new(false);
    let runs = thread::scope(|scope| -> Result<usize> {
        let over = &over;
        let job = scope.spawn(move || keep_running(database, over));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || track(database, number)))
            .collect();
        let tracked: Vec<Result<()>> = clients
            .into_iter()
            .map(|client| client.join().expect("a client does not panic"))
            .collect();
        over.store(true, Ordering::Relaxed);
        let runs = job.join().expect("the job does not panic");
        tracked.into_iter().collect::<Result<()>>()?;
        runs
    })?;
    ensure!(runs > 10, "the job has run {runs} times only");
    client.batch_execute("SELECT decide.run_job('action_features')")?;
    let rows = client.query(
        "SELECT f.entity || ' ' || f.name, f.value FROM decide.entity_features AS f ORDER BY 1",
        &[],
    )?;
    let found: Vec<(String, f64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let all = (CLIENTS * EVENTS) as f64;
    let expected = [
        ("action a1", all / 2.0),
        ("action a2", all / 2.0),
        ("surface home", all),
    ]
    .map(|(name, count)| (name.to_owned(), count));
    ensure!(found == expected, "counted are {found:?}, not {expected:?}");
    let rows = shop::count(&mut client, "SELECT count(*) FROM decide.entity_state")?;
    ensure!(rows == 3, "{rows} rows are left");
    Ok(())
}

/// A session that decides has a new snapshot from its next decision on, whoever wrote it.
pub fn reach_every_session(database: &Database) -> Result<()> {
    let (mut decider, mut other) = (database.connect()?, database.connect()?);
    shop::open(&mut other)?;
    other.batch_execute(
        "INSERT INTO decide.feature (feature, entity, event_type, aggregate) \
         VALUES ('all_clicks', 'action', 'click', 'decayed_count'); \
         SELECT decide.publish()",
    )?;
    for round in 0..3 {
        decider.batch_execute("SELECT decide('ann', 'home')")?;
        let with_newest = shop::count(
            &mut decider,
            "SELECT count(*) FROM decide.decision AS d WHERE d.snapshot IS NOT DISTINCT FROM \
               (SELECT max(s.taken_at) FROM decide.entity_snapshot AS s)",
        )?;
        ensure!(
            with_newest == 1,
            "decision {round} was made with another snapshot"
        );
        other.execute(
            "SELECT track(jsonb_build_object('event_id', $1::text, 'type', 'click', 'user_id', 'ann', \
               'at', clock_timestamp(), 'action', 'a1')), decide.run_job('action_features')",
            &[&round.to_string()],
        )?;
    }
    shop::replay_all(&mut decider)?;
    Ok(())
}

/// Runs the job until all is over; answers how often.
fn keep_running(database: &Database, over: &AtomicBool) -> Result<usize> {
    let mut client = database.connect()?;
    let mut runs = 0;
    while !over.load(Ordering::Relaxed) {
        client.batch_execute("SELECT decide.run_job('action_features')")?;
        runs += 1;
    }
    Ok(runs)
}

/// Half of the events one by one, the others ten to a transaction; the two actions in turns, so that
/// clients come to them in different orders. Each client is a user.
fn track(database: &Database, number: usize) -> Result<()> {
    let mut client = database.connect()?;
    let mut event = 0;
    while event < EVENTS {
        let many = if event < EVENTS / 2 { 1 } else { 10 };
        let mut transaction = client.transaction()?;
        for _ in 0..many {
            let action = format!("a{}", 1 + (event + number) % 2);
            transaction.execute(
                "SELECT track(jsonb_build_object('event_id', $1::text, 'type', 'click', 'user_id', $2::text, \
                   'at', clock_timestamp(), 'action', $3::text, 'surface', 'home'))",
                &[&event.to_string(), &number.to_string(), &action],
            )?;
            event += 1;
        }
        transaction.commit()?;
    }
    Ok(())
}
