//! New versions of rows, without the executor.

use pgrx::pg_sys;

use super::row::Locked;
use super::spi::SessionMark;
use super::value::{Arg, debug_check_type, laid_out};

/// A tuple of these columns; those that the relation has behind them stay as they are in `old`.
///
/// # Safety
/// The relation must be open, `old` be a tuple of it, and the values be of the types of its columns.
pub(super) unsafe fn formed<const N: usize>(
    relation: pg_sys::Relation,
    old: pg_sys::HeapTuple,
    row: &[Arg<'_>; N],
) -> pg_sys::HeapTuple {
    // SAFETY: the caller's promise; values and nulls are as many as its attributes, which is checked.
    unsafe {
        let shape = (*relation).rd_att;
        if (*shape).natts as usize > N {
            let mut column = 0;
            let columns = row.map(|value| {
                column += 1;
                (column, value)
            });
            return modified(relation, old, columns);
        }
        assert!((*shape).natts as usize == N, "a row of {N} columns");
        debug_check_types(shape, row);
        let (mut values, mut nulls) = laid_out(row);
        pg_sys::heap_form_tuple(shape, values.as_mut_ptr(), nulls.as_mut_ptr())
    }
}

/// A tuple with some columns changed.
///
/// # Safety
/// The tuple must be one of the relation, and the columns such of it.
pub(super) unsafe fn modified<const N: usize>(
    relation: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
    columns: [(i32, Arg<'_>); N],
) -> pg_sys::HeapTuple {
    let mut numbers = columns.map(|(column, _)| column);
    let (mut values, mut nulls) = laid_out(&columns.map(|(_, value)| value));
    // SAFETY: the caller's promise; as many values as columns.
    unsafe {
        for (column, value) in &columns {
            debug_check_column((*relation).rd_att, value, *column);
        }
        pg_sys::heap_modify_tuple_by_cols(
            tuple,
            (*relation).rd_att,
            N as i32,
            numbers.as_mut_ptr(),
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
        )
    }
}

/// In debug builds: that the values are of the types of the columns, in their order.
///
/// # Safety
/// The shape must be alive.
pub(super) unsafe fn debug_check_types(shape: pg_sys::TupleDesc, row: &[Arg<'_>]) {
    for (i, value) in row.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { debug_check_column(shape, value, i as i32 + 1) }
    }
}

/// # Safety
/// As above.
pub(super) unsafe fn debug_check_column(shape: pg_sys::TupleDesc, value: &Arg<'_>, column: i32) {
    if cfg!(debug_assertions) {
        // SAFETY: the caller's promise.
        let of_type = unsafe { pg_sys::SPI_gettypeid(shape, column) };
        debug_check_type(value, of_type, column as usize);
    }
}

/// Puts a tuple in the place of a version, which is locked then; None, and nothing, if that is not the
/// newest, or another transaction has the row and is not waited for.
///
/// # Safety
/// As for [`update`].
pub(super) unsafe fn put(
    relation: pg_sys::Relation,
    tid: pg_sys::ItemPointerData,
    tuple: pg_sys::HeapTuple,
    wait: bool,
) -> Option<Locked> {
    // SAFETY: the caller's promise.
    unsafe {
        let result = update(relation, tid, tuple, wait);
        (result == pg_sys::TM_Result::TM_Ok).then(|| Locked {
            table: (*relation).rd_id,
            tid: (*tuple).t_self,
            tuple,
            locked_in: SessionMark::now(),
        })
    }
}

/// Puts a tuple in the place of a version, if that is the newest one of its row; for one that another
/// transaction has it waits, or not. Later statements of the transaction see it, and `tuple` knows where it is.
///
/// # Safety
/// The relation must be a heap without triggers, open under the lock that an UPDATE takes; the item
/// pointer that of a version that a snapshot of this transaction sees; the tuple one of this relation.
unsafe fn update(
    relation: pg_sys::Relation,
    mut tid: pg_sys::ItemPointerData,
    tuple: pg_sys::HeapTuple,
    wait: bool,
) -> pg_sys::TM_Result::Type {
    let mut failure = pg_sys::TM_FailureData::default();
    let mut lock = pg_sys::LockTupleMode::LockTupleNoKeyExclusive;
    // SAFETY: the caller's promise. It is what an UPDATE of a heap comes down to.
    unsafe {
        let command = pg_sys::GetCurrentCommandId(true);
        #[cfg(not(feature = "pg15"))]
        let mut entries = pg_sys::TU_UpdateIndexes::TU_None;
        let result = pg_sys::heap_update(
            relation,
            &mut tid,
            tuple,
            command,
            std::ptr::null_mut(),
            wait,
            &mut failure,
            &mut lock,
            #[cfg(not(feature = "pg15"))]
            &mut entries,
        );
        if result == pg_sys::TM_Result::TM_Ok {
            #[cfg(feature = "pg15")]
            let (all, summarizing) = (!is_heap_only(tuple), false);
            #[cfg(not(feature = "pg15"))]
            let (all, summarizing) = (
                entries != pg_sys::TU_UpdateIndexes::TU_None,
                entries == pg_sys::TU_UpdateIndexes::TU_Summarizing,
            );
            if all {
                add_entries(relation, tuple, summarizing);
            }
            drop_own_lock(relation, tuple);
            pg_sys::CommandCounterIncrement();
        }
        result
    }
}

/// Marks the lock that a new version has taken over from the one before as void, if it is one of this transaction. Who
/// has written a version has it without a lock, for as long as there is that version; and the lock of one
/// subtransaction under the update of another would need a multixact.
///
/// # Safety
/// A tuple of the relation that this transaction has just written.
unsafe fn drop_own_lock(relation: pg_sys::Relation, tuple: pg_sys::HeapTuple) {
    let is_own_lock = |header: &pg_sys::HeapTupleHeaderData| {
        let mask = u32::from(header.t_infomask);
        let only_lock = mask & pg_sys::HEAP_XMAX_LOCK_ONLY != 0;
        let none = mask & (pg_sys::HEAP_XMAX_INVALID | pg_sys::HEAP_XMAX_IS_MULTI) != 0;
        // SAFETY: within a transaction; the number stands in a header that is alive.
        only_lock
            && !none
            && unsafe { pg_sys::TransactionIdIsCurrentTransactionId(header.t_choice.t_heap.t_xmax) }
    };
    // SAFETY: the caller's promise. It is a hint, as the server itself sets it for locks of transactions that have
    // ended: under a shared lock on the page, without a record in the log. Nobody else has changed the version, which
    // others do not see yet.
    unsafe {
        if !is_own_lock(&*(*tuple).t_data) {
            return;
        }
        let mut any = pg_sys::SnapshotData {
            snapshot_type: pg_sys::SnapshotType::SNAPSHOT_ANY,
            ..Default::default()
        };
        let mut stored = pg_sys::HeapTupleData {
            t_self: (*tuple).t_self,
            ..Default::default()
        };
        let mut page = pg_sys::InvalidBuffer as pg_sys::Buffer;
        if !pg_sys::heap_fetch(relation, &mut any, &mut stored, &mut page, false) {
            return;
        }
        pg_sys::LockBuffer(page, pg_sys::BUFFER_LOCK_SHARE as i32);
        let header = stored.t_data;
        if is_own_lock(&*header) {
            (*header).t_infomask |= pg_sys::HEAP_XMAX_INVALID as u16;
            pg_sys::MarkBufferDirtyHint(page, true);
        }
        pg_sys::LockBuffer(page, pg_sys::BUFFER_LOCK_UNLOCK as i32);
        pg_sys::ReleaseBuffer(page);
    }
}

#[cfg(feature = "pg15")]
unsafe fn is_heap_only(tuple: pg_sys::HeapTuple) -> bool {
    // SAFETY: a tuple that has just been written.
    unsafe { u32::from((*(*tuple).t_data).t_infomask2) & pg_sys::HEAP_ONLY_TUPLE != 0 }
}

/// Enters a new version into every index, those on expressions and of a part of the rows included.
unsafe fn add_entries(
    relation: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
    #[cfg_attr(feature = "pg15", allow(unused_variables))] summarizing: bool,
) {
    // SAFETY: as COPY does it: an executor's state that only expressions of indexes look at, freed at the end.
    unsafe {
        let state = pg_sys::CreateExecutorState();
        let target = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast();
        pg_sys::InitResultRelInfo(target, relation, 0, std::ptr::null_mut(), 0);
        pg_sys::ExecOpenIndices(target, false);
        let slot = pg_sys::MakeSingleTupleTableSlot(
            (*relation).rd_att,
            &raw const pg_sys::TTSOpsHeapTuple,
        );
        pg_sys::ExecStoreHeapTuple(tuple, slot, false);
        pg_sys::ExecInsertIndexTuples(
            target,
            slot,
            state,
            false,
            false,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            #[cfg(not(feature = "pg15"))]
            summarizing,
        );
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::ExecCloseIndices(target);
        pg_sys::FreeExecutorState(state);
        pg_sys::pfree(target.cast());
    }
}
