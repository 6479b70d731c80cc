//! The rest of the log as live requests, from several connections at once.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use postgres::Client;
use serde_json::Value;
use uuid::Uuid;

use super::{DATABASE, count, data};
use crate::server::Server;

/// Connections that ask at the same time.
const CLIENTS: usize = 4;

/// What the replay did.
pub struct Run {
    pub decisions: usize,
    pub clicks: usize,
    pub elapsed: Duration,
    pub sale: Sale,
}

/// An item that sold out in the midst of the traffic.
pub struct Sale {
    pub item: String,
    pub at: SystemTime,
}

/// One visit of a page, as the log has it.
struct Visit {
    n: i32,
    user_id: String,
    context: Value,
    clicked: bool,
}

/// What came of it.
struct Answer {
    n: i32,
    decision_id: Uuid,
    decide: Duration,
    track: Duration,
}

impl Run {
    /// One line for the list of steps.
    pub fn describe(&self) -> String {
        format!(
            "{} requests to decide() from {CLIENTS} connections, as fast as they go, with {} events to track()",
            count(self.decisions as i64),
            count((self.decisions + self.clicks) as i64),
        )
    }
}

/// Sends all visits in, sells an item out half-way, and notes in shop.live how long each call took.
pub fn replay(server: &Server, client: &mut Client) -> Result<Run> {
    let visits = visits(client)?;
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let connections = (0..CLIENTS)
        .map(|_| server.connect(DATABASE))
        .collect::<Result<Vec<_>>>()?;
    let bar = progress(visits.len());
    let begun = Instant::now();
    let (answers, sale) = thread::scope(|scope| {
        let workers: Vec<_> = connections
            .into_iter()
            .map(|connection| scope.spawn(|| work(connection, &visits, &next, &done)))
            .collect();
        let mut sale = None;
        while workers.iter().any(|worker| !worker.is_finished()) {
            bar.set_position(done.load(Ordering::Relaxed));
            if sale.is_none() && bar.position() * 2 >= visits.len() as u64 {
                sale = Some(sell_out(client));
            }
            thread::sleep(Duration::from_millis(5));
        }
        let mut answers = Vec::with_capacity(visits.len());
        for worker in workers {
            let part = worker.join().map_err(|_| anyhow!("a client panicked"))?;
            answers.extend(part?);
        }
        let sale = sale.unwrap_or_else(|| sell_out(client))?;
        Ok::<_, anyhow::Error>((answers, sale))
    })?;
    let elapsed = begun.elapsed();
    bar.finish_and_clear();
    keep(client, &answers)?;
    Ok(Run {
        decisions: answers.len(),
        clicks: visits.iter().filter(|visit| visit.clicked).count(),
        elapsed,
        sale,
    })
}

/// The requests of the log that were not learned from.
fn visits(client: &mut Client) -> Result<Vec<Visit>> {
    let rows = client.query(include_str!("../../demo/traffic.sql"), &[])?;
    let visit = |row: &postgres::Row| Visit {
        n: row.get(0),
        user_id: row.get(1),
        context: row.get(2),
        clicked: row.get(3),
    };
    Ok(rows.iter().map(visit).collect())
}

/// One client: takes the next visit until there is none.
fn work(
    mut client: Client,
    visits: &[Visit],
    next: &AtomicUsize,
    done: &AtomicU64,
) -> Result<Vec<Answer>> {
    let decide = client.prepare(include_str!("../../demo/decide.sql"))?;
    let track = client.prepare(include_str!("../../demo/track.sql"))?;
    let mut answers = Vec::new();
    while let Some(visit) = visits.get(next.fetch_add(1, Ordering::Relaxed)) {
        let asked = Instant::now();
        let row = client
            .query_one(&decide, &[&visit.user_id, &visit.context])
            .context("decide() failed")?;
        let decided = asked.elapsed();
        let (action, decision_id): (String, Uuid) = (row.get(0), row.get(1));
        let mut tell = |kind: &str| {
            let event_id = format!("{kind}-{}", visit.n);
            client
                .execute(
                    &track,
                    &[&event_id, &kind, &visit.user_id, &action, &decision_id],
                )
                .context("track() failed")
        };
        let shown = Instant::now();
        tell("impression")?;
        let tracked = shown.elapsed();
        if visit.clicked {
            tell("click")?;
        }
        answers.push(Answer {
            n: visit.n,
            decision_id,
            decide: decided,
            track: tracked,
        });
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(answers)
}

/// Sells the last pieces of the most popular item; answers when that was committed.
fn sell_out(client: &mut Client) -> Result<Sale> {
    let item = client
        .query_one(include_str!("../../demo/sell_out.sql"), &[])?
        .get(0);
    let at = client.query_one("SELECT clock_timestamp()", &[])?.get(0);
    Ok(Sale { item, at })
}

/// Writes down how long each answer took.
fn keep(client: &mut Client, answers: &[Answer]) -> Result<()> {
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let mut csv = String::from("n,decision_id,decide_ms,track_ms\n");
    for answer in answers {
        csv += &format!(
            "{},{},{},{}\n",
            answer.n,
            answer.decision_id,
            milliseconds(answer.decide),
            milliseconds(answer.track),
        );
    }
    data::copy(client, "shop.live", &csv)?;
    client.batch_execute("VACUUM ANALYZE")?;
    Ok(())
}

/// A bar with the rate; nothing where there is no terminal.
fn progress(length: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("     live  {wide_bar} {human_pos} of {human_len}  {rate}/s")
            .expect("the template is well formed")
            .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{:.0}", state.per_sec());
            });
    ProgressBar::new(length as u64).with_style(style)
}
