//! What many sessions, new sessions and a publish cost: beside one INSERT, a `SELECT 1`, and nothing.

use super::database::Database;
use super::plan::{Databases, ONE_CAP, Set, Work};

/// How many sessions.
pub const CLIENTS: [u32; 3] = [8, 64, 200];

/// One row of a kilobyte, the yardstick.
pub const INSERT: &str = "INSERT of one row";

/// The title of a set of so many sessions.
pub fn title(clients: u32, durable: bool) -> String {
    let sync = if durable { "on" } else { "off" };
    format!("sessions, {clients} clients, synchronous_commit {sync}")
}

/// The title of such a set of track().
pub fn tracking_title(clients: u32, durable: bool) -> String {
    let sync = if durable { "on" } else { "off" };
    format!("sessions that track, {clients} clients, synchronous_commit {sync}")
}

/// The title of the set of sessions that decide once.
pub const FIRST: &str = "first decisions";

/// A session that does nothing, and one that decides.
pub const NOTHING: &str = "new session, SELECT 1";
pub const FIRST_OF_FEW: &str = "new session, decide among 100";

/// How many actions there are besides.
pub const ACTIONS: [u32; 2] = [10_000, 100_000];

/// The workload of a session that decides once among so many.
pub fn first_among(actions: u32) -> String {
    format!("new session, decide among {actions}")
}

/// The title of the set of 64 sessions that decide while somebody publishes each second.
pub const PUBLISHING: &str = "publish each second, 64 clients";
pub const UNDER_PUBLISH: &str = "decide, publish each second";

/// All of them.
pub fn sets<'a>(databases: &Databases<'a>) -> Vec<Set<'a>> {
    let mut sets = Vec::new();
    for clients in CLIENTS {
        for durable in [true, false] {
            sets.push(many(databases.small, clients, durable));
            if let Some(track) = databases.track.filter(|_| clients < 200) {
                sets.push(tracking(track, clients, durable));
            }
        }
    }
    sets.push(first(databases));
    sets.push(publishing(databases.small));
    sets
}

/// Decisions with a cap per user and a budget, without caps, and the yardstick.
fn many(database: &Database, clients: u32, durable: bool) -> Set<'_> {
    Set {
        title: title(clients, durable),
        clients,
        durable,
        work: vec![
            Work::floor(INSERT, "insert", database),
            Work::capped(ONE_CAP, database, "caps_1"),
            Work::plain("decide", database),
        ],
    }
}

/// Events and the yardstick.
fn tracking(database: &Database, clients: u32, durable: bool) -> Set<'_> {
    Set {
        title: tracking_title(clients, durable),
        clients,
        durable,
        work: vec![
            Work::floor(INSERT, "insert", database),
            Work::track("track", "track", database),
        ],
    }
}

/// Sessions that do one thing.
fn first<'a>(databases: &Databases<'a>) -> Set<'a> {
    let new = |name: &str, script, database, surface| Work {
        reconnects: true,
        asked: Some(surface),
        ..Work::floor(name, script, database)
    };
    let mut work = vec![
        new(NOTHING, "nothing", databases.small, "c100s1"),
        new(FIRST_OF_FEW, "decide", databases.small, "c100s1"),
    ];
    for (&actions, database) in ACTIONS.iter().zip(databases.actions) {
        let candidates = actions;
        work.push(Work {
            candidates,
            ..new(&first_among(actions), "first", database, "catalogue")
        });
    }
    Set {
        title: FIRST.into(),
        clients: 1,
        durable: false,
        work,
    }
}

/// Decisions while somebody publishes, and without.
fn publishing(database: &Database) -> Set<'_> {
    Set {
        title: PUBLISHING.into(),
        clients: 64,
        durable: false,
        work: vec![
            Work::plain("decide", database),
            Work {
                beside: Some("SELECT decide.publish('bench')"),
                ..Work::floor(UNDER_PUBLISH, "decide", database)
            },
        ],
    }
}
