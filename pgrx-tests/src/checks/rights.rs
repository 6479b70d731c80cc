//! Rights of persons, with real clients: an erasure under load, through a crash and a replay of all events, leaves no byte.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;

use super::shop;
use crate::run;
use crate::temporary::Database;

/// Persons who are erased, and others who are not.
const PERSONS: i32 = 40;

const DAYS: &str = "SELECT decide.make_partitions((pg_catalog.now() AT TIME ZONE 'UTC')::pg_catalog.date - 9, (pg_catalog.now() AT TIME ZONE 'UTC')::pg_catalog.date + 1)";

/// What producers replay: ten days of events of a person, all from before the erasure.
const REPLAY: &str = "SELECT track(ARRAY(SELECT jsonb_build_object('event_id', 'e' || d, 'type', 'click', 'user_id', $1::text, 'at', $2::timestamptz - d * interval '1 day') \
                        FROM pg_catalog.generate_series(0, 8) AS d))";

/// While others decide and track, many persons are erased; the backend that deletes their rows is killed in the middle,
/// the job goes on after the crash, and all events are replayed: then a dump has no byte of their pseudonyms, others have
/// lost nothing, and budgets neither.
pub fn erasure_survives_a_crash(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(DAYS)?;
    client.batch_execute(
        "INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('budget', 'home', 'all', 1000000), ('each', 'home', 'user', 1000); \
         SELECT decide.publish('caps')",
    )?;
    let began = client
        .query_one("SELECT now()::text", &[])?
        .get::<_, String>(0);
    for i in 0..PERSONS {
        for name in [format!("gone{i}"), format!("stays{i}")] {
            live(&mut client, &name, &began)?;
        }
    }
    let keys: Vec<String> = client
        .query(
            "SELECT decide.user_key('gone' || i)::text FROM generate_series(0, $1 - 1) AS i",
            &[&PERSONS],
        )?
        .iter()
        .map(|row| row.get(0))
        .collect();
    ensure!(
        in_dump(database, &keys)? == keys.len(),
        "the dump does not have all of them before"
    );
    let (others, spent) = (of_others(&mut client)?, spent(&mut client)?);
    client.batch_execute(&format!(
        "SELECT decide.erase(ARRAY(SELECT decide.user_key('gone' || i) FROM generate_series(0, {PERSONS} - 1) AS i))"
    ))?;
    let working = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let working = &working;
        let load = scope.spawn(move || work(database, working));
        let crashed = crash_in_a_pass(database);
        working.store(false, Ordering::Relaxed);
        load.join().expect("the load panicked");
        crashed
    })?;
    // Until the server has noticed, and ended all other sessions.
    let until = Instant::now() + Duration::from_secs(20);
    while client.simple_query("SELECT 1").is_ok() {
        ensure!(Instant::now() < until, "the server lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut client = revive(database)?;
    let pending = shop::count(&mut client, "SELECT count(*) FROM decide.erasing")?;
    ensure!(
        pending == i64::from(PERSONS),
        "after the crash {pending} persons wait"
    );
    let shown = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.decision AS d WHERE d.user_key IN (SELECT e.user_key FROM decide.erasing AS e)",
    )?;
    ensure!(
        shown == 0,
        "{shown} decisions of persons who wait are shown"
    );
    client.batch_execute("SELECT decide.run_job('erasure')")?;
    let at = began_at(&mut client, &began)?;
    for i in 0..PERSONS {
        client.execute(REPLAY, &[&format!("gone{i}"), &at])?;
    }
    let left = in_dump(database, &keys)?;
    ensure!(left == 0, "the dump has {left} of the persons");
    let receipt = client.query_one(
        "SELECT persons, users, traces, events, not_reached = '{}' AND finished_at IS NOT NULL FROM decide.erasure",
        &[],
    )?;
    ensure!(receipt.get::<_, bool>(4), "the receipt is not finished");
    let counts: (i32, i64, i64, i64) = (
        receipt.get(0),
        receipt.get(1),
        receipt.get(2),
        receipt.get(3),
    );
    let expected = (
        PERSONS,
        i64::from(PERSONS),
        3 * i64::from(PERSONS),
        9 * i64::from(PERSONS),
    );
    ensure!(
        counts == expected,
        "the receipt says {counts:?}, and there were {expected:?}"
    );
    ensure!(
        of_others(&mut client)? == others,
        "others have lost something"
    );
    let now = self::spent(&mut client)?;
    ensure!(now >= spent, "the budget had spent {spent}, and now {now}");
    Ok(())
}

