//! What the demo ends with: sizes, speed, one decision explained, and an estimate of its worth.

use anyhow::{Context, Result};
use indicatif::HumanBytes;
use postgres::{Client, Row};
use serde_json::Value;

use super::live::Run;
use super::{DATABASE, count, pacing};
use crate::install::Target;
use crate::table::Table;

const MARGIN: &str = "  ";

/// Prints everything that is worth looking at.
pub fn print(client: &mut Client, run: &Run, estimate: &[Row]) -> Result<()> {
    what_happened(client, run)?;
    what_is_known(client)?;
    how_fast(client, run)?;
    one_decision(client)?;
    worth(estimate)?;
    heading("A budget over a day");
    pacing::draw(client, MARGIN)
}

/// Sizes, the sale in the midst, and whether all can be computed anew.
fn what_happened(client: &mut Client, run: &Run) -> Result<()> {
    let row = client.query_one(include_str!("../../demo/summary.sql"), &[])?;
    heading("What happened");
    println!(
        "{MARGIN}{} live decisions ({} by the fallback) beside {} imported ones; {} events of {} users\n\
         {MARGIN}{} of them are clicks of the past, and {} live ones: the log's own, whatever was shown now, so that they prove\n\
         {MARGIN}nothing about the policy",
        count(row.get("live")),
        count(row.get("fallbacks")),
        count(row.get("imported")),
        count(row.get("events")),
        count(row.get("users")),
        count(row.get("past_clicks")),
        count(row.get("live_clicks")),
    );
    let bytes = |name: &str| HumanBytes(row.get::<_, i64>(name).unsigned_abs());
    println!(
        "{MARGIN}{} of traces, {} the whole database; {:.1} s of traffic",
        bytes("trace_bytes"),
        bytes("bytes"),
        run.elapsed.as_secs_f64(),
    );
    let sale = &run.sale;
    let row = client.query_one(
        include_str!("../../demo/sold_out.sql"),
        &[&sale.item, &sale.at],
    )?;
    println!(
        "{MARGIN}Half-way the shop sold out of {}: shown {} times before that commit, {} times after it",
        sale.item,
        count(row.get(0)),
        count(row.get(1)),
    );
    let row = client.query_one(include_str!("../../demo/replay.sql"), &[])?;
    println!(
        "{MARGIN}decide.replay computed all {} live decisions anew from their traces: {} agree bit for bit",
        count(row.get(0)),
        count(row.get(1)),
    );
    Ok(())
}

/// The features of one user, all features, and what an affinity did to decisions.
fn what_is_known(client: &mut Client) -> Result<()> {
    heading("What is known of users");
    println!("{MARGIN}decide.features of the one who had clicked most before the live traffic:");
    let mut table = Table::new(&["feature", "key", ">value", ">newest event"]);
    for row in client.query(include_str!("../../demo/known.sql"), &[])? {
        let age: String = row.get("age");
        table.row([
            row.get("feature"),
            row.get("key"),
            format!("{:.3}", row.get::<_, f64>("value")),
            if age.is_empty() { age } else { age + " ago" },
        ]);
    }
    table.print(MARGIN);
    println!("{MARGIN}decide.feature_catalog, once the job freshness has looked:");
    client.batch_execute("SELECT decide.run_job('freshness')")?;
    let headings = [
        "feature",
        "aggregate",
        "per",
        "version",
        ">missing in",
        ">users who have it",
        "purpose",
    ];
    let mut table = Table::new(&headings);
    for row in client.query(include_str!("../../demo/catalog.sql"), &[])? {
        table.row([
            row.get("feature"),
            row.get("aggregate"),
            row.get("per"),
            row.get("version"),
            row.get("missing"),
            count(row.get("users")),
            row.get("purpose"),
        ]);
    }
    table.print(MARGIN);
    let row = client.query_one(include_str!("../../demo/affinity.sql"), &[])?;
    let percent = |name: &str| row.get::<_, f64>(name) * 100.0;
    println!(
        "{MARGIN}{} of the {} live decisions were for users who had clicked before. Items of the brands that they had clicked have\n\
         {MARGIN}{:.1} % of the probability for them, and {:.1} % for somebody of whom nothing is known, in the same contexts.\n\
         {MARGIN}Affinities are sparse: {:.1} % of impressions were clicked, and nobody had clicked more than {} times before. This\n\
         {MARGIN}shows that decisions use them, not that they are worth it.",
        count(row.get("of_them")),
        count(row.get("live")),
        percent("known"),
        percent("unknown"),
        percent("click_rate"),
        count(row.get("most_clicks")),
    );
    Ok(())
}

