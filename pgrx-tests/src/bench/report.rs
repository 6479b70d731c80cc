//! What the bench prints: a table, and which goals are met.

use indicatif::{HumanBytes, HumanCount};

use super::goals::goals;
use super::plan;
use super::results::{Results, Summary};
use super::sessions;
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
        "Medians of {} rounds of {} s; tps are transactions per second, p99 is the latency of the slowest but one in a hundred, CPU is the server's per transaction, and ratios\n\
         are of tps, within each round. `floor` and `hand` update the user's row and a counter, as `decide, caps` does with a cap\n\
         per user and a budget; `decide` holds no caps and updates nothing, like `floor, no updates`. `track` and its floor store\n\
         an event and move ten numbers of its user; tps of 1,000 events are calls.\n",
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
    let off = ("huge_pages_status".to_owned(), "off".to_owned());
    if results.settings.contains(&off) {
        println!(
            "Huge pages are off: each session maps the memory that it touches in pages of 4 kB, so that large tables are slower\n\
             to look into. On with vm.nr_hugepages as high as `SHOW shared_memory_size_in_huge_pages` says, and a restart."
        );
    }
    println!("{}", results.machine);
    for note in &results.notes {
        println!("{note}");
    }
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
        ">p99",
        ">CPU",
        ">× floor",
        ">× hand",
        ">× INSERT",
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
                .p99_ms
                .map_or_else(String::new, |ms| format!("{ms:.1} ms")),
            summary
                .cpu_us
                .map_or_else(String::new, |us| format!("{us:.0} µs")),
            ratio(&plan::floor_of(&first.workload)),
            ratio("hand"),
            ratio(sessions::INSERT),
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
