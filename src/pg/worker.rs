//! Background workers: how they are registered, begin, wait, and take a transaction.

use std::ffi::{CStr, CString, c_int};
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder};
use pgrx::{PgAtomic, PgTryBuilder, pg_guard, pg_sys};

use super::attempt::{Caught, report_of};

const LIBRARY: &str = "pg_decide";

/// How soon the server restarts a launcher that has ended.
const RESTART: Duration = Duration::from_secs(5);

/// One bit per worker that is out, by its mark; a worker that ends well takes its bit away.
// SAFETY: no other library would take this name.
static OUT: PgAtomic<AtomicU64> = unsafe { PgAtomic::new(c"pg_decide workers") };

/// How many marks there are.
pub const MARKS: u32 = u64::BITS;

/// What the launcher and the workers run.
struct Main {
    launcher: fn(),
    /// Whether all went well.
    worker: fn(pg_sys::Oid) -> bool,
}

static MAIN: OnceLock<Main> = OnceLock::new();

/// Says what launcher and workers run, and, while the server loads its preloaded libraries, registers
/// the launcher. The server starts it once it can be written to: at its start, or at promotion. Not while pg_upgrade
/// runs it: what jobs changed then would be lost, or be in the way of what it restores.
#[allow(unexpected_cfgs)] // the macro asks for versions of the server that we do not have
pub fn init(name: &str, launcher: fn(), worker: fn(pg_sys::Oid) -> bool) {
    MAIN.get_or_init(|| Main { launcher, worker });
    // SAFETY: reads flags of the process.
    let (preloading, upgrading) = unsafe {
        (
            pg_sys::process_shared_preload_libraries_in_progress,
            pg_sys::IsBinaryUpgrade,
        )
    };
    if preloading && !upgrading {
        pgrx::pg_shmem_init!(OUT);
        described(name, "pg_decide_launcher")
            .set_restart_time(Some(RESTART))
            .load();
    }
}

/// The entry points by which the server knows them.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_decide_launcher(_argument: pg_sys::Datum) {
    if let Some(main) = MAIN.get() {
        (main.launcher)();
    }
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_decide_worker(argument: pg_sys::Datum) {
    if let Some(main) = MAIN.get() {
        let argument = argument.value() as u64;
        let (mark, database) = ((argument >> 32) as u32, argument as u32);
        if (main.worker)(pg_sys::Oid::from(database)) {
            OUT.get().fetch_and(!(1 << mark), Ordering::Relaxed);
        }
    }
}

fn described(name: &str, function: &str) -> BackgroundWorkerBuilder {
    // With access to databases comes the start at the end of recovery.
    BackgroundWorkerBuilder::new(name)
        .set_library(LIBRARY)
        .set_function(function)
        .enable_spi_access()
}

/// A worker that this process has started.
pub struct Started {
    handle: *mut pg_sys::BackgroundWorkerHandle,
    mark: u32,
}

impl Started {
    /// Starts a worker for a database, with a mark below MARKS that no other has; None where the
    /// server has no room for one.
    pub fn new(name: &str, database: pg_sys::Oid, mark: u32) -> Option<Started> {
        let argument = u64::from(mark) << 32 | u64::from(database.to_u32());
        let argument = pg_sys::Datum::from(argument);
        let builder = described(name, "pg_decide_worker").set_argument(Some(argument));
        let mut described: pg_sys::BackgroundWorker = (&builder).into();
        let mut handle = std::ptr::null_mut();
        OUT.get().fetch_or(1 << mark, Ordering::Relaxed);
        // SAFETY: both live through the call. The handle lies in the memory of the process, as no
        // transaction is open, and is freed by Drop.
        let room = unsafe { pg_sys::RegisterDynamicBackgroundWorker(&mut described, &mut handle) };
        room.then(|| Started { handle, mark })
    }

    pub fn has_ended(&self) -> bool {
        let mut pid = 0;
        // SAFETY: the handle lives as long as self.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(self.handle, &mut pid) };
        status == pg_sys::BgwHandleStatus::BGWH_STOPPED
    }

    /// Of one that has ended: whether it did so before its time, or said that not all went well.
    pub fn has_failed(&self) -> bool {
        OUT.get().load(Ordering::Relaxed) & (1 << self.mark) != 0
    }

    /// Asks it to end.
    pub fn end(&self) {
        // SAFETY: the handle lives as long as self.
        unsafe { pg_sys::TerminateBackgroundWorker(self.handle) }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // SAFETY: allocated by the server in `new`, and freed once.
        unsafe { pg_sys::pfree(self.handle.cast()) }
    }
}

