//! No row has two lockers: a transaction that has locked a row in one of its subtransactions and writes it in another would
//! need a multixact, and sessions would wait for each other where those are kept.
//!
//! One is still needed where a decision in a savepoint has waited for the row of its user, locked it and then taken nothing, as
//! its budgets were in use, and the transaction writes that row outside of the savepoint: so one session has savepoints.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::Client;

use super::super::shop;
use super::side_by_side;
use crate::temporary::Database;

const TIME: Duration = Duration::from_millis(1200);
const SESSIONS: usize = 8;

/// What so many sessions do at the same time, with two users.
const DEEDS: [(&str, usize, &str); 6] = [
    (
        "decide",
        SESSIONS,
        "SELECT count(*) FROM decide(USER, 'home')",
    ),
    (
        "decide and track",
        SESSIONS,
        "BEGIN; SELECT count(*) FROM decide(USER, 'home'); SELECT track(EVENT); COMMIT",
    ),
    (
        "track and decide",
        SESSIONS,
        "BEGIN; SELECT track(EVENT); SELECT count(*) FROM decide(USER, 'home'); COMMIT",
    ),
    (
        "savepoints",
        1,
        "BEGIN; SAVEPOINT a; SELECT count(*) FROM decide(USER, 'home'); RELEASE a; \
         SAVEPOINT b; SELECT count(*) FROM decide(USER, 'home'); SELECT track(EVENT); RELEASE b; \
         SAVEPOINT c; SELECT track(EVENT); ROLLBACK TO c; SELECT count(*) FROM decide(USER, 'home'); COMMIT",
    ),
    (
        "a page",
        SESSIONS,
        "BEGIN; SELECT count(*) FROM decide(USER, '{home,elsewhere}'::text[]); \
         SELECT count(*) FROM decide(USER, '{elsewhere,home}'::text[]); COMMIT",
    ),
    (
        "many events",
        SESSIONS,
        "BEGIN; SELECT count(*) FROM track(ARRAY[EVENT, OTHER]); SELECT count(*) FROM track(ARRAY[EVENT, OTHER]); COMMIT",
    ),
];

pub fn need_no_multixacts(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "INSERT INTO decide.feature (feature, entity, event_type, aggregate) VALUES ('clicked', 'action', 'click', 'decayed_count');
         INSERT INTO decide.cap (cap, surface, per, max_count, stripes) VALUES ('all', 'home', 'all', 1000000000, 1);
         INSERT INTO decide.cap (cap, surface, per, max_count, counts, stripes)
           VALUES ('shown', 'home', 'all', 1000000000, 'click', 1);
         INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('often', 'home', 'user', 1000000000);
         INSERT INTO decide.cap (cap, surface, per, max_count, counts) VALUES ('seen', 'home', 'user', 1000000000, 'click')",
    )?;
    shop::choose_by(&mut client, "uniform", "{}", 1)?;
    for (name, sessions, deed) in DEEDS {
        let before = multixacts(&mut client)?;
        side_by_side(database, sessions, |number, client| {
            repeat(client, number, deed)
        })?;
        let made = multixacts(&mut client)? - before;
        ensure!(made == 0, "{name}: {made} multixacts");
    }
    Ok(())
}

/// How many there have been, by the counter that a checkpoint writes.
fn multixacts(client: &mut Client) -> Result<i64> {
    client.batch_execute("CHECKPOINT")?;
    shop::count(
        client,
        "SELECT next_multixact_id::text::int8 FROM pg_control_checkpoint()",
    )
}

fn repeat(mut client: Client, number: usize, deed: &str) -> Result<()> {
    let event = |user: &str| {
        format!(
            "jsonb_build_object('event_id', gen_random_uuid(), 'type', 'click', 'user_id', {user}, 'at', clock_timestamp(), \
                                'action', 'a1', 'surface', 'home')"
        )
    };
    let users = ["'ann'", "'bob'"];
    let (user, other) = (users[number % 2], users[(number + 1) % 2]);
    let statements = deed
        .replace("USER", user)
        .replace("EVENT", &event(user))
        .replace("OTHER", &event(other));
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        client.batch_execute(&statements)?;
    }
    Ok(())
}
