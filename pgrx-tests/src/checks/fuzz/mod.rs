//! Malformed events in bulk: none raises an error, none is lost, and none takes a good one along.

mod maker;

use std::time::Instant;

use anyhow::{Result, ensure};
use postgres::Client;
use rand::Rng;

use self::maker::{Made, Maker, USERS};
use super::shop;
use crate::temporary::Database;

/// How many malformed events; the variable asks for another number.
const BAD: usize = 40_000;
const VARIABLE: &str = "PG_DECIDE_FUZZ_EVENTS";
const BATCH: usize = 1000;
const SEED: u64 = 20;

/// Bad events and good ones in one stream, as text and as jsonb[]: each is where it belongs.
pub fn quarantines_every_bad_event(database: &Database) -> Result<()> {
    let asked = std::env::var(VARIABLE).ok();
    let wanted = asked.as_ref().map_or(Ok(BAD), |number| number.parse())?;
    let mut client = database.connect()?;
    let pid = shop::count(&mut client, "SELECT pg_backend_pid()::bigint")?;
    open(&mut client)?;
    let begun = Instant::now();
    let mut maker = Maker::new(SEED, recent(&mut client)?);
    let (mut good, mut bad) = (0, 0);
    while bad < wanted {
        let batch = maker.batch(BATCH);
        let goods = batch.iter().filter(|event| event.good).count();
        let found = match maker.rng.random_bool(0.5) {
            true => send_as_text(&mut client, &batch)?,
            false => send_as_jsonb(&mut client, &batch)?,
        };
        let expected = [goods as i64, 0, (batch.len() - goods) as i64];
        ensure!(
            found == expected,
            "after {bad} bad events: {found:?} instead of {expected:?}\n{}",
            odd_one(&mut client, &batch)?
        );
        good += goods;
        bad += batch.len() - goods;
    }
    if asked.is_some() {
        println!(
            "{bad} bad and {good} good events in {:.1?}",
            begun.elapsed()
        );
    }
    ensure!(
        shop::count(&mut client, "SELECT pg_backend_pid()::bigint")? == pid,
        "the session was lost"
    );
    all_are_there(&mut client, good, bad)
}

/// One type of event with a contract of every kind, and features that count it.
fn open(client: &mut Client) -> Result<()> {
    shop::open(client)?;
    client.batch_execute(
        r#"
        INSERT INTO decide.event_type (event_type, fields, lateness, retention) VALUES
          ('click', '{}', NULL, NULL),
          ('order', '{"value": {"required": true, "min": 0, "max": 1000}, "action": {"max_length": 20},
                      "attributes.pieces": {"type": "integer", "min": 0, "max": 1000},
                      "attributes.color": {"type": "text", "one_of": ["red", "blue"]},
                      "attributes.gift": {"type": "boolean"}, "attributes.due": {"type": "time"},
                      "attributes.basket": {"type": "uuid"}}', '10 days', '20 days');
        INSERT INTO decide.feature (feature, event_type, aggregate, value_path)
          VALUES ('orders', 'order', 'decayed_count', NULL), ('spent', 'order', 'decayed_sum', 'value'),
                 ('pieces', 'order', 'decayed_sum', 'attributes.pieces');
        SELECT decide.publish('contracts');
        "#,
    )?;
    Ok(())
}

