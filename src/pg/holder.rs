//! Who else has a row.

use pgrx::pg_sys;

/// Another transaction, or a group of them, that holds a row: the same as long as the same one holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Transaction(pg_sys::TransactionId),
    Group(pg_sys::MultiXactId),
}

/// Why a row cannot be had now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There is none, or others have the whole table.
    Absent,
    /// Another session has the claim of it, see [`super::claim::Claim`].
    Claimed,
    /// Another transaction is changing it, or has it locked.
    Held(Holder),
}

/// The other transaction that is changing a row that was found through a snapshot of everything, or has locked
/// it. It may let go, or another take it, at any moment.
///
/// # Safety
/// A row of a scan that goes on, and the snapshot of that scan.
pub(super) unsafe fn holder(
    tuple: pg_sys::HeapTuple,
    everything: &pg_sys::SnapshotData,
) -> Option<Holder> {
    let none = pg_sys::InvalidTransactionId;
    let mut writers = [everything.xmin, everything.xmax].into_iter();
    match writers.find(|&writer| writer != none) {
        Some(writer) => Some(Holder::Transaction(writer)),
        // SAFETY: the caller's promise.
        None => unsafe { locker(tuple) },
    }
}

/// The one that has locked a row, which the snapshot does not tell where it has not changed it.
///
/// # Safety
/// A row of a scan that goes on.
unsafe fn locker(tuple: pg_sys::HeapTuple) -> Option<Holder> {
    // SAFETY: its page is pinned by the scan. What others write in the header meanwhile are whole words, which
    // are only compared.
    unsafe {
        let header = (*tuple).t_data;
        let mask = u32::from((*header).t_infomask);
        let locker = (*header).t_choice.t_heap.t_xmax;
        if mask & pg_sys::HEAP_XMAX_INVALID != 0 {
            return None;
        }
        if mask & pg_sys::HEAP_XMAX_IS_MULTI != 0 {
            let lock_only = mask & pg_sys::HEAP_XMAX_LOCK_ONLY != 0;
            let group: pg_sys::MultiXactId = locker.into_inner().into();
            return pg_sys::MultiXactIdIsRunning(group, lock_only).then_some(Holder::Group(group));
        }
        let is_held = !pg_sys::TransactionIdIsCurrentTransactionId(locker)
            && pg_sys::TransactionIdIsInProgress(locker);
        is_held.then_some(Holder::Transaction(locker))
    }
}
