//! Caps against plain arithmetic: random sequences of decisions, events, changes of the policy, jobs and time, after each
//! step of which the server must agree with sums over a list of exposures.

mod model;
mod play;
mod policy;
mod steps;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::HumanDuration;

use crate::server::Stop;
use crate::temporary::{Database, TemporaryServer};
use play::{Failure, Player};
use steps::Sequence;

/// Sequences that one database is used for.
const PER_DATABASE: u64 = 250;

/// After so many failing seeds the rest is left out.
const ENOUGH: usize = 20;

/// Failing sequences that are made shorter.
const SHORTENED: usize = 3;

/// A sequence that takes longer hangs: its statements are cancelled long before.
const LONGEST: Duration = Duration::from_secs(45);

/// How often a failing sequence is played again until it fails again.
const TRIES: usize = 5;

/// What is said of one that does not.
const ONCE: &str = " (not when played again: it depends on the clock)";

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
        number: 80,
        at_once: 6,
    };
    let (_, failed) = play_all(database.server, seeds)?;
    let mut report = String::new();
    let mut again = 0;
    for found in &failed {
        let (sequence, failure) = shorten(database.server, found)?;
        // Where all wait for the same two processors a hold may be over before it is looked at. What is wrong goes wrong
        // again within five times.
        if failure.why.ends_with(ONCE) {
            continue;
        }
        again += 1;
        report += &describe(database.server, found.seed, &sequence, &failure);
        let _ = writeln!(report, "seed {}: {}", found.seed, found.failure.why);
    }
    ensure!(again == 0, "{again} failed\n{report}");
    Ok(())
}

/// What a thread plays: the seed, since when, and its script so far.
type Playing = Option<(u64, Instant, Arc<Mutex<String>>)>;

/// Plays seeds side by side, each thread in databases of its own. Where a session hangs, whatever it is asked, the server
/// is restarted and that ends it.
fn play_all(server: &TemporaryServer, seeds: Seeds) -> Result<(u64, Vec<Failed>)> {
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let (hung, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let playing: Vec<Mutex<Playing>> = (0..seeds.at_once).map(|_| Mutex::default()).collect();
    let enough =
        || hung.load(Ordering::SeqCst) || failed.lock().is_ok_and(|failed| failed.len() >= ENOUGH);
    let work = |own: &Mutex<Playing>| -> Result<u64> {
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
                set(own, Some((seed, Instant::now(), player.script.clone())));
                let found = player.play(&Sequence::draw(seed), &seed.to_string())?;
                set(own, None);
                // What fails because the server was restarted is no finding.
                if let (Some(failure), Ok(mut failed), false) =
                    (found, failed.lock(), hung.load(Ordering::SeqCst))
                {
                    failed.push(Failed { seed, failure });
                }
            }
        }
        Ok(played)
    };
    let watch = || -> Result<()> {
        while !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
            let late = playing.iter().find_map(|playing| {
                let playing = playing.lock().ok()?;
                let (seed, since, script) = playing.as_ref()?;
                (since.elapsed() > LONGEST).then(|| (*seed, play::text(script)))
            });
            let Some((seed, script)) = late else { continue };
            hung.store(true, Ordering::SeqCst);
            if let Ok(mut failed) = failed.lock() {
                let why = format!("it hangs, and no cancel ends it within {LONGEST:?}");
                let step = 0;
                failed.push(Failed {
                    seed,
                    failure: Failure { step, why, script },
                });
            }
            return server.restart(Stop::Immediate);
        }
        Ok(())
    };
    let mut played = 0;
    thread::scope(|scope| -> Result<()> {
        let watcher = scope.spawn(watch);
        let work = &work;
        let threads: Vec<_> = playing
            .iter()
            .map(|own| scope.spawn(move || work(own)))
            .collect();
        let outcomes: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("a player does not panic"))
            .collect();
        over.store(true, Ordering::Relaxed);
        watcher.join().expect("the watcher does not panic")?;
        for outcome in outcomes {
            match outcome {
                Err(error) if !hung.load(Ordering::SeqCst) => return Err(error),
                outcome => played += outcome.unwrap_or(0),
            }
        }
        Ok(())
    })?;
    let mut failed = failed.into_inner().unwrap_or_default();
    failed.sort_by_key(|found| found.seed);
    Ok((played, failed))
}

fn set(playing: &Mutex<Playing>, now: Playing) {
    if let Ok(mut playing) = playing.lock() {
        *playing = now;
    }
}

/// Takes steps away as long as it still fails, from the last to the first.
fn shorten(server: &TemporaryServer, found: &Failed) -> Result<(Sequence, Failure)> {
    let mut sequence = Sequence::draw(found.seed);
    let Failure { step, why, script } = &found.failure;
    let as_it_went = |why: String| Failure {
        step: *step,
        why,
        script: script.clone(),
    };
    if *step == 0 {
        return Ok((sequence, as_it_went(why.clone())));
    }
    sequence.steps.truncate(*step);
    let database = server.create_database()?;
    let mut player = Player::new(database.connect()?)?;
    let mut tries = 0;
    let mut fails = |sequence: &Sequence| {
        tries += 1;
        play_in_time(server, &mut player, sequence, &format!("t{tries}"))
    };
    let mut again = None;
    for _ in 0..TRIES {
        again = fails(&sequence).unwrap_or_default();
        if again.is_some() {
            break;
        }
    }
    let Some(mut failure) = again else {
        let why = format!("{why}{ONCE}");
        return Ok((sequence, as_it_went(why)));
    };
    for place in (0..sequence.steps.len()).rev() {
        let mut shorter = sequence.clone();
        if place >= shorter.steps.len() {
            continue;
        }
        shorter.steps.remove(place);
        if let Some(found) = fails(&shorter).unwrap_or_default() {
            shorter.steps.truncate(found.step);
            (sequence, failure) = (shorter, found);
        }
    }
    Ok((sequence, failure))
}

/// Plays one sequence; where it hangs, the server is restarted, which is an error.
fn play_in_time(
    server: &TemporaryServer,
    player: &mut Player,
    sequence: &Sequence,
    mark: &str,
) -> Result<Option<Failure>> {
    let begun = Instant::now();
    let (outcome, restarted) = thread::scope(|scope| {
        let playing = scope.spawn(|| player.play(sequence, mark));
        let mut restarted = None;
        while !playing.is_finished() {
            if restarted.is_none() && begun.elapsed() > LONGEST {
                restarted = Some(server.restart(Stop::Immediate));
            }
            thread::sleep(Duration::from_millis(2));
        }
        (playing.join().expect("a player does not panic"), restarted)
    });
    ensure!(restarted.is_none(), "the sequence hangs");
    outcome
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
