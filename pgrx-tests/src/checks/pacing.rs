//! A budget that is paced, under real traffic and a real clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::shop;
use crate::demo;
use crate::temporary::Database;

const CLIENTS: usize = 4;
/// Exposures of a window.
const BUDGET: i64 = 300;

/// The length of a window that begins soon, in seconds, and when it begins: of windows of about half a minute, that
/// which is over first.
const SOON: &str = "SELECT l.length, EXTRACT(epoch FROM w.ends)::float8 \
       FROM unnest(ARRAY[24, 25, 27, 30]::float8[]) AS l (length), \
            decide.cap_window(clock_timestamp() + interval '1 second', make_interval(secs => l.length), 'UTC', 1) AS w \
      ORDER BY w.ends + make_interval(secs => l.length) LIMIT 1";

/// Four clients decide over a whole window of half a minute, while the job runs: delivery stays near the
/// line, ends at the budget and never above it, and every trace can be replayed.
pub fn follows_its_line(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let row = client.query_one(SOON, &[])?;
    let (window, starts): (f64, f64) = (row.get(0), row.get(1));
    client.execute(
        "INSERT INTO decide.cap (cap, action, per, max_count, window_length, pacing, stripes) \
         VALUES ('a6', 'a6', 'all', $1, make_interval(secs => $2), 'even', 4)",
        &[&BUDGET, &window],
    )?;
    client.batch_execute("SELECT decide.publish('paced')")?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let over = &over;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || decide(database, number, over)))
            .collect();
        let job = scope.spawn(move || step(database, over));
        let waited = client.execute(
            "SELECT pg_sleep(GREATEST($1::float8 + $2::float8 + 0.5 - EXTRACT(epoch FROM clock_timestamp())::float8, 0))",
            &[&starts, &window],
        );
        over.store(true, Ordering::Relaxed);
        waited?;
        job.join().expect("the job does not panic")?;
        for client in clients {
            client.join().expect("a client does not panic")?;
        }
        Ok(())
    })?;
    // When each unit of the window was taken, as a part of it.
    let taken: Vec<f64> = client
        .query(
            "SELECT (EXTRACT(epoch FROM t.decided_at)::float8 - $1::float8) / $2::float8 FROM decide.trace AS t \
              WHERE t.filled = 1 AND decide.action_name(t.actions[1]) = 'a6' \
                AND t.decided_at >= to_timestamp($1::float8) AND t.decided_at < to_timestamp($1::float8 + $2::float8) ORDER BY t.decided_at",
            &[&starts, &window],
        )?
        .iter()
        .map(|row| row.get(0))
        .collect();
    ensure!(
        (BUDGET - 1..=BUDGET).contains(&(taken.len() as i64)),
        "{} of {BUDGET} were delivered",
        taken.len()
    );
    for (before, x) in taken.iter().enumerate() {
        let off = before as f64 / BUDGET as f64 - x;
        ensure!(off.abs() < 0.05, "unit {before} was taken at {x:.3}");
    }
    let row = client.query_one(
        "SELECT count(*), count(*) FILTER (WHERE r.agrees), count(*) FILTER (WHERE t.duals IS NOT NULL) \
           FROM (SELECT * FROM decide.trace ORDER BY decision_id DESC LIMIT 500) AS t, decide.replay(t.decision_id) AS r",
        &[],
    )?;
    let (all, agree, priced): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!(all == agree, "{agree} of {all} replays agree");
    ensure!(priced > 0, "no decision has seen a price");
    demo::draw_pacing(&mut client, "")
}

/// Decides until it is over.
fn decide(database: &Database, number: usize, over: &AtomicBool) -> Result<()> {
    let mut client = database.connect()?;
    let decide = client.prepare("SELECT decide($1::text, 'home')")?;
    let mut round = 0u64;
    while !over.load(Ordering::Relaxed) {
        round += 1;
        client.execute(&decide, &[&format!("user {number} {}", round % 100)])?;
        thread::sleep(Duration::from_millis(4));
    }
    Ok(())
}

/// Runs the job now and then.
fn step(database: &Database, over: &AtomicBool) -> Result<()> {
    let mut client = database.connect()?;
    while !over.load(Ordering::Relaxed) {
        client.execute("SELECT decide.run_job('pacing')", &[])?;
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}
