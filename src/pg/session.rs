//! The session and its transaction.

use pgrx::pg_sys;

/// Whether the transaction may not write: READ ONLY, or on a standby.
pub fn is_read_only() -> bool {
    // SAFETY: reads a flag of the backend.
    unsafe { pg_sys::XactReadOnly }
}

/// Lets a cancel or a shutdown through; for loops that take long.
pub fn check_interrupts() {
    pgrx::check_for_interrupts!();
}

/// Refuses settings of a prefix that nobody has defined.
pub fn reserve_settings(prefix: &std::ffi::CStr) {
    // SAFETY: the name is a static C string.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) }
}