fn began_at(client: &mut Client, began: &str) -> Result<std::time::SystemTime> {
    Ok(client
        .query_one("SELECT $1::text::timestamptz", &[&began])?
        .get(0))
}

/// A person with events of nine days and three decisions.
fn live(client: &mut Client, name: &str, began: &str) -> Result<()> {
    let at = began_at(client, began)?;
    client.execute(REPLAY, &[&name, &at])?;
    for _ in 0..3 {
        client.execute("SELECT count(*) FROM decide($1::text, 'home')", &[&name])?;
    }
    Ok(())
}

/// How many of the pseudonyms a dump has, as text or as bytes.
fn in_dump(database: &Database, keys: &[String]) -> Result<usize> {
    let dump = run::output(&mut database.client("pg_dump"))?;
    let found = keys.iter().filter(|key| {
        let plain: String = key.chars().filter(|c| *c != '-').collect();
        dump.contains(key.as_str()) || dump.contains(&plain)
    });
    Ok(found.count())
}

/// Rows of those who are not erased.
fn of_others(client: &mut Client) -> Result<Vec<i64>> {
    let row = client.query_one(
        "WITH person AS (SELECT decide.user_key('stays' || i) AS key FROM generate_series(0, 39) AS i) \
         SELECT (SELECT count(*) FROM decide.event WHERE user_key IN (SELECT key FROM person)), \
                (SELECT count(*) FROM decide.trace WHERE user_key IN (SELECT key FROM person)), \
                (SELECT sum(events)::bigint FROM decide.user_state WHERE user_key IN (SELECT key FROM person))",
        &[],
    )?;
    Ok((0..3).map(|column| row.get(column)).collect())
}

fn spent(client: &mut Client) -> Result<i64> {
    shop::count(
        client,
        "SELECT COALESCE(sum(ledger[2]), 0)::bigint FROM decide.budget_stripe",
    )
}

/// Decisions and events of other persons, until it is enough.
fn work(database: &Database, working: &AtomicBool) {
    let Ok(mut client) = database.connect() else {
        return;
    };
    while working.load(Ordering::Relaxed) {
        let call = "SELECT track(jsonb_build_object('event_id', gen_random_uuid(), 'type', 'click', 'user_id', 'busy', 'at', clock_timestamp())), (SELECT count(*) FROM decide('busy', 'home'))";
        if client.simple_query(call).is_err() {
            return;
        }
    }
}

/// Kills the backend that does the job, once it has deleted rows of one table and before it has been through all.
fn crash_in_a_pass(database: &Database) -> Result<()> {
    let mut victim = database.connect()?;
    let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let until = Instant::now() + Duration::from_secs(20);
    let begin = "SELECT decide.begin_erasure() IS NOT NULL";
    while !victim.query_one(begin, &[])?.get::<_, bool>(0) {
        ensure!(Instant::now() < until, "no pass begins");
        std::thread::sleep(Duration::from_millis(20));
    }
    let next = "SELECT rows FROM decide.erase_next((SELECT pass FROM decide.erasing LIMIT 1), 'infinity', '{}')";
    let mut rows = 0;
    while rows == 0 {
        rows = shop::count(&mut victim, next)?;
    }
    victim.batch_execute(&format!("BEGIN; {next}; {next}; {next}"))?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    Ok(())
}

fn revive(database: &Database) -> Result<Client> {
    let mut client = database.reconnect(Duration::from_secs(30))?;
    // Transactions that were open before the crash are gone; the load's own may be open for a moment.
    let until = Instant::now() + Duration::from_secs(20);
    while shop::count(
        &mut client,
        "SELECT cardinality(decide.open_transactions())::bigint",
    )? > 0
    {
        ensure!(Instant::now() < until, "transactions stay open");
        std::thread::sleep(Duration::from_millis(50));
    }
    client
        .query_one("SELECT 1", &[])
        .context("after the crash")?;
    Ok(client)
}
