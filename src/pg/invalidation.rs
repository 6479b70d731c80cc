//! Hearing of changes: a counter that moves when a table's relcache entry is dropped at commit.

use std::cell::Cell;

use pgrx::{pg_guard, pg_sys};

thread_local! {
    static WATCHED: Cell<[pg_sys::Oid; 4]> = const { Cell::new([pg_sys::InvalidOid; 4]) };
    static CHANGES: Cell<[u64; 4]> = const { Cell::new([1; 4]) };
}

/// What a backend keeps copies of.
#[derive(Clone, Copy)]
pub enum Watch {
    /// The table whose newest row says which bundle is in force.
    Publication = 0,
    /// The partitioned table of traces: a partition has come or gone.
    Trace = 1,
    /// Today's partition: somebody has altered it.
    Today = 2,
    /// The table whose newest row says what is known of actions and surfaces.
    Snapshot = 3,
}

/// Registers the callback. Once per process, from `_PG_init`.
pub fn init() {
    // SAFETY: the callback lives as long as the process, only writes two thread-locals, and is
    // guarded, so that no panic crosses into C.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0)) }
}

#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    let all = relation == pg_sys::InvalidOid;
    let watched = WATCHED.get();
    let mut changes = CHANGES.get();
    for (i, oid) in watched.iter().enumerate() {
        if all || *oid == relation {
            changes[i] += 1;
        }
    }
    CHANGES.set(changes);
}

/// Receives what other sessions have committed since, and counts the changes so far.
/// A copy made when the count was the same is still true.
pub fn changes(what: Watch) -> u64 {
    // SAFETY: what every lock acquisition does; it may call the callback above.
    unsafe { pg_sys::AcceptInvalidationMessages() }
    CHANGES.get()[what as usize]
}

/// The same without receiving: for a second look within one decision.
pub fn changes_seen(what: Watch) -> u64 {
    CHANGES.get()[what as usize]
}

/// Says which relation is meant from now on.
pub fn watch(what: Watch, relation: pg_sys::Oid) {
    let mut watched = WATCHED.get();
    watched[what as usize] = relation;
    WATCHED.set(watched);
}

/// Tells every session, at commit, that the relation has changed.
pub fn announce(relation: pg_sys::Oid) {
    // SAFETY: queues a transactional message; an abort drops it.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) }
}
