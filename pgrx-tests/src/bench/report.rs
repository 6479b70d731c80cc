//! What the bench prints: a table, and which goals are met.

use std::ops::RangeInclusive;

use indicatif::{HumanBytes, HumanCount};

use super::plan::{self, decide_of};
use super::results::{Ratio, Results, Summary};
use crate::table::Table;

/// Prints everything.
pub fn print(results: &Results) {
    let settings = results
        .settings
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    println!(
        "\nPostgreSQL {} on {} processors, {}",
        results.postgresql,
        results.processors,
        list(settings)
    );
    println!(
        "Medians of {} rounds of {} s; tps are transactions per second, CPU is the server's per transaction, and ratios\n\
         are of tps, within each round\n",
        results.rounds, results.seconds
    );
    table(results).print("  ");
    let traces = results
        .trace_bytes
        .iter()
        .map(|(name, bytes)| format!("{name} {bytes}"));
    let states = results.state_bytes.iter();
    let states =
        states.map(|&(users, bytes)| format!("{} for {}", HumanBytes(bytes), HumanCount(users)));
    println!("\nBytes of a trace row of 100 candidates: {}", list(traces));
    println!("States of users: {}", list(states));
    println!("\nGoals");
    for goal in goals(results) {
        println!("  {goal}");
    }
}

/// Words with commas between them.
fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// One row per workload and set.
fn table(results: &Results) -> Table {
    let headings = [
        "workload",
        ">clients",
        ">sync",
        ">tps",
        ">min–max",
        ">latency",
        ">CPU",
        ">× floor",
        ">× hand",
    ];
    let mut table = Table::new(&headings);
    for summary in results.summaries() {
        let Summary { first, .. } = summary;
        let count = |number: f64| HumanCount(number.round() as u64).to_string();
        let ratio = |to: &str| {
            let ratio = results.ratio(&first.set, &first.workload, to);
            ratio.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median))
        };
        let sync = if first.synchronous_commit {
            "on"
        } else {
            "off"
        };
        table.row([
            name(&summary),
            first.clients.to_string(),
            sync.into(),
            count(summary.tps),
            format!("{}–{}", count(summary.min), count(summary.max)),
            format!("{:.2} ms", summary.latency_ms),
            summary
                .cpu_us
                .map_or_else(String::new, |us| format!("{us:.0} µs")),
            ratio("floor"),
            ratio("hand"),
        ]);
    }
    table
}

/// A workload as the table names it.
fn name(summary: &Summary<'_>) -> String {
    if summary.first.workload == plan::MANY {
        return format!("decide, {} users", HumanCount(summary.first.users));
    }
    summary.first.workload.clone()
}

/// The goals, each with what was measured.
fn goals(results: &Results) -> Vec<String> {
    let off = "8 clients, synchronous_commit off";
    let on = "8 clients, synchronous_commit on";
    let at_least = |name: &str, goal: f64, set: &str, to: &str| {
        let measured = results.ratio(set, "decide", to);
        verdict(name, measured, goal..=f64::INFINITY)
    };
    let at_most = |name: &str, goal: f64, slow: &str| {
        let measured = results.ratio("sizes", &decide_of(100, 1), slow);
        verdict(name, measured, 0.0..=goal)
    };
    vec![
        at_least(
            "decide at least 1.2 × floor, 8 clients, synchronous_commit off",
            1.2,
            off,
            "floor",
        ),
        at_least(
            "decide at least 1.0 × floor, 8 clients, synchronous_commit on",
            1.0,
            on,
            "floor",
        ),
        at_least(
            "decide at least 8 × hand, 8 clients, synchronous_commit off",
            8.0,
            off,
            "hand",
        ),
        at_most(
            "1,000 candidates take at most 2.5 × the time of 100",
            2.5,
            &decide_of(1000, 1),
        ),
        at_most(
            "many users take at most 1.2 × the time of 100,000",
            1.2,
            plan::MANY,
        ),
    ]
}

/// One line about a goal: whether the median is in the wanted range, and the range of all rounds.
fn verdict(name: &str, measured: Option<Ratio>, wanted: RangeInclusive<f64>) -> String {
    let Some(Ratio { median, min, max }) = measured else {
        return format!("not measured  {name}");
    };
    let met = if wanted.contains(&median) {
        "met"
    } else {
        "not met"
    };
    format!("{met:<12}  {name}: {median:.2} ({min:.2}–{max:.2})")
}