/// Moments of the last nine days, as producers write them.
fn recent(client: &mut Client) -> Result<Vec<String>> {
    let rows = client.query(
        "SELECT to_char((now() - i * interval '53 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
           FROM generate_series(0, 240) AS i",
        &[],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn send_as_text(client: &mut Client, batch: &[Made]) -> Result<[i64; 3]> {
    let row = client.query_one(
        "SELECT count(*) FILTER (WHERE t = 'accepted'), count(*) FILTER (WHERE t = 'duplicate'), \
                count(*) FILTER (WHERE t = 'quarantined') \
           FROM unnest($1::text[]) AS e (event), track(e.event) AS t",
        &[&texts(batch)],
    )?;
    Ok([row.get(0), row.get(1), row.get(2)])
}

/// What cannot be jsonb is sent as text beside the array.
fn send_as_jsonb(client: &mut Client, batch: &[Made]) -> Result<[i64; 3]> {
    let (jsonb, text): (Vec<Made>, Vec<Made>) = batch.iter().cloned().partition(|made| made.jsonb);
    let row = client.query_one(
        "SELECT * FROM track($1::text[]::jsonb[])",
        &[&texts(&jsonb)],
    )?;
    let mut counts = send_as_text(client, &text)?;
    for (i, count) in counts.iter_mut().enumerate() {
        *count += row.get::<_, i64>(i);
    }
    Ok(counts)
}

fn texts(batch: &[Made]) -> Vec<&str> {
    batch.iter().map(|made| made.text.as_str()).collect()
}

/// The first event of the batch that is not told as it should be.
fn odd_one(client: &mut Client, batch: &[Made]) -> Result<String> {
    for made in batch {
        let answer: String = client
            .query_one("SELECT track($1::text)", &[&made.text])?
            .get(0);
        if made.good != (answer != "quarantined") {
            let start: String = made.text.chars().take(500).collect();
            return Ok(format!("{answer} ({}): {start}", made.how));
        }
    }
    Ok("each alone is told as it should be".into())
}

/// Nothing is lost: the tables and the features agree with what was sent.
fn all_are_there(client: &mut Client, good: usize, bad: usize) -> Result<()> {
    let row = client.query_one(
        "SELECT (SELECT count(*) FROM decide.event), (SELECT count(*) FROM decide.quarantine), \
                (SELECT count(*) FROM decide.quarantine WHERE cardinality(reasons) = 0 OR '' = ANY (reasons)), \
                (SELECT count(*) FROM decide.quarantine WHERE payload ? 'user_id')",
        &[],
    )?;
    let (events, kept): (i64, i64) = (row.get(0), row.get(1));
    ensure!(
        (events, kept) == (good as i64, bad as i64),
        "{events} events of {good} good ones, and {kept} in quarantine of {bad} bad ones"
    );
    let (without, named): (i64, i64) = (row.get(2), row.get(3));
    ensure!(without == 0, "{without} are in quarantine without a reason");
    ensure!(named == 0, "{named} in quarantine name their user");
    let row = client.query_one(
        "SELECT count(*), count(*) FILTER (WHERE orders = f.o AND spent = f.s AND pieces = f.p) \
           FROM (SELECT user_key, count(*)::float8 AS orders, sum(value) AS spent, \
                        sum((attributes->'pieces')::float8) AS pieces FROM decide.event GROUP BY user_key) AS e \
           JOIN (SELECT u, decide.user_key(u::bigint) AS user_key FROM generate_series(1, $1::int) AS u) AS k USING (user_key) \
          CROSS JOIN LATERAL (SELECT max(value) FILTER (WHERE feature = 'orders') AS o, \
                                     max(value) FILTER (WHERE feature = 'spent') AS s, \
                                     max(value) FILTER (WHERE feature = 'pieces') AS p \
                                FROM decide.features(k.u::bigint)) AS f",
        &[&(USERS as i32)],
    )?;
    let (users, agree): (i64, i64) = (row.get(0), row.get(1));
    ensure!(
        users == USERS as i64 && agree == users,
        "the features of {agree} among {users} users agree with their events"
    );
    let reasons = client.query(
        "SELECT DISTINCT split_part(r, ':', 1) FROM decide.quarantine AS q, unnest(q.reasons) AS r ORDER BY 1",
        &[],
    )?;
    ensure!(
        reasons.len() >= 20,
        "only {} codes occurred: {reasons:?}",
        reasons.len()
    );
    Ok(())
}
