//! Logged probabilities where counters are busy: over the decisions in which an action could be had, the mean of
//! 1[it was chosen] / p(it) is 1, whoever else takes from the same counters meanwhile.

mod companions;
mod judge;
mod scenarios;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};

use super::load::{Load, Size};
use crate::table::Table;
use crate::temporary::{Database, TemporaryServer};
use judge::Verdict;
pub use scenarios::{SCENARIOS, Scenario};

/// Runs scenarios one after the other, each in a database of its own; returns what failed.
pub fn campaign(
    server: &TemporaryServer,
    scenarios: &[&Scenario],
    size: Size,
) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    for scenario in scenarios {
        println!("\n{}: {}", scenario.name, scenario.what);
        let database = server.create_database()?;
        let outcome = set_up(&database, scenario);
        let outcome = outcome.and_then(|()| decide(&database, scenario, size));
        let outcome = outcome.and_then(|tps| {
            let verdict = Verdict::of(&mut database.connect()?)?;
            print(&verdict, tps);
            verdict.check()
        });
        if let Err(error) = outcome {
            println!("  FAILED: {error:#}");
            println!(
                "  again: cargo dev campaign bias --pg {} --only {} --decisions {} --clients {}",
                server.install.major, scenario.name, size.decisions, size.clients
            );
            failed.push(format!("{}: {error:#}", scenario.name));
        }
    }
    Ok(failed)
}

/// The small form: one scenario as a check. What looks like a lean is looked at once more, with five times as many
/// decisions in all: chance alone does not bring the same twice, and a lean is the clearer then.
pub fn check(database: &Database, name: &str) -> Result<()> {
    let scenario = SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .with_context(|| format!("there is no scenario {name}"))?;
    let size = Size {
        decisions: 40_000,
        clients: 8,
    };
    set_up(database, scenario)?;
    decide(database, scenario, size)?;
    let mut verdict = Verdict::of(&mut database.connect()?)?;
    if verdict.check().is_err() {
        let decisions = 4 * size.decisions;
        decide(database, scenario, Size { decisions, ..size })?;
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

/// Sets the scenario up.
fn set_up(database: &Database, scenario: &Scenario) -> Result<()> {
    let mut client = database.connect()?;
    client
        .batch_execute(&format!("{}{}", scenarios::COMMON, scenario.setup))
        .context("the scenario cannot be set up")
}

/// Lets pgbench decide, with whatever goes on beside it; returns the rate.
fn decide(database: &Database, scenario: &Scenario, size: Size) -> Result<f64> {
    let load = Load {
        name: scenario.name,
        script: scenario.script,
        options: scenario.options,
        new_sessions: scenario.new_sessions,
        durable: scenario.durable,
        size: Size {
            decisions: (size.decisions as f64 * scenario.share) as u64,
            clients: size.clients * scenario.crowd,
        },
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = &over;
        let beside = scenario
            .beside
            .map(|beside| scope.spawn(move || beside(database, over)));
        let outcome = load.run(database);
        over.store(true, Ordering::Relaxed);
        if let Some(beside) = beside {
            beside
                .join()
                .expect("what goes on beside it does not panic")
                .context("what goes on beside the decisions failed")?;
        }
        outcome
    })
}
