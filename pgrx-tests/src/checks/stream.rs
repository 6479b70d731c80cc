//! A stream of events in no order, with duplicates, broken off by a crash and sent again from the start,
//! gives the features of the same events told once and in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::{crashes, shop};
use crate::temporary::Database;

const SESSIONS: usize = 8;
/// How many events the calls of every other session have.
const BATCH: usize = 20;
const USERS: u32 = 200;
const EVENTS: u32 = 10_000;

/// The events as they were told in order stand under users whose names begin with "told"; those of the
/// stream under "sent". Cells must agree but for rounding, which the order of addition decides.
const DIFFERENT: &str = "
    SELECT count(*) FROM generate_series(0, 199) AS i
      LEFT JOIN decide.user_state AS a ON a.user_key = decide.user_key('told ' || i)
      LEFT JOIN decide.user_state AS b ON b.user_key = decide.user_key('sent ' || i)
     WHERE a.events IS DISTINCT FROM b.events
        OR cardinality(a.features) IS DISTINCT FROM cardinality(b.features) OR cardinality(a.keyed) IS DISTINCT FROM cardinality(b.keyed)
        OR EXISTS (SELECT 1 FROM unnest(a.features || a.keyed, b.features || b.keyed) AS u (x, y)
                    WHERE x <> y AND NOT abs(x - y) <= 1e-9 * greatest(abs(x), abs(y)))";

pub fn survives_a_crash(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    open(&mut client)?;
    let mut chance = StdRng::seed_from_u64(20_191_124);
    let events: Vec<String> = (0..EVENTS).map(|i| event(i, &mut chance)).collect();
    tell(&mut client, &events)?;

    let mut sent: Vec<&str> = events.iter().map(String::as_str).collect();
    for _ in 0..EVENTS / 5 {
        sent.push(&events[chance.random_range(0..events.len())]);
    }
    sent.shuffle(&mut chance);
    let victim: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let done = send(database, &sent, |done| {
        wait_for(done, sent.len() / 3);
        kill(Pid::from_raw(victim), Signal::SIGKILL)?;
        Ok(())
    })?;
    ensure!(
        done < sent.len() && done > 0,
        "{done} of {} were sent when it crashed",
        sent.len()
    );
    drop(crashes::revive(database)?);
    sent.shuffle(&mut chance);
    let done = send(database, &sent, |_| Ok(()))?;
    ensure!(
        done == sent.len(),
        "only {done} of {} could be sent",
        sent.len()
    );

    let mut client = database.connect()?;
    let stored = shop::count(&mut client, "SELECT count(*) FROM decide.event")?;
    ensure!(
        stored == 2 * i64::from(EVENTS),
        "{stored} events are stored"
    );
    let differ = shop::count(&mut client, DIFFERENT)?;
    ensure!(
        differ == 0,
        "the features of {differ} of {USERS} users differ"
    );
    let row = client.query_one(
        "SELECT sum(decisions)::int8, sum(mismatch + missing + extra)::int8, max(largest_difference) \
           FROM decide.feature_consistency('-infinity', 'infinity')",
        &[],
    )?;
    let (decisions, differ, largest): (i64, i64, f64) = (row.get(0), row.get(1), row.get(2));
    ensure!(decisions > 1000, "only {decisions} features were compared");
    ensure!(
        differ == 0,
        "{differ} of {decisions} features of decisions differ, by {largest} at most"
    );
    Ok(())
}

/// A shop with features of every kind.
fn open(client: &mut Client) -> Result<()> {
    client.batch_execute(
        r#"
        INSERT INTO decide.feature (feature, event_type, aggregate, value_path, half_life, window_length, trial_event_type, filter, key_path) VALUES
          ('spent', 'order', 'decayed_sum', 'value', '3 days', NULL, NULL, '{}', NULL),
          ('mean', 'order', 'decayed_mean', 'action.value', '1 day', NULL, NULL, '{}', NULL),
          ('rate', 'order', 'rate', NULL, '1 day', NULL, 'click', '{}', NULL),
          ('orders_1h', 'order', 'window_count', NULL, NULL, '1 hour', NULL, '{}', NULL),
          ('spent_7d', 'order', 'window_sum', 'value', NULL, '7 days', NULL, '{}', NULL),
          ('since', 'click', 'recency', NULL, NULL, NULL, NULL, '{}', NULL),
          ('first', 'order', 'first', 'value', NULL, NULL, NULL, '{}', NULL),
          ('last', 'order', 'last', 'value', NULL, NULL, NULL, '{}', NULL),
          ('items', 'click', 'distinct', 'action', NULL, NULL, NULL, '{}', NULL),
          ('web', 'click', 'decayed_count', NULL, NULL, NULL, NULL, '{"attributes.source": "web"}', NULL),
          ('by_action', 'click', 'decayed_count', NULL, '1 day', NULL, NULL, '{}', 'action'),
          ('by_colour', 'order', 'decayed_sum', 'action.value', NULL, NULL, NULL, '{}', 'attributes.colour');
        -- The later days have partitions of their own, the others are in the default one.
        SELECT decide.make_partitions(date '2026-01-05', date '2026-01-20');
        "#,
    )?;
    shop::open(client)
}