/// Rates and waiting times, and where the time goes.
fn how_fast(client: &mut Client, run: &Run) -> Result<()> {
    heading("How fast");
    let headings = [
        "call",
        ">calls",
        ">per second",
        ">p50",
        ">p95",
        ">p99",
        ">max",
    ];
    let mut table = Table::new(&headings);
    for row in client.query(include_str!("../../demo/latency.sql"), &[])? {
        let calls: i64 = row.get("count");
        let wait = |name: &str| format!("{:.2} ms", row.get::<_, f64>(name));
        table.row([
            format!("{}()", row.get::<_, String>("call")),
            count(calls),
            count((calls as f64 / run.elapsed.as_secs_f64()) as i64),
            wait("p50"),
            wait("p95"),
            wait("p99"),
            wait("max"),
        ]);
    }
    table.print(MARGIN);
    let row = client.query_one(include_str!("../../demo/stages.sql"), &[])?;
    let stages = ["request", "features", "candidates", "score", "choose"];
    let medians: Vec<String> = stages
        .iter()
        .enumerate()
        .map(|(place, stage)| format!("{stage} {}", row.get::<_, i32>(place)))
        .collect();
    println!(
        "{MARGIN}As clients see it, each call committed to disk; the first on a connection compiles the bundle.\n\
         {MARGIN}Inside decide(), median µs: {}",
        medians.join(", ")
    );
    Ok(())
}

/// The last decision, explained.
fn one_decision(client: &mut Client) -> Result<()> {
    let last = client
        .query_one(include_str!("../../demo/last.sql"), &[])
        .context("there is no live decision")?;
    let (user_id, context, seed): (String, Value, i64) = (last.get(0), last.get(1), last.get(3));
    heading("One decision, explained");
    println!(
        "{MARGIN}The last one showed {} at position {}, with probability {:.4}. decide.explain, under the same seed:",
        last.get::<_, String>("action"),
        last.get::<_, String>("position"),
        last.get::<_, f64>("probability"),
    );
    let mut table = Table::new(&["action", ">score", ">probability", "step", "reason"]);
    let rows = client.query(
        include_str!("../../demo/explain.sql"),
        &[&user_id, &context, &seed],
    )?;
    for row in rows {
        let number = |name: &str, digits: usize| {
            let value: Option<f64> = row.get(name);
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        table.row([
            row.get("action"),
            number("score", 5),
            number("probability", 4),
            row.get("step"),
            row.get::<_, Option<String>>("reason").unwrap_or_default(),
        ]);
    }
    table.print(MARGIN);
    Ok(())
}

/// The off-policy estimate, and how much it can tell.
fn worth(estimate: &[Row]) -> Result<()> {
    let first = estimate.first().context("the estimate is empty")?;
    heading("Would the learned policy have earned more clicks?");
    let headings = [
        "on the part held back",
        ">clicks per 1,000",
        ">95 % interval",
    ];
    let mut table = Table::new(&headings);
    for row in estimate {
        let per_thousand = |name: &str| row.get::<_, f64>(name) * 1000.0;
        table.row([
            row.get("estimate"),
            format!("{:.2}", per_thousand("value")),
            format!("{:.2} to {:.2}", per_thousand("low"), per_thousand("high")),
        ]);
    }
    table.print(MARGIN);
    println!(
        "{MARGIN}A logged click counts (new probability / logged probability) times; over all {} rows this factor has mean {:.3}.\n\
         {MARGIN}The intervals are wide and overlap, as they rest on {} clicks: nobody can tell the two policies apart from that.\n\
         {MARGIN}To see a rise by a fifth takes a test with some {} impressions.",
        count(first.get("n")),
        first.get::<_, f64>("mean_w"),
        count(first.get("clicks")),
        count((first.get::<_, f64>("impressions_needed") / 1000.0) as i64 * 1000),
    );
    Ok(())
}

/// How to go on from here.
pub fn farewell(target: &Target) {
    let which = match target {
        Target::Private(18) => String::new(),
        Target::Private(major) => format!(" --pg {major}"),
        Target::Own(pg_config) => format!(" --pg-config {}", pg_config.display()),
    };
    heading("Go on exploring");
    println!("{MARGIN}cargo dev psql{which} -- -d {DATABASE}\n");
    for line in include_str!("../../demo/explore.sql").lines() {
        println!("{MARGIN}{line}");
    }
}

/// A line that opens a section.
fn heading(text: &str) {
    println!("\n{text}");
}
