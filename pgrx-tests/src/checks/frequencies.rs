//! What is drawn, against the probabilities that are logged: many decisions on one context.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::shop;
use crate::temporary::Database;

const DECISIONS: usize = 20_000;

/// A run that is less likely than this under the logged probabilities is a failure: once in some
/// ten thousand runs of all these checks it fails without a cause.
const LEAST_LIKELY: f64 = 1e-6;

/// Cells that expect fewer than this are taken together.
const LEAST_EXPECTED: f64 = 5.0;

pub fn of_uniform(database: &Database) -> Result<()> {
    agree(database, "uniform", "{}")
}

pub fn of_greedy(database: &Database) -> Result<()> {
    agree(database, "greedy", "{}")
}

pub fn of_epsilon_greedy(database: &Database) -> Result<()> {
    agree(database, "epsilon_greedy", r#"{"epsilon": 0.3}"#)
}

pub fn of_softmax(database: &Database) -> Result<()> {
    agree(database, "softmax", r#"{"temperature": 0.5}"#)
}

/// Scores 0.3 to 1.8, with standard deviations 0.1 to 0.6.
pub fn of_thompson(database: &Database) -> Result<()> {
    agree(database, "thompson", "{}")?;
    agree(
        database,
        "thompson",
        r#"{"scale": 3, "min_probability": 0.02}"#,
    )
}

pub fn of_ucb(database: &Database) -> Result<()> {
    agree(database, "ucb", r#"{"gamma": -2, "min_probability": 0.05}"#)
}

pub fn of_squarecb(database: &Database) -> Result<()> {
    agree(database, "squarecb", r#"{"gamma": 4}"#)?;
    agree(database, "squarecb", "{}")
}

/// Where what is not sure to be worth enough is left out.
pub fn of_a_lower_bound(database: &Database) -> Result<()> {
    agree(
        database,
        "thompson",
        r#"{"min_lower_bound": 0.3, "lower_bound_gamma": 1}"#,
    )
}

pub fn of_a_floor(database: &Database) -> Result<()> {
    agree(
        database,
        "softmax",
        r#"{"temperature": 0.1, "min_probability": 0.03}"#,
    )?;
    agree(database, "greedy", r#"{"min_probability": 0.05}"#)
}

/// In the mode cautious, where half of the six candidates are left and a quarter of the exploration.
pub fn of_caution(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute("SELECT decide.set_mode('home', 'cautious', 'a test')")?;
    agree(database, "softmax", r#"{"temperature": 2}"#)?;
    agree(
        database,
        "epsilon_greedy",
        r#"{"epsilon": 0.8, "min_probability": 0.2}"#,
    )?;
    let narrowed = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.trace AS t WHERE t.mode = 'cautious' \
            AND t.blocked_by = '{7,7,7}' AND pg_catalog.cardinality(decide.candidate_names(t.candidates)) = 3 \
            AND t.choice IN ('{3,0.5,0}', '{2,0.2,0.05}')",
    )?;
    ensure!(
        narrowed == 4 * DECISIONS as i64,
        "{narrowed} decisions were cautious"
    );
    Ok(())
}

/// One slot and three.
fn agree(database: &Database, selection: &str, params: &str) -> Result<()> {
    for slots in [1, 3] {
        slots_agree(database, selection, params, slots)
            .with_context(|| format!("{selection} {params}, {slots} slots"))?;
    }
    Ok(())
}

fn slots_agree(database: &Database, selection: &str, params: &str, slots: i32) -> Result<()> {
    let mut client = database.connect()?;
    if shop::count(&mut client, "SELECT count(*) FROM decide.surface")? == 0 {
        shop::open(&mut client)?;
    }
    shop::choose_by(&mut client, selection, params, slots)?;
    client.batch_execute(
        "CREATE TABLE IF NOT EXISTS answer \
           (slot int, action text, probability float8, decision_id uuid, reason text); \
         TRUNCATE answer",
    )?;
    decide(database)?;
    let all = shop::count(
        &mut client,
        "SELECT count(*) FROM answer WHERE reason IS NULL",
    )?;
    ensure!(
        all == DECISIONS as i64 * i64::from(slots),
        "{all} slots were filled by the policy"
    );
    let logged = shop::count(
        &mut client,
        "SELECT count(*) FROM answer AS a JOIN decide.decision AS d \
         USING (decision_id, slot, action, probability)",
    )?;
    ensure!(
        logged == all,
        "{logged} of {all} slots are logged as answered"
    );
    let mut cells: BTreeMap<Vec<String>, Cells> = BTreeMap::new();
    for row in client.query(
        "SELECT string_agg(action, ' ' ORDER BY slot), array_agg(probability ORDER BY slot) \
           FROM answer GROUP BY decision_id",
        &[],
    )? {
        let slate: Vec<String> = row.get::<_, String>(0).split(' ').map(Into::into).collect();
        let probabilities: Vec<f64> = row.get(1);
        for (slot, (action, p)) in slate.iter().zip(probabilities).enumerate() {
            let cells = cells.entry(slate[..slot].to_vec()).or_default();
            cells.add(action, p)?;
        }
    }
    for slot in 0..slots as usize {
        let of_slot = cells.iter().filter(|(before, _)| before.len() == slot);
        check(slot, of_slot.map(|(_, cells)| cells))?;
    }
    shop::replay_all(&mut client)?;
    Ok(())
}

/// Two clients decide side by side for one user: the context of all decisions is the same.
fn decide(database: &Database) -> Result<()> {
    let clients = [database.connect()?, database.connect()?];
    let half = DECISIONS / clients.len();
    std::thread::scope(|scope| {
        let threads = clients.map(|mut client| {
            let sql = format!(
                "INSERT INTO answer SELECT d.* FROM generate_series(1, {half}) AS i, \
                 decide('ann' || left(i::text, 0), 'home', '{{\"device\": \"mobile\"}}') AS d"
            );
            scope.spawn(move || client.batch_execute(&sql))
        });
        for thread in threads {
            thread.join().expect("a client panicked")?;
        }
        Ok(())
    })
}

/// What was drawn for a slot after the same slots before it, and the probabilities logged.
#[derive(Default)]
pub struct Cells {
    drawn: u32,
    by_action: BTreeMap<String, (u32, f64)>,
}

impl Cells {
    /// One more draw. The same situation must have the same probability each time.
    pub fn add(&mut self, action: &str, p: f64) -> Result<()> {
        let cell = self.by_action.entry(action.to_owned()).or_insert((0, p));
        ensure!(cell.1 == p, "{action} had probability {} and {p}", cell.1);
        cell.0 += 1;
        self.drawn += 1;
        Ok(())
    }

    /// One that can still be drawn, with the probability logged for it.
    pub fn expect(&mut self, action: &str, p: f64) {
        self.by_action.entry(action.to_owned()).or_insert((0, p));
    }

    /// Observed and expected numbers; what was never drawn is one cell with the rest.
    fn table(&self) -> Vec<(f64, f64)> {
        let n = f64::from(self.drawn);
        let cells = self.by_action.values();
        let mut table: Vec<(f64, f64)> = cells.map(|&(seen, p)| (f64::from(seen), n * p)).collect();
        let rest = n - table.iter().map(|(_, expected)| expected).sum::<f64>();
        if rest > n * 1e-9 {
            table.push((0.0, rest));
        }
        let (large, small): (Vec<_>, Vec<_>) = table
            .into_iter()
            .partition(|&(_, expected)| expected >= LEAST_EXPECTED);
        let pooled = small
            .iter()
            .fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
        large
            .into_iter()
            .chain((pooled.1 > 0.0).then_some(pooled))
            .collect()
    }
}

/// Pearson's test over all situations of a slot.
pub fn check<'a>(slot: usize, situations: impl Iterator<Item = &'a Cells>) -> Result<()> {
    let (mut statistic, mut freedom) = (0.0, 0);
    for cells in situations {
        let table = cells.table();
        let sure = table.len() < 2;
        freedom += table.len().saturating_sub(1);
        statistic += table
            .iter()
            .filter(|_| !sure)
            .map(|(seen, expected)| (seen - expected).powi(2) / expected)
            .sum::<f64>();
        let total: f64 = cells.by_action.values().map(|(_, p)| p).sum();
        ensure!(
            total < 1.0 + 1e-9,
            "probabilities of slot {} add up to {total}",
            slot + 1
        );
    }
    if freedom == 0 {
        return Ok(());
    }
    let likelihood = ChiSquared::new(freedom as f64)?.sf(statistic);
    ensure!(
        likelihood > LEAST_LIKELY,
        "slot {}: chi-square {statistic:.1} of {freedom} degrees of freedom, likelihood {likelihood:.1e}",
        slot + 1
    );
    Ok(())
}

/// The test itself would notice: draws that lean by a tenth are refused.
#[cfg(test)]
#[test]
fn a_lean_is_noticed() {
    let mut cells = Cells::default();
    for i in 0..DECISIONS {
        let action = if i % 100 < 55 { "a" } else { "b" };
        cells.add(action, 0.5).unwrap();
    }
    assert!(check(0, [&cells].into_iter()).is_err());
}
