//! `cargo dev demo`: a fashion shop's log becomes a policy that decides live traffic.

pub mod data;
mod live;
mod pacing;
mod report;

pub use pacing::draw as draw_pacing;

use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::HumanCount;
use postgres::Client;

use crate::cluster;
use crate::install::Target;
use crate::server::Server;
use crate::workspace::Workspace;

/// The database of the demo, made anew each time.
const DATABASE: &str = "demo";

const INTRODUCTION: &str = "\
pg_decide chooses what a user sees, inside PostgreSQL. Here it learns from the log of a shop, then decides live traffic.

Data: the Open Bandit Dataset by ZOZO, Inc., from its fashion shop ZOZOTOWN (in the Python package obp 0.4.1). From 24 to
30 November 2019, a policy chose one of 80 items uniformly at random for each of 10,000 impressions.";

/// Sets up, plays the whole story, and prints what came of it.
pub fn run(workspace: &Workspace, target: &Target) -> Result<()> {
    let server = cluster::running(workspace, target, false)?;
    let files = data::ensure(workspace)?;
    // Nobody restarts the server meanwhile.
    let _lock = workspace.lock("cluster")?;
    let mut client = fresh_database(&server)?;
    println!("{INTRODUCTION}\n");

    step("load", || load(&mut client, &files))?;
    step("publish", || publish_items(&mut client))?;
    step("import", || import(&mut client))?;
    step("track", || track(&mut client))?;
    step("train", || train(&mut client))?;
    step("publish", || publish_policy(&mut client))?;
    // Before the live traffic, from which the policy could learn what the estimate must not know.
    let estimate = client
        .query(include_str!("../../demo/estimate.sql"), &[])
        .context("the estimate failed")?;
    let mut run = None;
    step("live", || {
        let done = live::replay(&server, &mut client)?;
        let said = done.describe();
        run = Some(done);
        Ok(said)
    })?;
    let run = run.context("no traffic was replayed")?;
    report::print(&mut client, &run, &estimate)?;
    report::farewell(target);
    Ok(())
}

/// Does one step and prints what it did, and how long it took.
fn step(name: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    let begun = Instant::now();
    let said = work().with_context(|| format!("the step `{name}` failed"))?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{name:>9}  {said:<98}{seconds:>6.1} s");
    Ok(())
}

/// Drops what an earlier demo has left, and makes an empty database with the extension.
fn fresh_database(server: &Server) -> Result<Client> {
    let mut client = server.connect("postgres")?;
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))?;
    client.batch_execute(&format!("CREATE DATABASE {DATABASE}"))?;
    let mut client = server.connect(DATABASE)?;
    client
        .batch_execute("CREATE EXTENSION pg_decide")
        .context("CREATE EXTENSION failed")?;
    Ok(client)
}

/// Copies the publisher's files into tables of a shop.
fn load(client: &mut Client, files: &data::Files) -> Result<String> {
    client.batch_execute(include_str!("../../demo/shop.sql"))?;
    data::copy(client, "shop.item", &files.items)?;
    data::copy(client, "shop.log", &files.log)?;
    client.batch_execute("ANALYZE shop.item, shop.log")?;
    let row = client.query_one(
        "SELECT (SELECT count(*) FROM shop.item), count(*), sum(reward), count(DISTINCT user_id) FROM shop.history",
        &[],
    )?;
    Ok(format!(
        "{} items; {} impressions, of which {} were clicked; {} kinds of users",
        count(row.get(0)),
        count(row.get(1)),
        count(row.get(2)),
        count(row.get(3)),
    ))
}

/// The items become actions, bound by a rule over the shop's stock.
fn publish_items(client: &mut Client) -> Result<String> {
    client.batch_execute(include_str!("../../demo/policy.sql"))?;
    let bundle = publish(client, "items of the shop")?;
    let row = client.query_one(
        "SELECT count(*), count(*) FILTER (WHERE on_hand = 0) FROM shop.inventory",
        &[],
    )?;
    Ok(format!(
        "bundle {bundle}: {} actions, each bound by a rule: it must be in stock, and {} are not",
        count(row.get(0)),
        count(row.get(1)),
    ))
}

/// The first part of the log becomes decisions of which one can learn.
fn import(client: &mut Client) -> Result<String> {
    let row = client.query_one(
        "SELECT decide.import_decisions('shop.past', 'random policy')",
        &[],
    )?;
    let imported: i64 = row.get(0);
    let row = client.query_one(
        "SELECT count(*), (SELECT to_char(max(decided_at) AT TIME ZONE 'UTC', 'FMDD FMMonth HH24:MI') FROM shop.past)
           FROM decide.outcome",
        &[],
    )?;
    Ok(format!(
        "{} decisions and {} clicks, up to {}; the rest is kept for the live traffic",
        count(imported),
        count(row.get(0)),
        row.get::<_, String>(1),
    ))
}

/// The clicks of that part become events, and thereby features.
fn track(client: &mut Client) -> Result<String> {
    let row = client.query_one(include_str!("../../demo/events.sql"), &[])?;
    Ok(format!(
        "these clicks as events of their users, in one call: {}; {} of {} kinds of users have clicked",
        count(row.get(0)),
        count(row.get(1)),
        count(row.get(2)),
    ))
}

/// Fits a model to what was imported.
fn train(client: &mut Client) -> Result<String> {
    client.execute(include_str!("../../demo/train.sql"), &[])?;
    let row = client.query_one(include_str!("../../demo/metrics.sql"), &[])?;
    Ok(format!(
        "ctr:1, {} weights; AUC {} on {} decisions, {} on {} held out (with {} clicks: noise)",
        count(i64::from(row.get::<_, i32>(0))),
        row.get::<_, String>(3),
        count(row.get(1)),
        row.get::<_, String>(4),
        count(row.get(2)),
        count(row.get(5)),
    ))
}

/// Adds what users like to the model, and puts a policy in force that uses it.
fn publish_policy(client: &mut Client) -> Result<String> {
    client.batch_execute(include_str!("../../demo/learned.sql"))?;
    let bundle = publish(client, "learned from random choices")?;
    Ok(format!(
        "bundle {bundle}: softmax over ctr:2 (ctr:1 and, by hand, 0.2 per click on the brand), 0.2 % at least"
    ))
}

/// Puts the policy tables in force; answers the bundle's number.
fn publish(client: &mut Client, note: &str) -> Result<i64> {
    Ok(client
        .query_one("SELECT decide.publish($1)", &[&note])?
        .get(0))
}

/// A count as people read it.
fn count(number: i64) -> String {
    HumanCount(number.unsigned_abs()).to_string()
}
