//! Who else has a row.

use pgrx::pg_sys;

use super::attempt::attempt_aside_for;

/// Another transaction, or a group of them, that holds a row: the same as long as the same one holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Transaction(pg_sys::TransactionId),
    Group(pg_sys::MultiXactId),
}

impl Holder {
    /// Waits until that transaction has ended, for so many milliseconds at most; whether it has.
    pub fn wait(self, milliseconds: u32) -> bool {
        attempt_aside_for(milliseconds, || self.wait_until_cancelled()).is_some()
    }

    /// The same within an attempt that has a timer. Nothing is locked.
    pub(super) fn wait_until_cancelled(self) {
        // SAFETY: waits for the lock that every transaction has on its own number, or looks again and again
        // whether a group of them goes on; both look for interrupts.
        unsafe {
            match self {
                Holder::Transaction(number) => pg_sys::XactLockTableWait(
                    number,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                    pg_sys::XLTW_Oper::XLTW_None,
                ),
                Holder::Group(number) => {
                    while pg_sys::MultiXactIdIsRunning(number, true) {
                        pause();
                    }
                }
            }
        }
    }
}

/// Half a millisecond.
pub(super) fn pause() {
    pgrx::check_for_interrupts!();
    // SAFETY: sleeps; a signal ends it early.
    unsafe { pg_sys::pg_usleep(500) };
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
/// A row whose page is pinned, as by a scan that goes on.
pub(super) unsafe fn locker(tuple: pg_sys::HeapTuple) -> Option<Holder> {
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
            return is_of_others(group, lock_only).then_some(Holder::Group(group));
        }
        is_other(locker).then_some(Holder::Transaction(locker))
    }
}

/// Whether another transaction, which goes on, is one of a group: savepoints of this one may be the others.
///
/// # Safety
/// A group that stands in the header of a row.
unsafe fn is_of_others(group: pg_sys::MultiXactId, lock_only: bool) -> bool {
    // SAFETY: the server allocates so many members as it says, or none.
    unsafe {
        let mut members: *mut pg_sys::MultiXactMember = std::ptr::null_mut();
        let count = pg_sys::GetMultiXactIdMembers(group, &mut members, false, lock_only);
        if members.is_null() {
            return false;
        }
        let all = std::slice::from_raw_parts(members, usize::try_from(count).unwrap_or(0));
        let is_held = all.iter().any(|member| is_other(member.xid));
        pg_sys::pfree(members.cast());
        is_held
    }
}

/// Whether it is a transaction that goes on, and not this one.
///
/// # Safety
/// As that of the server's functions: within a transaction.
unsafe fn is_other(transaction: pg_sys::TransactionId) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        !pg_sys::TransactionIdIsCurrentTransactionId(transaction)
            && pg_sys::TransactionIdIsInProgress(transaction)
    }
}
