//! A feature's past is computed while clients track: every event counts in it once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use postgres::Client;

use super::shop;
use crate::temporary::Database;

const CLIENTS: usize = 6;

/// Users whose row does not say what their events do, in the feature "orders" and in the one per key.
const WRONG: &str = "
    SELECT count(*) FROM (SELECT user_key, count(*) AS events FROM decide.event WHERE type = 'order' GROUP BY 1) AS e
      JOIN decide.user_state AS s USING (user_key)
     WHERE s.features[(SELECT slot + 2 FROM decide.feature_slot WHERE feature = 'orders')] IS DISTINCT FROM e.events
        OR s.keyed[6] IS DISTINCT FROM e.events";

/// Events from before it is staged, between, while it is computed, and after the switch; of users who
/// are new and of old ones; one by one and several in a transaction.
pub fn counts_every_event_once(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "SELECT track(jsonb_build_object('event_id', i, 'type', 'order', 'user_id', 'old ' || lpad(i::text, 4, '0'), 'surface', 'home', 'at', now(), 'value', i)) \
           FROM generate_series(1, 2500) AS i",
    )?;
    let clients = (0..CLIENTS)
        .map(|_| database.connect())
        .collect::<Result<Vec<_>>>()?;
    let working = AtomicBool::new(true);
    let tracked = std::thread::scope(|scope| {
        let working = &working;
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, client)| scope.spawn(move || work(client, number, working)))
            .collect();
        let switched = switch(&mut client);
        working.store(false, Ordering::Relaxed);
        let mut tracked = 0;
        for thread in threads {
            tracked += thread.join().expect("a client panicked")?;
        }
        switched.map(|()| tracked)
    })?;
    ensure!(tracked > 500, "only {tracked} events were tracked");
    let events = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.event WHERE type = 'order'",
    )?;
    ensure!(
        events == tracked + 2500,
        "{events} events, but {tracked} + 2500 were tracked"
    );
    let wrong = shop::count(&mut client, WRONG)?;
    ensure!(
        wrong == 0,
        "{wrong} users' features are not what their events say"
    );
    consistent(&mut client)
}

