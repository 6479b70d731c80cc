//! Crashes in the middle of work: what was acknowledged is there, and nothing is there by half.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;
use uuid::Uuid;

use super::shop;
use crate::server::Stop;
use crate::temporary::Database;

const CLIENTS: usize = 4;

/// The whole server ends at once.
pub fn of_the_server(database: &Database) -> Result<()> {
    survive(database, || database.server.stop(Stop::Immediate))?;
    Ok(())
}

/// One backend is killed, and the postmaster restarts them all.
pub fn of_a_backend(database: &Database) -> Result<()> {
    let mut victim = database.connect()?;
    let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    victim.batch_execute("BEGIN")?;
    survive(database, || {
        victim.batch_execute("SELECT count(*) FROM decide('victim', 'home')")?;
        Ok(kill(Pid::from_raw(pid), Signal::SIGKILL)?)
    })?;
    let mut client = database.connect()?;
    let victims = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.trace WHERE user_key = decide.user_key('victim')",
    )?;
    ensure!(victims == 0, "the victim's open decision was kept");
    Ok(())
}

/// Clients decide and track, each pair in a transaction, until the crash; then all is checked.
fn survive(database: &Database, crash: impl FnOnce() -> Result<()>) -> Result<()> {
    shop::open(&mut database.connect()?)?;
    let clients = (0..CLIENTS)
        .map(|_| database.connect())
        .collect::<Result<Vec<_>>>()?;
    let working = AtomicBool::new(true);
    let acknowledged: Vec<Uuid> = std::thread::scope(|scope| {
        let working = &working;
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, client)| scope.spawn(move || work(client, number, working)))
            .collect();
        std::thread::sleep(Duration::from_millis(700));
        let crashed = crash();
        std::thread::sleep(Duration::from_millis(100));
        working.store(false, Ordering::Relaxed);
        let done = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a client panicked"));
        let done = done.collect();
        crashed.map(|()| done)
    })?;
    let mut client = revive(database)?;
    ensure!(
        acknowledged.len() > 100,
        "only {} decisions were made",
        acknowledged.len()
    );
    let found = client.query_one(
        "SELECT count(*) FROM decide.trace WHERE decision_id = ANY ($1)",
        &[&acknowledged],
    )?;
    let (found, all) = (found.get::<_, i64>(0), shop::replay_all(&mut client)?);
    let made = acknowledged.len() as i64;
    ensure!(
        found == made,
        "{} of {made} acknowledged decisions are gone",
        made - found
    );
    ensure!(
        all <= made + CLIENTS as i64,
        "{all} traces, but only {made} decisions were acknowledged"
    );
    whole(&mut client)?;
    // and it goes on
    let again = client.query("SELECT reason FROM decide('ann', 'home')", &[])?;
    ensure!(
        again[0].get::<_, Option<String>>(0).is_none(),
        "the policy no longer chooses"
    );
    Ok(())
}

/// Decides and tells the outcome, until the connection breaks or it is time to stop; answers what
/// was committed for sure.
fn work(mut client: Client, number: usize, working: &AtomicBool) -> Vec<Uuid> {
    let mut acknowledged = Vec::new();
    for i in 0.. {
        if !working.load(Ordering::Relaxed) {
            break;
        }
        let user = format!("user {} of {number}", i % 50);
        let answer = client.query_one(
            "SELECT d.decision_id, track(jsonb_build_object('event_id', d.decision_id, 'type', 'click', \
                    'user_id', $1, 'at', clock_timestamp(), 'decision_id', d.decision_id)) \
               FROM decide($1, 'home') AS d",
            &[&user],
        );
        match answer {
            Ok(row) => acknowledged.push(row.get(0)),
            Err(_) => break,
        }
    }
    acknowledged
}

/// Brings the server back if it is gone, and waits until it takes clients.
fn revive(database: &Database) -> Result<Client> {
    if !database.server.is_running() {
        database.server.start()?;
    }
    let begun = Instant::now();
    loop {
        match database.connect() {
            Ok(client) => return Ok(client),
            Err(error) if begun.elapsed() > Duration::from_secs(30) => {
                return Err(error).context("the server does not come back");
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Every decision has its outcome and event, each outcome its decision, and features count them.
fn whole(client: &mut Client) -> Result<()> {
    let half = shop::count(
        client,
        "SELECT count(*) FROM decide.trace AS t \
           FULL JOIN decide.outcome AS o USING (decision_id, user_key) \
           FULL JOIN decide.event AS e USING (decision_id, user_key) \
          WHERE t.decided_at IS NULL OR o.at IS NULL OR e.at IS NULL",
    )?;
    ensure!(half == 0, "{half} decisions are there by half");
    let wrong = shop::count(
        client,
        "SELECT count(*) FROM (SELECT user_key, count(*) AS events FROM decide.event GROUP BY 1) AS e \
           FULL JOIN decide.user_state AS s USING (user_key) \
          WHERE s.features[2] IS NULL OR abs(s.features[2] - e.events) > 0.01",
    )?;
    ensure!(
        wrong == 0,
        "{wrong} users have features that are not the sum of their events"
    );
    Ok(())
}
