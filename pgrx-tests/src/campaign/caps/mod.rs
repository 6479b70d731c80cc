//! Caps against plain arithmetic: random sequences of decisions, events, changes of the policy, jobs and time, after each
//! step of which the server must agree with sums over a list of exposures.

mod model;
mod play;
mod policy;
mod steps;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use indicatif::HumanDuration;

use crate::temporary::{Database, TemporaryServer};
use play::{Failure, Player};
use steps::Sequence;

/// Sequences that one database is used for.
const PER_DATABASE: u64 = 250;

/// After so many failing seeds the rest is left out.
const ENOUGH: usize = 20;

/// Failing sequences that are made shorter.
const SHORTENED: usize = 3;

/// How often a failing sequence is played again until it fails again.
const TRIES: usize = 5;

/// Which sequences, and how many at once.
#[derive(Clone, Copy)]
pub struct Seeds {
    pub first: u64,
    pub number: u64,
    pub at_once: u32,
}

/// A failing seed.
struct Failed {
    seed: u64,
    failure: Failure,
}

/// Plays all of them; returns what failed.
pub fn campaign(server: &TemporaryServer, seeds: Seeds) -> Result<Vec<String>> {
    let begun = Instant::now();
    let (played, failed) = play_all(server, seeds)?;
    println!(
        "{played} sequences were played in {}, {} failed",
        HumanDuration(begun.elapsed()),
        failed.len()
    );
    if failed.len() >= ENOUGH {
        println!("after {ENOUGH} failures the rest is left out");
    }
    for found in failed.iter().take(SHORTENED) {
        let (sequence, failure) = shorten(server, found)?;
        println!("{}", describe(server, found.seed, &sequence, &failure));
    }
    Ok(failed
        .iter()
        .map(|found| {
            let Failure { step, why, .. } = &found.failure;
            format!("seed {}, step {step}: {why}", found.seed)
        })
        .collect())
}

/// The small form, as a check.
pub fn check(database: &Database) -> Result<()> {
    let seeds = Seeds {
        first: 1,
        number: 100,
        at_once: 6,
    };
    let (_, failed) = play_all(database.server, seeds)?;
    let mut report = String::new();
    for found in failed.iter().take(1) {
        let (sequence, failure) = shorten(database.server, found)?;
        report += &describe(database.server, found.seed, &sequence, &failure);
    }
    for found in &failed {
        let _ = writeln!(report, "seed {}: {}", found.seed, found.failure.why);
    }
    ensure!(failed.is_empty(), "{} failed\n{report}", failed.len());
    Ok(())
}

/// Plays seeds side by side, each thread in databases of its own.
fn play_all(server: &TemporaryServer, seeds: Seeds) -> Result<(u64, Vec<Failed>)> {
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let enough = || failed.lock().is_ok_and(|failed| failed.len() >= ENOUGH);
    let work = || -> Result<u64> {
        let mut played = 0;
        while next.load(Ordering::Relaxed) < seeds.number && !enough() {
            let database = server.create_database()?;
            let mut player = Player::new(database.connect()?)?;
            for _ in 0..PER_DATABASE {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.number || enough() {
                    break;
                }
                let seed = seeds.first + seed;
                played += 1;
                let found = player.play(&Sequence::draw(seed), &seed.to_string())?;
                if let (Some(failure), Ok(mut failed)) = (found, failed.lock()) {
                    failed.push(Failed { seed, failure });
                }
            }
        }
        Ok(played)
    };
    let mut played = 0;
    thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..seeds.at_once).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            played += thread.join().expect("a player does not panic")?;
        }
        Ok(())
    })?;
    let mut failed = failed.into_inner().unwrap_or_default();
    failed.sort_by_key(|found| found.seed);
    Ok((played, failed))
}

/// Takes steps away as long as it still fails, from the last to the first.
fn shorten(server: &TemporaryServer, found: &Failed) -> Result<(Sequence, Failure)> {
    let mut sequence = Sequence::draw(found.seed);
    sequence.steps.truncate(found.failure.step);
    let database = server.create_database()?;
    let mut player = Player::new(database.connect()?)?;
    let mut tries = 0;
    let mut fails = |sequence: &Sequence| {
        tries += 1;
        player.play(sequence, &format!("t{tries}"))
    };
    let mut again = None;
    for _ in 0..TRIES {
        again = fails(&sequence)?;
        if again.is_some() {
            break;
        }
    }
    let Some(mut failure) = again else {
        // It depends on the clock: this is how it went.
        let Failure { step, why, script } = &found.failure;
        let failure = Failure {
            step: *step,
            why: format!("{why} (not when played again: it depends on the clock)"),
            script: script.clone(),
        };
        return Ok((sequence, failure));
    };
    for place in (0..sequence.steps.len()).rev() {
        let mut shorter = sequence.clone();
        if place >= shorter.steps.len() {
            continue;
        }
        shorter.steps.remove(place);
        if let Some(found) = fails(&shorter)? {
            shorter.steps.truncate(found.step);
            (sequence, failure) = (shorter, found);
        }
    }
    Ok((sequence, failure))
}

/// A failing sequence for people, with a script that does the same.
fn describe(server: &TemporaryServer, seed: u64, sequence: &Sequence, failure: &Failure) -> String {
    format!(
        "\nseed {seed} fails within {} steps: {}\nagain: cargo dev campaign caps --pg {} --first-seed {seed} --seeds 1\n\
         with psql, in an empty database:\n\n{}\n",
        sequence.steps.len(),
        failure.why,
        server.install.major,
        failure.script
    )
}
