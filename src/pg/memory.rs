//! Memory that the system does not give.
//!
//! Rust answers that by aborting the process, which makes the server throw out every session. Here the session ends with
//! a FATAL error of its own, and all others go on. (An ERROR would leave by a jump over frames that have borrowed what they
//! must give back.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{c_char, c_int};
use std::sync::OnceLock;

use pgrx::PgLogLevel;

/// The system's allocator, but that a session ends where it has nothing left.
struct OfSession;

#[global_allocator]
static ALLOCATOR: OfSession = OfSession;

// SAFETY: every call is handed to the system's allocator as it came, and what that answers is handed back; where that is
// null, the process may end instead.
unsafe impl GlobalAlloc for OfSession {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        checked(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        checked(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What is done where nothing is left: known once a server has loaded the library.
static ENDS: OnceLock<fn()> = OnceLock::new();

/// Once per process, when a server has loaded the library.
pub fn init() {
    ENDS.get_or_init(|| end_session);
}

fn checked(memory: *mut u8) -> *mut u8 {
    if memory.is_null()
        && let Some(end) = ENDS.get()
    {
        end();
    }
    memory
}

unsafe extern "C-unwind" {
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errcode(code: c_int) -> c_int;
    fn errmsg(format: *const c_char, ...) -> c_int;
    fn errdetail(format: *const c_char, ...) -> c_int;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
}

/// Ends the session.
#[cold]
fn end_session() {
    // SAFETY: a report of constant texts, for which the server has set memory aside; at FATAL it does not come back.
    unsafe {
        if errstart(PgLogLevel::FATAL as c_int, std::ptr::null()) {
            errcode(pgrx::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int);
            errmsg(c"out of memory".as_ptr());
            errdetail(c"pg_decide needs more than the system has, so this session ends.".as_ptr());
            errfinish(c"memory.rs".as_ptr(), 0, c"end_session".as_ptr());
        }
    }
}
