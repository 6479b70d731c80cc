//! What runs and leaves nothing behind: neither in the transaction, nor in the session, which outlives it.

use std::ffi::{CStr, c_char};
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::pg_sys::NodeTag::{
    T_ClosePortalStmt, T_DeallocateStmt, T_DiscardStmt, T_ListenStmt, T_LoadStmt, T_NotifyStmt,
    T_PrepareStmt, T_UnlistenStmt,
};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, PgTryBuilder, pg_guard, pg_sys};

use super::planner::settings_that;

/// Something confined runs.
static CONFINED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Settings whose values act at once, and are not undone where the value is: the seed of the session's random
    /// numbers, and the timer that ends the session with a transaction that is too long.
    static LASTING: Vec<*mut pg_sys::config_generic> = settings_that(|_, name| {
        [c"seed", c"transaction_timeout"].contains(&name)
    });
    /// The memory of all cursors: each has a part of it, by its name.
    static CURSORS: pg_sys::MemoryContext = memory_of_cursors();
}

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
/// that it has taken are given back, and nobody is notified. What would outlive that is refused, and so is what belongs
/// to the caller: cursors, and statements.
#[allow(clippy::result_large_err)] // the error that pgrx hands on is as large as it is
pub fn confined<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: as in `attempt`, but that the subtransaction never stays.
    unsafe {
        let _cursors = BusyCursors::of_caller();
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

/// Runs `work`, in which what would outlive the transaction is refused, and nothing is undone: it calls no function of a
/// user's.
pub fn refusing<T>(work: impl FnOnce() -> T) -> T {
    let _confinement = Confinement::begin();
    work()
}

/// While it lives, what outlives the transaction is refused, settings of that kind included, and errors do not tell what
/// the caller runs. An ERROR ends it as it unwinds.
struct Confinement {
    /// It is within another one, which ends later.
    is_inner: bool,
    context_of_errors: *mut pg_sys::ErrorContextCallback,
}

impl Confinement {
    fn begin() -> Confinement {
        let is_inner = CONFINED.swap(true, Ordering::Relaxed);
        if !is_inner {
            allow_lasting_settings(false);
        }
        // SAFETY: the process has one thread; whoever catches an error puts back what it has found.
        let context_of_errors = unsafe {
            std::ptr::replace(&raw mut pg_sys::error_context_stack, std::ptr::null_mut())
        };
        Confinement {
            is_inner,
            context_of_errors,
        }
    }
}

impl Drop for Confinement {
    fn drop(&mut self) {
        // SAFETY: as above; where an error unwinds, who catches it sets this anew.
        unsafe { pg_sys::error_context_stack = self.context_of_errors };
        if !self.is_inner {
            allow_lasting_settings(true);
            CONFINED.store(false, Ordering::Relaxed);
        }
    }
}

/// Has the server refuse to change such settings, or not.
fn allow_lasting_settings(allow: bool) {
    use pg_sys::GucContext::{PGC_INTERNAL, PGC_USERSET};
    LASTING.with(|settings| {
        for &setting in settings {
            // SAFETY: settings live as long as the process, and any role may set these for itself.
            unsafe { (*setting).context = if allow { PGC_USERSET } else { PGC_INTERNAL } };
        }
    });
}

/// The cursors that are open at a moment: while it lives, none of them can be read, moved or closed.
struct BusyCursors(Vec<pg_sys::Portal>);

impl BusyCursors {
    fn of_caller() -> BusyCursors {
        let mut cursors = BusyCursors(Vec::new());
        if CONFINED.load(Ordering::Relaxed) {
            return cursors;
        }
        // SAFETY: contexts are linked as the server has them, with names that are C strings. A cursor that counts as
        // running is neither run nor dropped by others, so it is still there when self is dropped.
        unsafe {
            let mut memory = CURSORS.with(|&all| (*all).firstchild);
            while !memory.is_null() {
                let name = (*memory).ident;
                let is_unnamed = name.is_null() || CStr::from_ptr(name) == c"<unnamed>";
                cursors.keep_busy(if is_unnamed { c"".as_ptr() } else { name });
                if is_unnamed && !name.is_null() {
                    cursors.keep_busy(name);
                }
                memory = (*memory).nextchild;
            }
        }
        cursors
    }

    /// # Safety
    /// The name must be a C string.
    unsafe fn keep_busy(&mut self, name: *const c_char) {
        // SAFETY: the caller's promise; a cursor that is found is open.
        unsafe {
            let cursor = pg_sys::GetPortalByName(name);
            if !cursor.is_null() && (*cursor).status == pg_sys::PortalStatus::PORTAL_READY {
                (*cursor).status = pg_sys::PortalStatus::PORTAL_ACTIVE;
                self.0.push(cursor);
            }
        }
    }
}

fn memory_of_cursors() -> pg_sys::MemoryContext {
    // SAFETY: contexts are linked as the server has them; this one lives as long as the process.
    unsafe {
        let mut memory = (*pg_sys::TopMemoryContext).firstchild;
        while !memory.is_null() && CStr::from_ptr((*memory).name) != c"TopPortalContext" {
            memory = (*memory).nextchild;
        }
        assert!(!memory.is_null(), "the server has memory for cursors");
        memory
    }
}

impl Drop for BusyCursors {
    fn drop(&mut self) {
        for &cursor in &self.0 {
            // SAFETY: see `of_caller`.
            unsafe { (*cursor).status = pg_sys::PortalStatus::PORTAL_READY };
        }
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
        && (outlives_transaction(object) || shows_statements(object))
    {
        unsafe { refuse_function(object) };
    }
}

/// Whether a function of the server shows what the caller of the decision runs, which may name the user.
fn shows_statements(function: pg_sys::Oid) -> bool {
    matches!(
        function.to_u32(),
        pg_sys::F_CURRENT_QUERY | pg_sys::F_PG_CURSOR | pg_sys::F_PG_PREPARED_STATEMENT
    )
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
            false => CStr::from_ptr(name).to_string_lossy().into_owned(),
        }
    };
    let why = match shows_statements(function) {
        true => "It shows statements of the caller.",
        false => LASTS,
    };
    refuse(&format!("{name}()"), why);
}

/// Called by the server for each command that is no query.
#[allow(clippy::too_many_arguments)] // the server's
unsafe extern "C-unwind" fn look_at_command(
    statement: *mut pg_sys::PlannedStmt,
    text: *const c_char,
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
        text: *const c_char,
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
        CStr::from_ptr(pg_sys::GetCommandTagName(pg_sys::CreateCommandTag(command)))
    };
    refuse(&name.to_string_lossy(), LASTS);
}

const LASTS: &str = "A rule reads only: what this does outlives the transaction.";

fn refuse(what: &str, why: &str) -> ! {
    let code = PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION;
    ErrorReport::new(
        code,
        format!("cannot execute {what} within a rule"),
        "pg_decide",
    )
    .set_detail(why)
    .report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}
