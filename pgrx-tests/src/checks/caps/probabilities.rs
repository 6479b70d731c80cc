//! What is drawn, against the probabilities that are logged, while caps take candidates away.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::frequencies::{Cells, check};
use super::super::shop;
use super::side_by_side;
use crate::temporary::Database;

const SESSIONS: usize = 8;
const EACH: usize = 2_000;

/// Of the surface.
const SLOTS: i32 = 2;

/// Some candidates are capped per user, and budgets run out on the way: one that is large, one that is
/// small from the beginning, one that counts cost.
pub fn agree_while_caps_bite(database: &Database) -> Result<()> {
    agree_by(database, "softmax", r#"{"temperature": 0.5}"#)
}

/// The same for chances of uncertain scores, which are computed anew for each slot.
pub fn chances_agree_while_caps_bite(database: &Database) -> Result<()> {
    agree_by(database, "thompson", r#"{"scale": 3}"#)
}

fn agree_by(database: &Database, selection: &str, params: &str) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "INSERT INTO decide.campaign (campaign) VALUES ('spring');
         UPDATE decide.action SET campaign = 'spring', cost = 0.7 WHERE action IN ('a4', 'a5');
         INSERT INTO decide.cap (cap, action, per, max_count) VALUES
           ('often enough', 'a6', 'user', 12), ('large', 'a3', 'all', 2500), ('small', 'a2', 'all', 50);
         INSERT INTO decide.cap (cap, campaign, per, max_count, unit) VALUES ('cost', 'spring', 'all', 3000, 'cost');
         INSERT INTO decide.cap (cap, campaign, per, max_count) VALUES ('one of them', 'spring', 'decision', 1)",
    )?;
    shop::choose_by(&mut client, selection, params, SLOTS)?;
    compare(database)
}

/// Every budget has one row, which a session holds until it has committed, some time after: mostly others hold
/// some of them, and what they hold is no candidate, whatever is chosen.
pub fn agree_where_counters_are_held(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "INSERT INTO decide.action (action, surfaces, attributes)
           SELECT 'a' || i, '{home}', pg_catalog.jsonb_build_object('value', i % 6) FROM pg_catalog.generate_series(7, 20) AS i;
         INSERT INTO decide.cap (cap, action, per, max_count, stripes)
           SELECT 'a' || i, 'a' || i, 'all', 600, 1 FROM pg_catalog.generate_series(2, 17) AS i",
    )?;
    shop::choose_by(&mut client, "softmax", r#"{"temperature": 0.5}"#, 3)?;
    decide(database, EACH / 2, "pg_catalog.pg_sleep(0.001)")?;
    super::agree(&mut client)?;
    shop::replay_all(&mut client)?;
    // Who meets a counter that is held shows one of these instead.
    let rows = client.query(
        "SELECT d.slot, pg_catalog.count(*), pg_catalog.sum((c.cap IS NULL)::int)::float8 AS shown,
                pg_catalog.sum(e.p) AS expected, pg_catalog.sum(e.p * (1 - e.p)) AS variance
           FROM decide.decision AS d LEFT JOIN decide.cap AS c USING (action)
          CROSS JOIN LATERAL (SELECT pg_catalog.sum(u.p) AS p
                                FROM unnest(d.candidates, d.probabilities) AS u (action, p)
                               WHERE u.action NOT IN (SELECT k.action FROM decide.cap AS k)) AS e
          WHERE d.reason IS NULL AND e.p > 1e-9 AND e.p < 1 - 1e-9 GROUP BY d.slot ORDER BY d.slot",
        &[],
    )?;
    for row in rows {
        let (slot, decisions): (i32, i64) = (row.get(0), row.get(1));
        let (shown, expected, variance): (f64, f64, f64) = (row.get(2), row.get(3), row.get(4));
        let deviation = (shown - expected) / variance.sqrt();
        ensure!(decisions > 2_000, "only {decisions} decisions tell");
        ensure!(
            deviation.abs() < 4.5,
            "slot {slot}: {shown} of {decisions}, not {expected:.1}: {deviation:.1} deviations"
        );
    }
    Ok(())
}

/// Decides, and compares what was shown with the probabilities in every situation that there was.
fn compare(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    decide(database, EACH, "1")?;
    super::agree(&mut client)?;
    let (mut situations, mut bitten) = (BTreeMap::<_, Cells>::new(), 0);
    for row in client.query(
        "SELECT slot, action, probability, candidates, probabilities FROM decide.decision WHERE reason IS NULL",
        &[],
    )? {
        let (slot, action, p): (i32, String, f64) = (row.get(0), row.get(1), row.get(2));
        let candidates: Vec<String> = row.get(3);
        let probabilities: Vec<f64> = row.get(4);
        bitten += u32::from(candidates.len() < 6);
        let bits: Vec<u64> = probabilities.iter().map(|p| p.to_bits()).collect();
        let cells = situations
            .entry((slot, candidates.clone(), bits))
            .or_default();
        for (candidate, &p) in candidates.iter().zip(&probabilities) {
            if p > 0.0 {
                cells.expect(candidate, p);
            }
        }
        cells.add(&action, p)?;
    }
    ensure!(bitten > 1_000, "caps bound only {bitten} times");
    for slot in 1..=SLOTS {
        let of_slot = situations.iter().filter(|((of, ..), _)| *of == slot);
        let cells: Vec<&Cells> = of_slot.map(|(_, cells)| cells).collect();
        ensure!(cells.len() > 5, "{} situations of slot {slot}", cells.len());
        check(slot as usize - 1, cells.into_iter())?;
    }
    shop::replay_all(&mut client)?;
    Ok(())
}

/// Each session decides in transactions of its own, for users whom others decide for as well, and does something
/// before it commits.
fn decide(database: &Database, each: usize, then: &str) -> Result<()> {
    side_by_side(database, SESSIONS, |number, mut client| {
        let mut chance = StdRng::seed_from_u64(number as u64);
        let decide = client.prepare(&format!(
            "SELECT count(*), {then} FROM decide($1::text, 'home')"
        ))?;
        for _ in 0..each {
            let user = format!("user {}", chance.random_range(0..300));
            client.query(&decide, &[&user])?;
        }
        Ok(())
    })
}
