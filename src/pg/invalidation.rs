//! Hearing of changes: a counter that moves when a table's relcache entry is dropped at commit.

use std::cell::{Cell, RefCell};

use pgrx::{pg_guard, pg_sys};

thread_local! {
    static WATCHED: RefCell<Vec<(pg_sys::Oid, Watch)>> = const { RefCell::new(Vec::new()) };
    static CHANGES: Cell<[u64; WATCHES]> = const { Cell::new([1; WATCHES]) };
}

/// How many kinds there are.
const WATCHES: usize = 11;

/// What a backend keeps copies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The table whose newest row says which bundle is in force.
    Publication = 0,
    /// The table of traces or one of its partitions: one has come or gone, or somebody has altered it.
    Trace = 1,
    /// The same of events.
    Event = 2,
    /// The table whose newest row says what is known of actions and surfaces.
    Snapshot = 3,
    /// The table that says which budgets are running out.
    Budget = 4,
    /// The table of changes of modes.
    Mode = 5,
    /// The table of changes of kill switches.
    Switch = 6,
    /// The rules that are left out.
    Breaker = 7,
    /// The table that says at which price budgets go, and what traffic is expected.
    Pacing = 8,
    /// Tables whose rows are found by their primary key without the executor.
    Keyed = 9,
    /// All functions: one is another, or others may call it, for themselves or as members of a role.
    Function = 10,
}

/// Registers the callbacks. Once per process, from `_PG_init`.
pub fn init() {
    use pg_sys::SysCacheIdentifier::{AUTHMEMROLEMEM, PROCOID};
    let nothing = pg_sys::Datum::from(0);
    // SAFETY: the callbacks live as long as the process, only write thread-locals, and are guarded, so
    // that no panic crosses into C.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), nothing);
        for cache in [PROCOID, AUTHMEMROLEMEM] {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(function_changed), nothing);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn function_changed(_arg: pg_sys::Datum, _cache: i32, _hash: u32) {
    let mut changes = CHANGES.get();
    changes[Watch::Function as usize] += 1;
    CHANGES.set(changes);
}

#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    let all = relation == pg_sys::InvalidOid;
    let mut changes = CHANGES.get();
    if all {
        changes = changes.map(|count| count + 1);
    } else {
        // Never borrowed while messages come in; if it were, all would count as changed.
        match WATCHED.with(|watched| watched.try_borrow().map(|w| of(&w, relation))) {
            Ok(what) => what
                .into_iter()
                .for_each(|what| changes[what as usize] += 1),
            Err(_) => changes = changes.map(|count| count + 1),
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

fn of(watched: &[(pg_sys::Oid, Watch)], relation: pg_sys::Oid) -> Option<Watch> {
    let mut watched = watched.iter();
    watched
        .find(|(oid, _)| *oid == relation)
        .map(|&(_, what)| what)
}

/// Most relations that a backend watches; beyond, those of the same kind are forgotten and count as
/// changed.
const MOST: usize = 256;

/// Counts changes of that relation too from now on.
pub fn watch(what: Watch, relation: pg_sys::Oid) {
    WATCHED.with_borrow_mut(|watched| {
        if of(watched, relation).is_some() {
            return;
        }
        if watched.len() >= MOST {
            watched.retain(|&(_, other)| other != what);
            let mut changes = CHANGES.get();
            changes[what as usize] += 1;
            CHANGES.set(changes);
        }
        watched.push((relation, what));
    });
}

/// Tells every session, at commit, that the relation has changed.
pub fn announce(relation: pg_sys::Oid) {
    // SAFETY: queues a transactional message; an abort drops it.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) }
}