/// Stages the two features, has them computed and publishes, with time to track between.
fn switch(client: &mut Client) -> Result<()> {
    let pause = || std::thread::sleep(Duration::from_millis(200));
    pause();
    client.batch_execute(
        "INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('orders', 'order', 'decayed_count'); \
         INSERT INTO decide.feature (feature, event_type, aggregate, key_path) VALUES ('by_surface', 'order', 'decayed_count', 'surface')",
    )?;
    for feature in ["orders", "by_surface"] {
        let begun = Instant::now();
        loop {
            let said: String = client
                .query_one("SELECT decide.backfill($1)", &[&feature])?
                .get(0);
            if said.contains("done: publish") {
                break;
            }
            if begun.elapsed() > Duration::from_secs(60) {
                bail!("the backfill of {feature} does not end: {said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        pause();
    }
    client.batch_execute("SELECT decide.publish('switch over')")?;
    pause();
    Ok(())
}

/// Tracks orders until it is time to stop; answers how many. Users of a transaction are in one order,
/// so that clients do not lock each other out.
fn work(mut client: Client, number: usize, working: &AtomicBool) -> Result<i64> {
    let mut tracked = 0;
    for round in 0.. {
        if !working.load(Ordering::Relaxed) {
            break;
        }
        let old = (round * 37 + number * 400) % 2490;
        tracked += client.query_one(
            "SELECT accepted FROM track(ARRAY(SELECT jsonb_build_object('event_id', concat_ws(' ', 'e', $1::int8, $2::int8, u), 'type', 'order', \
                    'user_id', u, 'surface', 'home', 'at', clock_timestamp()) \
               FROM (SELECT 'old ' || lpad(i::text, 4, '0') AS u FROM generate_series($3::int8, $3::int8 + $2::int8 % 4) AS i \
                      UNION ALL SELECT concat_ws(' ', 'young', $1::int8, $2::int8)) AS users))",
            &[&(number as i64), &(round as i64), &(old as i64)],
        )?.get::<_, i64>(0);
        if round % 5 == 0 {
            client.query(
                "SELECT decide($1, 'home')",
                &[&format!("young {number} {round}")],
            )?;
        }
    }
    Ok(tracked)
}

fn consistent(client: &mut Client) -> Result<()> {
    let row = client.query_one(
        "SELECT sum(decisions)::int8, sum(mismatch + missing + extra)::int8 FROM decide.feature_consistency('-infinity', 'infinity')",
        &[],
    )?;
    let (decisions, differ): (i64, i64) = (row.get(0), row.get(1));
    ensure!(decisions > 0, "no decision was compared");
    ensure!(differ == 0, "{differ} features of decisions differ");
    Ok(())
}

/// A transaction has made a user, and its first event, when the feature is staged.
pub fn waits_for_a_user_that_is_being_made(database: &Database) -> Result<()> {
    let (mut tracker, mut owner) = (database.connect()?, database.connect()?);
    shop::open(&mut owner)?;
    owner.batch_execute(ORDERS)?;
    tracker.batch_execute("BEGIN")?;
    track(&mut tracker, "first")?;
    let early = owner.batch_execute("SELECT decide.backfill('orders')");
    let code = early.as_ref().err().and_then(|error| error.code());
    ensure!(
        code.is_some_and(|code| code.code() == "55P03"),
        "it was staged while a user was being made: {early:?}"
    );
    tracker.batch_execute("COMMIT; BEGIN")?;
    owner.batch_execute("SELECT decide.backfill('orders')")?;
    track(&mut tracker, "second")?;
    std::thread::scope(|scope| {
        let filled = scope.spawn(|| owner.batch_execute("SELECT decide.backfill('orders')"));
        std::thread::sleep(Duration::from_millis(300));
        tracker.batch_execute("COMMIT")?;
        filled.join().expect("it panicked")
    })?;
    // It passes by a user whose row another transaction has, and says so: the next call finds them free.
    owner.batch_execute("SELECT decide.backfill('orders')")?;
    track(&mut tracker, "third")?;
    owner.batch_execute("SELECT decide.publish('switch over')")?;
    let orders = orders(&mut owner)?;
    ensure!(orders == 3.0, "{orders} of 3 orders were counted");
    Ok(())
}

/// A track() that had begun before the feature was staged, waited for that, and commits when all
/// others are done: it is of a user whom nobody sees yet, and counts in the feature by itself.
pub fn reaches_who_waited_for_it(database: &Database) -> Result<()> {
    let (mut tracker, mut owner) = (database.connect()?, database.connect()?);
    shop::open(&mut owner)?;
    owner.batch_execute(ORDERS)?;
    owner.batch_execute("BEGIN; SELECT decide.backfill('orders')")?;
    tracker.batch_execute("BEGIN")?;
    std::thread::scope(|scope| {
        let tracked = scope.spawn(|| track(&mut tracker, "first"));
        std::thread::sleep(Duration::from_millis(300));
        ensure!(!tracked.is_finished(), "it did not wait");
        owner.batch_execute("COMMIT")?;
        tracked.join().expect("it panicked")
    })?;
    owner.batch_execute("SELECT decide.backfill('orders')")?;
    tracker.batch_execute("COMMIT")?;
    owner.batch_execute("SELECT decide.publish('switch over')")?;
    let orders = orders(&mut owner)?;
    ensure!(orders == 1.0, "{orders} of 1 order were counted");
    Ok(())
}

const ORDERS: &str = "INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('orders', 'order', 'decayed_count')";

fn track(client: &mut Client, id: &str) -> Result<()> {
    client.execute(
        "SELECT track(jsonb_build_object('event_id', $1::text, 'type', 'order', 'user_id', 'ann', 'at', now()))",
        &[&id],
    )?;
    Ok(())
}

fn orders(client: &mut Client) -> Result<f64> {
    let row = client.query_one(
        "SELECT value FROM decide.features('ann') WHERE feature = 'orders'",
        &[],
    )?;
    Ok(row.get(0))
}
