//! Rights against plain arithmetic: random sequences of consents, regions, events, decisions, erasures, merges and rotations.
//! No decision uses, and no table keeps, what the model forbids.

mod model;
mod play;
mod steps;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use indicatif::HumanDuration;

use super::caps::Seeds;
use crate::temporary::{Database, TemporaryServer};
use play::{POLICY, Player};

/// Sequences that one database is used for: keys that are left over from rotations are kept, and there can be few.
const PER_DATABASE: u64 = 20;

/// After so many failing seeds the rest is left out.
const ENOUGH: usize = 10;

/// Plays all of them; returns what failed.
pub fn campaign(server: &TemporaryServer, seeds: Seeds) -> Result<Vec<String>> {
    let begun = Instant::now();
    let (played, failed) = play_all(server, seeds)?;
    let (time, failures) = (HumanDuration(begun.elapsed()), failed.len());
    println!("{played} sequences were played in {time}, {failures} failed");
    Ok(failed)
}

/// The small form, as a check.
pub fn check(database: &Database) -> Result<()> {
    let seeds = Seeds {
        first: 1,
        number: 60,
        at_once: 3,
    };
    let (_, failed) = play_all(database.server, seeds)?;
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn play_all(server: &TemporaryServer, seeds: Seeds) -> Result<(u64, Vec<String>)> {
    let (next, played) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    let enough = || failed.lock().is_ok_and(|failed| failed.len() >= ENOUGH);
    let work = || -> Result<()> {
        while next.load(Ordering::Relaxed) < seeds.number && !enough() {
            let database = server.create_database()?;
            let mut client = database.connect()?;
            client.batch_execute(POLICY)?;
            let mut player = Player::new(client, database.connect()?)?;
            for _ in 0..PER_DATABASE {
                let seed = seeds.first + next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.first + seeds.number || enough() {
                    break;
                }
                let found = player.play(&steps::draw(seed), &format!("s{seed}"))?;
                played.fetch_add(1, Ordering::Relaxed);
                if let (Some((step, why)), Ok(mut failed)) = (found, failed.lock()) {
                    failed.push(format!("seed {seed}, step {step}: {why}"));
                    // What a failing sequence has left may be in the way of the next.
                    break;
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..seeds.at_once).map(|_| scope.spawn(work)).collect();
        let ends = threads
            .into_iter()
            .map(|thread| thread.join().expect("a player does not panic"));
        ends.collect::<Result<Vec<()>>>()
    })?;
    Ok((played.into_inner(), failed.into_inner().unwrap_or_default()))
}
