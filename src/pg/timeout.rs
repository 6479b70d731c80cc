//! Time limits: a timer of the server's own that cancels what runs too long, and tells that cancel
//! from one of the caller's.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_guard, pg_sys};

// The server's timeouts, which pgrx does not declare (`utils/timeout.h`, the same since version 9.3).
unsafe extern "C-unwind" {
    fn RegisterTimeout(id: i32, handler: unsafe extern "C-unwind" fn()) -> i32;
    fn enable_timeout_at(id: i32, at: pg_sys::TimestampTz);
    fn disable_timeout(id: i32, keep_indicator: bool);
    fn get_timeout_active(id: i32) -> bool;
}

/// That of statement_timeout.
const STATEMENT_TIMEOUT: i32 = 3;

/// One that extensions may ask for, in every version; the server answers with the one that is free.
const USER_TIMEOUT: i32 = 16;

/// Ours, once it was asked for.
static TIMER: AtomicI32 = AtomicI32::new(-1);

/// The timer has run out since it was armed, and its cancel has not been dealt with.
static RAN_OUT: AtomicBool = AtomicBool::new(false);

/// A timer lives.
static ARMED: AtomicBool = AtomicBool::new(false);

/// Something has caught the timer's cancel, and was cancelled again.
static AGAIN: AtomicBool = AtomicBool::new(false);

/// The caller's statement_timeout was running when the timer was armed.
static STATEMENT_TIMED: AtomicBool = AtomicBool::new(false);

/// While it lives, what runs is cancelled when the time is over: at the next place where Postgres
/// looks for a cancel, so also while it sleeps or waits for a lock. To be armed within an attempt,
/// which catches that. There is one timer: one lives at a time.
pub struct Timer(());

impl Timer {
    pub fn arm(time: Duration) -> Timer {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4);
        // SAFETY: a timeout is asked for once a process, and its handler does what a signal handler
        // may; the calls read and set the process's own alarm.
        unsafe {
            let timer = registered(&TIMER, run_out);
            RAN_OUT.store(false, Ordering::Relaxed);
            AGAIN.store(false, Ordering::Relaxed);
            ARMED.store(true, Ordering::Relaxed);
            STATEMENT_TIMED.store(get_timeout_active(STATEMENT_TIMEOUT), Ordering::Relaxed);
            let at = pg_sys::GetCurrentTimestamp().saturating_add(micros);
            enable_timeout_at(timer, at);
        }
        Timer(())
    }

    /// Ends it. Where something has caught its cancel and gone on, what it answers is late: that is an error
    /// as the cancel would have been.
    pub fn end(self) {
        let ran_out = RAN_OUT.load(Ordering::Relaxed);
        let was_caught = ran_out && (AGAIN.load(Ordering::Relaxed) || !is_pending());
        drop(self);
        if was_caught && !is_the_statements() {
            cancel();
        }
    }
}

/// The timeout that has this handler, which is asked for once a process.
///
/// # Safety
/// The handler must do only what a signal handler may.
pub(super) unsafe fn registered(timer: &AtomicI32, handler: unsafe extern "C-unwind" fn()) -> i32 {
    if timer.load(Ordering::Relaxed) < 0 {
        // SAFETY: the caller's promise.
        let id = unsafe { RegisterTimeout(USER_TIMEOUT, handler) };
        timer.store(id, Ordering::Relaxed);
    }
    timer.load(Ordering::Relaxed)
}

/// Raises the timer's cancel.
fn cancel() -> ! {
    goes_on();
    let code = PgSqlErrorCode::ERRCODE_QUERY_CANCELED;
    ErrorReport::new(code, "canceling statement due to a timeout", "pg_decide")
        .report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Whether a cancel is asked for.
fn is_pending() -> bool {
    // SAFETY: a flag of the process.
    unsafe { (&raw const pg_sys::QueryCancelPending).read_volatile() != 0 }
}

/// Has the timer's cancel outlive those who catch it. Once per process, from `_PG_init`.
pub fn init() {
    // SAFETY: the callback lives as long as the process, and only writes flags.
    unsafe { pg_sys::RegisterSubXactCallback(Some(subtransaction_ended), std::ptr::null_mut()) };
}

/// A subtransaction that fails while a timer lives, and after it or the statement's own timeout has run out, is that
/// of a function which has caught the cancel: what it does next is cancelled again, until the function and all that
/// call it have ended.
#[pg_guard]
unsafe extern "C-unwind" fn subtransaction_ended(
    event: pg_sys::SubXactEvent::Type,
    _mine: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB
        && ARMED.load(Ordering::Relaxed)
        && !is_pending()
        && (RAN_OUT.load(Ordering::Relaxed) || is_the_statements())
    {
        AGAIN.store(true, Ordering::Relaxed);
        ask_for_cancel();
    }
}

fn ask_for_cancel() {
    // SAFETY: flags of the process, which signal handlers write.
    unsafe {
        (&raw mut pg_sys::QueryCancelPending).write_volatile(1);
        (&raw mut pg_sys::InterruptPending).write_volatile(1);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        ARMED.store(false, Ordering::Relaxed);
        // SAFETY: turns our own timeout off, which is allowed in any state.
        unsafe { disable_timeout(TIMER.load(Ordering::Relaxed), false) };
        // What unwinds now may be the cancel itself: `is_ours` sees to that.
        if !std::thread::panicking() {
            withdraw();
        }
    }
}

/// What the alarm calls, as a signal handler: asks for a cancel, as a client would. One that is asked
/// for already is the caller's. The server wakes whoever waits.
unsafe extern "C-unwind" fn run_out() {
    if !is_pending() {
        RAN_OUT.store(true, Ordering::Relaxed);
        ask_for_cancel();
    }
}

/// Takes back a cancel that the timer has asked for and that nobody has noticed.
fn withdraw() {
    if RAN_OUT.swap(false, Ordering::Relaxed) && !is_the_statements() {
        // SAFETY: a flag of the process.
        unsafe { (&raw mut pg_sys::QueryCancelPending).write_volatile(0) };
    }
}

/// Whether the statement's own timeout has run out since the timer was armed.
fn is_the_statements() -> bool {
    // SAFETY: reads whether a timeout runs.
    STATEMENT_TIMED.load(Ordering::Relaxed) && unsafe { !get_timeout_active(STATEMENT_TIMEOUT) }
}

/// Of an error that was just caught: whether it is the timer's cancel. If it is another one, a cancel
/// of the timer that is still to come is taken back.
pub(super) fn is_ours(cancelled: bool) -> bool {
    if cancelled && RAN_OUT.load(Ordering::Relaxed) && !is_the_statements() {
        // It may have been asked for again meanwhile.
        match AGAIN.swap(false, Ordering::Relaxed) {
            true => withdraw(),
            false => RAN_OUT.store(false, Ordering::Relaxed),
        }
        return true;
    }
    withdraw();
    false
}

/// Marks the error that is raised next as the timer's cancel: one that was caught goes on.
pub(super) fn goes_on() {
    RAN_OUT.store(true, Ordering::Relaxed);
}
