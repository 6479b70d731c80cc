//! The launcher: one process per server that sends a worker into each named database, again and again.
//!
//! It runs where the server can be written to: on a standby the server starts it at promotion.
//! Workers do what is due and leave, so that most of the time no worker is in a database and DROP DATABASE works.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pgrx::pg_sys::Oid;

use super::visit::{self, WORKER};
use crate::pg::worker::{self, MARKS, Started};
use crate::settings;

/// How long after a worker that failed the next one is sent into its database.
const RETRY: Duration = Duration::from_secs(60);

/// A database that workers visit.
struct Database {
    /// Which of the server's [`MARKS`] its workers have, to tell how they end.
    mark: u32,
    worker: Option<Started>,
    next_visit: Instant,
    /// The last worker could not be started.
    refused: bool,
}

const LAUNCHER: &str = "pg_decide launcher";

/// Registers the launcher where the library is preloaded. Once per process, from `_PG_init`.
pub fn init() {
    worker::init(LAUNCHER, run, visit::run);
}

fn run() {
    worker::begin(c"pg_decide launcher", None);
    pgrx::log!("{LAUNCHER} started");
    let mut visited: HashMap<Oid, Database> = HashMap::new();
    loop {
        worker::reload();
        let named = named().unwrap_or_else(|| visited.keys().copied().collect());
        leave(&mut visited, &named);
        for database in named {
            send(&mut visited, database);
        }
        if !worker::wait(pause(&visited)) {
            return;
        }
    }
}

/// The databases that are named and exist; one that does not exist may be created later. None where pg_database
/// cannot be read now.
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
fn leave(visited: &mut HashMap<Oid, Database>, named: &[Oid]) {
    visited.retain(|oid, database| {
        let stays = named.contains(oid);
        if !stays && let Some(worker) = &database.worker {
            worker.end();
        }
        stays
    });
}

/// Sends a worker into the database if it is time and none is there.
fn send(visited: &mut HashMap<Oid, Database>, oid: Oid) {
    let now = Instant::now();
    let mark = free_mark(visited);
    let database = visited.entry(oid).or_insert(Database {
        mark,
        worker: None,
        next_visit: now,
        refused: false,
    });
    if let Some(worker) = database.worker.take_if(|worker| worker.has_ended())
        && worker.has_failed()
    {
        database.next_visit = now + RETRY.max(settings::worker_interval());
    }
    if database.worker.is_some() || database.next_visit > now {
        return;
    }
    database.next_visit = now + settings::worker_interval();
    database.worker = Started::new(WORKER, oid, database.mark);
    let refused = database.worker.is_none();
    if refused && !database.refused {
        pgrx::warning!("{WORKER} cannot be started: max_worker_processes is reached");
    }
    database.refused = refused;
}

/// A mark that no other database has; databases beyond the number of marks share the last one, and its failures.
fn free_mark(visited: &HashMap<Oid, Database>) -> u32 {
    (0..MARKS - 1)
        .find(|mark| visited.values().all(|database| database.mark != *mark))
        .unwrap_or(MARKS - 1)
}

/// Until the next visit is due; a signal ends it earlier.
fn pause(visited: &HashMap<Oid, Database>) -> Duration {
    const LEAST: Duration = Duration::from_millis(100);
    let now = Instant::now();
    let most = settings::worker_interval();
    visited
        .values()
        .map(|database| database.next_visit.saturating_duration_since(now))
        .min()
        .map_or(most, |next| next.clamp(LEAST, most.max(LEAST)))
}