/// The i-th event, as JSON, of a user without the first word of their name.
fn event(i: u32, chance: &mut StdRng) -> String {
    let kind = ["click", "order"][chance.random_range(0..2)];
    let source = ["web", "app"][chance.random_range(0..2)];
    let colour = ["red", "green", "blue"][chance.random_range(0..3)];
    let user = chance.random_range(0..USERS);
    let action = chance.random_range(1..=7);
    let value = f64::from(chance.random_range(1..100_000)) / 100.0;
    let seconds = f64::from(i) * 86.4;
    let at = format!(
        "2026-01-{:02}T{:02}:{:02}:{:06.3}Z",
        1 + (seconds / 86_400.0) as u32,
        (seconds % 86_400.0 / 3_600.0) as u32,
        (seconds % 3_600.0 / 60.0) as u32,
        seconds % 60.0
    );
    format!(
        r#"{{"event_id": "{i}", "type": "{kind}", "user_id": "{user}", "at": "{at}", "action": "a{action}", "value": {value}, "attributes": {{"source": "{source}", "colour": "{colour}"}}}}"#
    )
}

/// Tells the events in order, once.
fn tell(client: &mut Client, events: &[String]) -> Result<()> {
    for batch in events.chunks(500) {
        let accepted: i64 = client
            .query_one(
                "SELECT t.accepted FROM track(ARRAY(SELECT e::jsonb || jsonb_build_object('user_id', 'told ' || (e::jsonb ->> 'user_id')) \
                   FROM unnest($1::text[]) WITH ORDINALITY AS u (e, n) ORDER BY n)) AS t",
                &[&batch],
            )?
            .get(0);
        ensure!(
            accepted == batch.len() as i64,
            "{accepted} of {} events were told",
            batch.len()
        );
    }
    Ok(())
}

/// Sends the events from several sessions, with a decision now and then; answers how many were taken
/// in before the connections broke, if they did.
fn send(
    database: &Database,
    events: &[&str],
    meanwhile: impl FnOnce(&AtomicUsize) -> Result<()>,
) -> Result<usize> {
    let clients = (0..SESSIONS)
        .map(|_| database.connect())
        .collect::<Result<Vec<_>>>()?;
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let done = &done;
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, client)| {
                let mine: Vec<&str> = events
                    .iter()
                    .skip(number)
                    .step_by(SESSIONS)
                    .copied()
                    .collect();
                let batch = if number % 2 == 0 { 1 } else { BATCH };
                scope.spawn(move || send_all(client, &mine, batch, done))
            })
            .collect();
        let met = meanwhile(done);
        for thread in threads {
            thread.join().expect("a client panicked");
        }
        met.map(|()| done.load(Ordering::Relaxed))
    })
}

/// Waits until so many are done; no longer than a minute.
fn wait_for(done: &AtomicUsize, enough: usize) {
    let step = Duration::from_millis(1);
    for _ in 0..60_000 {
        if done.load(Ordering::Relaxed) >= enough {
            return;
        }
        std::thread::sleep(step);
    }
}

fn send_all(mut client: Client, events: &[&str], batch: usize, done: &AtomicUsize) {
    let Ok(track) = client.prepare(
        "SELECT * FROM track(ARRAY(SELECT e::jsonb || jsonb_build_object('user_id', 'sent ' || (e::jsonb ->> 'user_id')) \
                                     FROM unnest($1::text[]) AS e))",
    ) else {
        return;
    };
    let Ok(track_one) = client.prepare(
        "SELECT track($1::text::jsonb || jsonb_build_object('user_id', 'sent ' || ($1::text::jsonb ->> 'user_id')))",
    ) else {
        return;
    };
    for (i, events) in events.chunks(batch).enumerate() {
        let sent = match events {
            [event] => client.query_one(&track_one, &[event]),
            events => client.query_one(&track, &[&events]),
        };
        let sent = sent.and_then(|_| {
            if i % 20 == 0 {
                let user = format!("sent {}", i as u32 % USERS);
                client.execute("SELECT decide($1, 'home')", &[&user])?;
            }
            Ok(())
        });
        if sent.is_err() {
            return;
        }
        done.fetch_add(events.len(), Ordering::Relaxed);
    }
}
