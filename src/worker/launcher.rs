//! The launcher: one process per server that sends a worker into each named database, again and again.
//!
//! It runs where the server can be written to: on a standby the server starts it at promotion.
//! Workers do what is due and leave, so that most of the time nobody of ours is in a database and
//! DROP DATABASE finds it empty.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pgrx::pg_sys::Oid;

use super::{LAUNCHER, WORKER};
use crate::pg::worker::{self, MARKS, Started};
use crate::settings;

/// How long a database is left alone in which a worker could do nothing.
const RETRY: Duration = Duration::from_secs(60);

/// A database that is looked after.
struct Place {
    mark: u32,
    worker: Option<Started>,
    next: Instant,
    /// Whether there was no room for the last worker.
    refused: bool,
}

pub fn run() {
    worker::begin(c"pg_decide launcher", None);
    pgrx::log!("{LAUNCHER} started");
    let mut places: HashMap<Oid, Place> = HashMap::new();
    loop {
        worker::reload();
        let named = named().unwrap_or_else(|| places.keys().copied().collect());
        leave(&mut places, &named);
        for database in named {
            send(&mut places, database);
        }
        if !worker::wait(pause(&places)) {
            return;
        }
    }
}

/// The databases that are named and exist. A name without a database is no fault: it may come. None where
/// that cannot be read now.
fn named() -> Option<Vec<Oid>> {
    let names = settings::databases();
    if names.is_empty() {
        return Some(Vec::new());
    }
    match worker::transaction(worker::databases) {
        Ok(databases) => {
            let named = databases
                .into_iter()
                .filter(|(name, _)| names.contains(name));
            Some(named.map(|(_, oid)| oid).collect())
        }
        Err(error) => {
            pgrx::warning!("{LAUNCHER} cannot read the databases: {}", error.message);
            None
        }
    }
}

/// Ends the workers of databases that are no longer named.
fn leave(places: &mut HashMap<Oid, Place>, named: &[Oid]) {
    places.retain(|database, place| {
        let stays = named.contains(database);
        if !stays && let Some(worker) = &place.worker {
            worker.end();
        }
        stays
    });
}

/// Sends a worker into the database if it is time and none is there.
fn send(places: &mut HashMap<Oid, Place>, database: Oid) {
    let now = Instant::now();
    let mark = free_mark(places);
    let place = places.entry(database).or_insert(Place {
        mark,
        worker: None,
        next: now,
        refused: false,
    });
    if let Some(worker) = place.worker.take_if(|worker| worker.has_ended())
        && worker.has_failed()
    {
        place.next = now + RETRY.max(settings::worker_interval());
    }
    if place.worker.is_some() || place.next > now {
        return;
    }
    place.next = now + settings::worker_interval();
    place.worker = Started::new(WORKER, database, place.mark);
    let refused = place.worker.is_none();
    if refused && !place.refused {
        pgrx::warning!("{WORKER} cannot be started: max_worker_processes is reached");
    }
    place.refused = refused;
}

/// A mark that no place has. Beyond their number databases share one, and its failures.
fn free_mark(places: &HashMap<Oid, Place>) -> u32 {
    (0..MARKS - 1)
        .find(|mark| places.values().all(|place| place.mark != *mark))
        .unwrap_or(MARKS - 1)
}

/// Until the next visit is due; a signal ends it earlier.
fn pause(places: &HashMap<Oid, Place>) -> Duration {
    const LEAST: Duration = Duration::from_millis(100);
    let now = Instant::now();
    let most = settings::worker_interval();
    places
        .values()
        .map(|place| place.next.saturating_duration_since(now))
        .min()
        .map_or(most, |next| next.clamp(LEAST, most.max(LEAST)))
}
