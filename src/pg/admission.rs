//! How many decisions are being made at once in each database: a count in shared memory, which is
//! right whatever way a decision ends.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pgrx::{PgAtomic, pg_guard, pg_sys};

/// How many databases are counted; what comes later is not bounded.
const DATABASES: usize = 128;

/// A counter per database: its number and, in the lower half, the count. Counters are taken from the
/// first on and never given back, so that no database has two.
type Counts = [AtomicU64; DATABASES];

// SAFETY: no other library would take this name.
static COUNTS: PgAtomic<Counts> = unsafe { PgAtomic::new(c"pg_decide decisions") };

/// There is shared memory: the library is preloaded.
static SHARED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The index of this database's counter, once it is known.
    static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
    /// This backend is in the count.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
    /// It will leave the count when it ends.
    static LEAVES_AT_EXIT: Cell<bool> = const { Cell::new(false) };
}

/// Asks for shared memory while the server loads its preloaded libraries. From `_PG_init`.
#[allow(unexpected_cfgs)] // the macro asks for versions of the server that we do not have
pub fn init() {
    // SAFETY: reads a flag of the process.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        pgrx::pg_shmem_init!(COUNTS = [const { AtomicU64::new(0) }; DATABASES]);
        SHARED.store(true, Ordering::Relaxed);
    }
}

/// Whether decisions can be counted: not where the library is not preloaded.
pub fn is_possible() -> bool {
    SHARED.load(Ordering::Relaxed)
}

/// One decision in the count, until it is dropped.
pub struct Admitted(());

/// There are as many as there may be.
pub struct Full;

/// Counts one more, unless there are so many already.
pub fn enter(most: u32) -> Result<Admitted, Full> {
    let Some(counter) = counter() else {
        return Ok(Admitted(()));
    };
    leave_at_exit();
    // Nothing can end the process between the two.
    let before = counter.fetch_add(1, Ordering::AcqRel) as u32;
    COUNTED.set(true);
    let admitted = Admitted(());
    if before < most {
        Ok(admitted)
    } else {
        Err(Full)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    if COUNTED.replace(false)
        && let Some(counter) = counter()
    {
        counter.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The counter of this database; None where all are taken by others.
fn counter() -> Option<&'static AtomicU64> {
    let counts = COUNTS.get();
    if let Some(index) = INDEX.get() {
        return Some(&counts[index]);
    }
    // SAFETY: reads a number of the process, which is set when it connects.
    let database = u64::from(unsafe { pg_sys::MyDatabaseId }.to_u32());
    let mine = |value: u64| value >> 32 == database;
    let index = counts.iter().position(|count| {
        let taken = count.compare_exchange(0, database << 32, Ordering::AcqRel, Ordering::Acquire);
        taken.map_or_else(mine, |_| true)
    })?;
    INDEX.set(Some(index));
    Some(&counts[index])
}

/// A backend that is terminated does not unwind: then it leaves the count on its way out.
fn leave_at_exit() {
    if !LEAVES_AT_EXIT.replace(true) {
        // SAFETY: once a process; the callback is guarded and lives as long as the process.
        unsafe { pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::from(0)) }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_exit(_code: i32, _argument: pg_sys::Datum) {
    leave();
}
