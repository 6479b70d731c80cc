//! Logged probabilities where counters are busy: over the decisions in which an action could be had, the mean of
//! 1[it was chosen] / p(it) is 1, whoever else takes from the same counters meanwhile.

mod companions;
mod judge;
mod scenarios;

use std::time::Duration;

use anyhow::{Context, Result};

use super::load::{Scenario, Size, run_each};
use crate::table::Table;
use crate::temporary::{Database, TemporaryServer};
use judge::Verdict;
use scenarios::COMMON;
pub use scenarios::SCENARIOS;

/// Runs scenarios one after the other; returns what failed.
pub fn campaign(
    server: &TemporaryServer,
    scenarios: &[&Scenario],
    size: Size,
) -> Result<Vec<String>> {
    run_each(server, "bias", scenarios, size, |database, scenario| {
        scenario.set_up(database, COMMON)?;
        let tps = scenario.decide(database, size)?;
        let verdict = Verdict::of(&mut database.connect()?)?;
        print(&verdict, tps);
        verdict.check()
    })
}

/// The small form: one scenario as a check. What looks like a lean is looked at once more, with five times as many
/// decisions in all: chance alone does not bring the same twice, and a lean is the clearer then.
pub fn check(database: &Database, name: &str) -> Result<()> {
    let scenario = Scenario::find(SCENARIOS, name)?;
    let size = Size {
        decisions: 40_000,
        clients: 8,
        longest: Duration::from_secs(20 * 60),
    };
    scenario.set_up(database, COMMON)?;
    scenario.decide(database, size)?;
    let mut verdict = Verdict::of(&mut database.connect()?)?;
    if verdict.check().is_err() {
        let decisions = 4 * size.decisions;
        scenario.decide(database, Size { decisions, ..size })?;
        verdict = Verdict::of(&mut database.connect()?)?;
    }
    verdict.check().with_context(|| verdict.lines().join("\n"))
}

/// Prints what came out of a scenario.
fn print(verdict: &Verdict, tps: f64) {
    let share = |part: i64| part as f64 / verdict.decisions.max(1) as f64;
    println!(
        "  {} decisions, {tps:.0}/s, {:.3} % with a reason, {:.2} % found something busy",
        verdict.decisions,
        100.0 * share(verdict.with_reason),
        100.0 * share(verdict.busy)
    );
    let mut table = Table::new(&[
        "slot",
        "action",
        ">n",
        ">chosen",
        ">expected",
        ">mean",
        ">z",
        ">z of n",
    ]);
    for row in &verdict.actions {
        table.row([
            row.slot.to_string(),
            row.action.clone(),
            row.possible.to_string(),
            row.chosen.to_string(),
            format!("{:.1}", row.expected),
            format!("{:.4}", row.mean()),
            format!("{:.2}", row.z()),
            format!("{:.2}", row.z_of_count()),
        ]);
    }
    table.print("  ");
    for slot in &verdict.slots {
        println!(
            "  slot {}: chi-square {:.1} of {} degrees of freedom, likelihood {:.2e}",
            slot.slot, slot.statistic, slot.freedom, slot.likelihood
        );
    }
}
