//! The session and its transaction.

use pgrx::pg_sys;

/// Whether the transaction may not write: READ ONLY, or on a standby.
pub fn is_read_only() -> bool {
    // SAFETY: reads a flag of the backend.
    unsafe { pg_sys::XactReadOnly }
}

/// While it lives, what runs cannot write, whatever functions it calls are declared as.
pub struct ReadOnly(bool);

impl ReadOnly {
    /// To be made within an attempt: an error puts back what was before as well.
    pub fn begin() -> ReadOnly {
        // SAFETY: a flag of the backend, which subtransactions save and restore.
        unsafe {
            let before = pg_sys::XactReadOnly;
            pg_sys::XactReadOnly = true;
            ReadOnly(before)
        }
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::XactReadOnly = self.0 }
    }
}

/// Whether a parallel query runs, in this session or in a worker of it: then no snapshot can be taken.
pub fn is_parallel() -> bool {
    // SAFETY: reads the state of the transaction.
    unsafe { pg_sys::IsInParallelMode() }
}

/// A number of the running transaction that no other of this backend has.
pub fn transaction() -> u64 {
    // SAFETY: reads the transaction's state; one that has written has an identifier already.
    unsafe { pg_sys::GetTopFullTransactionId().value }
}

/// A number of the running subtransaction that no other of its transaction has.
pub fn subtransaction() -> u32 {
    // SAFETY: reads the transaction's state.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

/// How many connections the server takes.
pub fn max_connections() -> i64 {
    // SAFETY: reads a setting that the server has had since its start.
    i64::from(unsafe { pg_sys::MaxConnections })
}

/// Whether row security applies; else a statement over a table that has it fails.
pub fn has_row_security() -> bool {
    // SAFETY: reads a setting of the session.
    unsafe { pg_sys::row_security }
}

/// Whether the session bounds its waits for locks by itself.
pub fn has_lock_timeout() -> bool {
    // SAFETY: reads a setting of the session.
    unsafe { pg_sys::LockTimeout > 0 }
}

/// Whether the transaction sees one snapshot throughout, which may be old.
pub fn sees_one_snapshot() -> bool {
    // SAFETY: reads a setting of the transaction.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Whether the caller's snapshot sees what that transaction has committed.
pub fn sees(transaction: u32) -> bool {
    let transaction = pg_sys::TransactionId::from(transaction);
    // SAFETY: only called while a statement runs, which has pushed its snapshot.
    unsafe {
        pg_sys::TransactionIdIsCurrentTransactionId(transaction)
            || !pg_sys::XidInMVCCSnapshot(transaction, pg_sys::GetActiveSnapshot())
    }
}

/// When the statement of the client began, in microseconds since 2000: its snapshots are not older.
pub fn statement_began() -> i64 {
    // SAFETY: reads a moment that the server has noted.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// The process of this session: no other session has the same number while this one lasts.
pub fn process() -> i32 {
    // SAFETY: reads a number that is set when the process starts.
    unsafe { pg_sys::MyProcPid }
}

/// A small number of this session, which no other has while this one lasts: the server gives the lowest that is free.
pub fn number() -> i32 {
    // SAFETY: reads a number that is set when the session starts.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        return pg_sys::MyBackendId;
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        return pg_sys::MyProcNumber;
    }
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

/// Keeps stack traces out of the DETAIL of errors, also where the server was started from a shell
/// that asks for them.
pub fn without_backtraces() {
    // SAFETY: a backend has one thread, and nothing else reads the environment now. The standard
    // library looks at this variable once, at the first error.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") }
}
