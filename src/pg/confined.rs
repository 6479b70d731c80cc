//! What runs and leaves nothing behind: neither in the transaction, nor in the session, which outlives it.

use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::pg_sys::NodeTag::{
    T_ClosePortalStmt, T_DeallocateStmt, T_DiscardStmt, T_ListenStmt, T_LoadStmt, T_NotifyStmt,
    T_PrepareStmt, T_UnlistenStmt,
};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, PgTryBuilder, pg_guard, pg_sys};

/// Something confined runs.
static CONFINED: AtomicBool = AtomicBool::new(false);

/// Who looked at calls and commands before us.
static BEFORE: OnceLock<(
    pg_sys::object_access_hook_type,
    pg_sys::ProcessUtility_hook_type,
)> = OnceLock::new();

/// Has calls and commands be looked at while something confined runs. Once per process, from `_PG_init`.
pub fn init() {
    // SAFETY: the process has one thread; the hooks live as long as it does.
    unsafe {
        BEFORE.get_or_init(|| (pg_sys::object_access_hook, pg_sys::ProcessUtility_hook));
        pg_sys::object_access_hook = Some(look_at_access);
        pg_sys::ProcessUtility_hook = Some(look_at_command);
    }
}

/// Runs `work` in a subtransaction that is undone, whether it fails or not: cursors that it has opened are closed, locks
/// that it has taken are given back, and nobody is notified. What would outlive that is refused.
#[allow(clippy::result_large_err)] // the error that pgrx hands on is as large as it is
pub fn confined<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: as in `attempt`, but that the subtransaction never stays.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = PgTryBuilder::new(AssertUnwindSafe(|| {
            let _confinement = Confinement::begin();
            Ok(work())
        }))
        .catch_others(Err)
        .execute();
        pg_sys::RollbackAndReleaseCurrentSubTransaction();
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result.unwrap_or_else(|error: pg_sys::panic::CaughtError| error.rethrow())
    }
}

struct Confinement {
    before: bool,
}

impl Confinement {
    fn begin() -> Confinement {
        Confinement {
            before: CONFINED.swap(true, Ordering::Relaxed),
        }
    }
}

impl Drop for Confinement {
    fn drop(&mut self) {
        CONFINED.store(self.before, Ordering::Relaxed);
    }
}

/// Called by the server whenever it prepares to call a function, and for other accesses.
unsafe extern "C-unwind" fn look_at_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: i32,
    argument: *mut std::ffi::c_void,
) {
    // SAFETY: hands on what it was given; nothing of ours is to be dropped.
    if let Some((Some(before), _)) = BEFORE.get() {
        unsafe { before(access, class, object, part, argument) };
    }
    if CONFINED.load(Ordering::Relaxed)
        && access == pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE
        && outlives_transaction(object)
    {
        unsafe { refuse_function(object) };
    }
}

/// Whether what a function of the server does to the session, or to others, is not undone with the transaction:
/// advisory locks of the session, the seed of its random numbers, and messages in the log of changes.
fn outlives_transaction(function: pg_sys::Oid) -> bool {
    /// pg_logical_emit_message, whose arguments differ from version to version.
    const MESSAGES: std::ops::RangeInclusive<u32> = 3577..=3578;
    let function = function.to_u32();
    (pg_sys::F_PG_ADVISORY_LOCK_INT8..=pg_sys::F_PG_ADVISORY_UNLOCK_ALL).contains(&function)
        || function == pg_sys::F_SETSEED
        || MESSAGES.contains(&function)
}

#[pg_guard]
unsafe extern "C-unwind" fn refuse_function(function: pg_sys::Oid) {
    // SAFETY: the name is allocated by the server, and copied.
    let name = unsafe {
        let name = pg_sys::get_func_name(function);
        match name.is_null() {
            true => function.to_u32().to_string(),
            false => std::ffi::CStr::from_ptr(name)
                .to_string_lossy()
                .into_owned(),
        }
    };
    refuse(&format!("{name}()"));
}

/// Called by the server for each command that is no query.
#[allow(clippy::too_many_arguments)] // the server's
unsafe extern "C-unwind" fn look_at_command(
    statement: *mut pg_sys::PlannedStmt,
    text: *const std::ffi::c_char,
    keep: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    to: *mut pg_sys::DestReceiver,
    done: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: hands on what it was given; nothing of ours is to be dropped.
    unsafe {
        if CONFINED.load(Ordering::Relaxed) {
            refuse_lasting_command((*statement).utilityStmt);
        }
        match BEFORE.get() {
            Some((_, Some(before))) => before(
                statement,
                text,
                keep,
                context,
                parameters,
                environment,
                to,
                done,
            ),
            _ => standard_ProcessUtility(
                statement,
                text,
                keep,
                context,
                parameters,
                environment,
                to,
                done,
            ),
        }
    }
}

// As the server has it: not through a guard, which each command of every session would pay for.
unsafe extern "C-unwind" {
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        text: *const std::ffi::c_char,
        keep: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        parameters: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        to: *mut pg_sys::DestReceiver,
        done: *mut pg_sys::QueryCompletion,
    );
}

/// Those that change the session's prepared statements, cursors, caches, libraries and channels.
#[pg_guard]
unsafe extern "C-unwind" fn refuse_lasting_command(command: *mut pg_sys::Node) {
    // SAFETY: a command that is about to be run, looked at by its tag; names of commands are static texts.
    let name = unsafe {
        if !matches!(
            (*command).type_,
            T_ClosePortalStmt
                | T_DeallocateStmt
                | T_DiscardStmt
                | T_ListenStmt
                | T_LoadStmt
                | T_NotifyStmt
                | T_PrepareStmt
                | T_UnlistenStmt
        ) {
            return;
        }
        std::ffi::CStr::from_ptr(pg_sys::GetCommandTagName(pg_sys::CreateCommandTag(command)))
    };
    refuse(&name.to_string_lossy());
}

fn refuse(what: &str) -> ! {
    let code = PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION;
    ErrorReport::new(
        code,
        format!("cannot execute {what} within a rule"),
        "pg_decide",
    )
    .set_detail("A rule reads only: what this does outlives the transaction.")
    .report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}