/// The first thing that a worker does: signals, its database (None: the shared catalogs alone), and
/// settings that its statements rely on.
pub fn begin(name: &CStr, database: Option<pg_sys::Oid>) {
    // SAFETY: once, at the start of a worker, in the order that the server's own workers have.
    unsafe {
        on_signal(pg_sys::SIGHUP as c_int, reload_requested);
        on_signal(pg_sys::SIGTERM as c_int, end_requested);
        pg_sys::BackgroundWorkerUnblockSignals();
        match database {
            Some(oid) => {
                pg_sys::BackgroundWorkerInitializeConnectionByOid(oid, pg_sys::InvalidOid, 0)
            }
            None => {
                pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0)
            }
        }
    }
    set(c"search_path", c"pg_catalog, pg_temp");
    // A worker comes again. Who waits for a lock holds up those who come later, and other jobs.
    set(c"lock_timeout", c"200ms");
    set(c"application_name", name);
}

fn set(name: &CStr, value: &CStr) {
    // SAFETY: texts live through the call; the settings are known and the values good.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        )
    }
}

type Handler = unsafe extern "C-unwind" fn(c_int);

/// # Safety
/// The handler must do what a signal handler may.
unsafe fn on_signal(signal: c_int, handler: Handler) {
    // SAFETY: the caller's promise.
    unsafe {
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, Some(handler));
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, Some(handler));
    }
}

unsafe extern "C-unwind" fn reload_requested(_signal: c_int) {
    // SAFETY: what the server's own handler does.
    unsafe {
        (&raw mut pg_sys::ConfigReloadPending).write_volatile(1);
        pg_sys::SetLatch(pg_sys::MyLatch);
    }
}

/// Ends the worker at the next place where a statement can be interrupted, as in any session.
unsafe extern "C-unwind" fn end_requested(_signal: c_int) {
    // SAFETY: what the server's own handler does.
    unsafe {
        (&raw mut pg_sys::InterruptPending).write_volatile(1);
        (&raw mut pg_sys::ProcDiePending).write_volatile(1);
        pg_sys::SetLatch(pg_sys::MyLatch);
    }
}

/// Takes in settings that were reloaded meanwhile.
pub fn reload() {
    // SAFETY: outside of a transaction, as everywhere in the server.
    unsafe {
        if (&raw const pg_sys::ConfigReloadPending).read_volatile() != 0 {
            (&raw mut pg_sys::ConfigReloadPending).write_volatile(0);
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Waits so long, or until a signal comes; false when the server is gone.
pub fn wait(most: Duration) -> bool {
    BackgroundWorker::wait_latch(Some(most))
}

/// Says in pg_stat_activity what the worker does; nothing while it idles.
pub fn show(activity: Option<&str>) {
    let text = activity.and_then(|text| CString::new(text).ok());
    // SAFETY: the text is copied.
    unsafe {
        match &text {
            Some(text) => {
                pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr())
            }
            None => {
                pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null())
            }
        }
    }
}

/// Runs `work` in a transaction of its own, and commits it. An error undoes all and is returned;
/// only what ends the process is passed on.
#[allow(clippy::result_large_err)] // the error that pgrx hands on is as large as it is
pub fn transaction<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    // SAFETY: begin, commit and abort in pairs, as in the server's own loop over statements.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = PgTryBuilder::new(AssertUnwindSafe(|| {
            let answer = work();
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
            Ok(answer)
        }))
        .catch_others(Err)
        .execute();
        let result = result.map_err(|error| {
            pg_sys::AbortCurrentTransaction();
            report_of(&error)
        });
        pg_sys::pgstat_report_stat(true);
        result
    }
}

/// The databases that take connections: names and identifiers. For the launcher, which is in none.
pub fn databases() -> Vec<(String, pg_sys::Oid)> {
    let mut found = Vec::new();
    // SAFETY: a scan of the catalog of databases, as the autovacuum launcher makes it: without an
    // index and without SPI, which would need a database. Names are copied.
    unsafe {
        let catalog =
            pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::table_beginscan_catalog(catalog, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if (*row).datallowconn {
                let name = CStr::from_ptr((&raw const (*row).datname.data).cast());
                found.push((name.to_string_lossy().into_owned(), (*row).oid));
            }
        }
        pg_sys::heap_endscan(scan);
        pg_sys::table_close(catalog, pg_sys::AccessShareLock as i32);
    }
    found
}
