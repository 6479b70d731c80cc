//! Decisions, events, publications, erasures and jobs at the same time: none stands in the way of
//! another for good, and what is counted is right in the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use postgres::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::shop;
use crate::temporary::Database;

const TIME: Duration = Duration::from_secs(6);
const USERS: u32 = 30;

/// What a session does over and over; answers whether something came of it.
type Deed = fn(&mut Client, &mut StdRng) -> Result<(), postgres::Error>;

pub fn without_deadlocks(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "INSERT INTO decide.campaign (campaign) VALUES ('spring');
         UPDATE decide.action SET campaign = 'spring' WHERE action IN ('a1', 'a2', 'a3');
         INSERT INTO decide.cap (cap, campaign, per, max_count, stripes) VALUES ('spring', 'spring', 'all', 100000, 4);
         INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('small', 'a5', 'all', 300);
         INSERT INTO decide.cap (cap, surface, per, max_count, counts, hold, stripes) VALUES ('shown', 'home', 'all', 1000000, 'impression', '1 second', 4);
         INSERT INTO decide.cap (cap, action, per, max_count, counts, hold) VALUES ('seen', 'a6', 'user', 1000, 'impression', '1 hour');
         INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('often', 'a4', 'user', 1000)",
    )?;
    shop::choose_by(&mut client, "uniform", "{}", 2)?;
    let deeds: [Deed; 10] = [
        decides,
        decides,
        decides,
        decides,
        decides_for_two,
        tracks,
        tracks,
        publishes,
        erases,
        works,
    ];
    let done: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = deeds
            .into_iter()
            .enumerate()
            .map(|(number, deed)| scope.spawn(move || repeat(database, number, deed)))
            .collect();
        let done = threads
            .into_iter()
            .map(|thread| thread.join().expect("a client panicked"));
        done.collect::<Result<Vec<_>>>()
    })?;
    for (number, times) in done.iter().enumerate() {
        ensure!(*times >= 3, "deed {number} was done {times} times");
    }
    // What erasures took along is gone with the rows of the users; budgets have all of it.
    let (counted, shown) = budgets(&mut client, "spring", "'a1', 'a2', 'a3'")?;
    ensure!(
        counted == shown,
        "spring: the counters have {counted}, but {shown} are committed"
    );
    let (counted, shown) = budgets(&mut client, "small", "'a5'")?;
    ensure!(
        counted == shown && shown == 300,
        "small: the counters have {counted}, but {shown} are committed"
    );
    shown_are_counted(&mut client)
}

/// When all reservations were looked up, what counts is what events told of.
fn shown_are_counted(client: &mut Client) -> Result<()> {
    let begun = Instant::now();
    loop {
        client.execute("SELECT decide.run_job('budgets')", &[])?;
        let (counted, _) = budgets(client, "shown", "NULL")?;
        let told = shop::count(
            client,
            "SELECT count(*) FROM decide.decision AS d WHERE d.reason IS NULL AND EXISTS \
               (SELECT 1 FROM decide.outcome AS o WHERE o.decision_id = d.decision_id AND o.type = 'impression' AND o.action = d.action)",
        )?;
        ensure!(told > 50, "only {told} impressions were told of");
        if counted == told {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(10),
            "shown: the counters have {counted}, but {told} were told of"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// What the counters of a cap have, and how often these actions were shown.
fn budgets(client: &mut Client, cap: &str, actions: &str) -> Result<(i64, i64)> {
    let row = client.query_one(
        &format!(
            "SELECT (SELECT COALESCE(sum(s.ledger[i + 1]), 0)::int8 FROM decide.cap_slot AS c JOIN decide.budget_stripe AS s USING (slot), \
                       generate_series(1, cardinality(s.ledger), 3) AS i WHERE c.cap = '{cap}'), \
                    (SELECT count(*) FROM decide.decision WHERE reason IS NULL AND action IN ({actions}))"
        ),
        &[],
    )?;
    Ok((row.get(0), row.get(1)))
}

/// Does it until the time is over; how often it came to an end.
fn repeat(database: &Database, number: usize, deed: Deed) -> Result<usize> {
    let mut client = database.connect()?;
    let mut chance = StdRng::seed_from_u64(number as u64);
    let (begun, mut done) = (Instant::now(), 0);
    while begun.elapsed() < TIME {
        match deed(&mut client, &mut chance) {
            Ok(()) => done += 1,
            Err(error) => {
                // Publishing gives way to what is going on.
                let code = error.code().map(|code| code.code().to_owned());
                if code.as_deref() != Some("55P03") {
                    bail!("deed {number} ended with {error:?}");
                }
                client.batch_execute("ROLLBACK")?;
            }
        }
    }
    Ok(done)
}

fn user(chance: &mut StdRng) -> String {
    format!("user {}", chance.random_range(0..USERS))
}

fn decides(client: &mut Client, chance: &mut StdRng) -> Result<(), postgres::Error> {
    client.query("SELECT decide($1::text, 'home')", &[&user(chance)])?;
    Ok(())
}

/// In one transaction, in any order, with a rest between them.
fn decides_for_two(client: &mut Client, chance: &mut StdRng) -> Result<(), postgres::Error> {
    client.batch_execute("BEGIN")?;
    decides(client, chance)?;
    client.batch_execute("SELECT pg_sleep(0.003)")?;
    decides(client, chance)?;
    client.batch_execute(match chance.random_range(0..3) {
        0 => "ROLLBACK",
        _ => "COMMIT",
    })
}

/// Says that one of the latest decisions was seen, most of the time.
fn tracks(client: &mut Client, chance: &mut StdRng) -> Result<(), postgres::Error> {
    let user = user(chance);
    client.batch_execute("BEGIN")?;
    let shown = client.query(
        "SELECT decision_id::text, action FROM decide($1::text, 'home') WHERE reason IS NULL",
        &[&user],
    )?;
    let Some(row) = shown.first() else {
        return client.batch_execute("COMMIT");
    };
    client.batch_execute("COMMIT")?;
    let (decision, action): (String, String) = (row.get(0), row.get(1));
    if chance.random_range(0..4) > 0 {
        client.query(
            "SELECT track(jsonb_build_object('event_id', $1::text, 'type', 'impression', 'user_id', $2::text, \
                          'at', clock_timestamp(), 'decision_id', $1::text, 'action', $3::text))",
            &[&decision, &user, &action],
        )?;
    }
    Ok(())
}

/// Other limits, none below what may be spent by then.
fn publishes(client: &mut Client, chance: &mut StdRng) -> Result<(), postgres::Error> {
    let limit = 100_000 + chance.random_range(0..1_000);
    client.batch_execute(&format!(
        "BEGIN; UPDATE decide.cap SET max_count = {limit} WHERE cap = 'spring'; SELECT decide.publish('another limit'); COMMIT; SELECT pg_sleep(0.05)"
    ))
}

fn erases(client: &mut Client, chance: &mut StdRng) -> Result<(), postgres::Error> {
    let user = user(chance);
    client.execute(
        "DELETE FROM decide.user_state WHERE user_key = decide.user_key($1::text)",
        &[&user],
    )?;
    client.batch_execute("SELECT pg_sleep(0.01)")
}

fn works(client: &mut Client, _: &mut StdRng) -> Result<(), postgres::Error> {
    client.batch_execute("SELECT decide.run_job('budgets'); SELECT pg_sleep(0.02)")
}
