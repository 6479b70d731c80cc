//! New versions of rows, without the executor.

use pgrx::pg_sys;

/// Puts a tuple in the place of the one there, if that is its newest version; for one that another
/// transaction has it waits, or not. Later statements of the transaction see it, and `tuple` knows where it is.
///
/// # Safety
/// The relation must be a heap without triggers, open under the lock that an UPDATE takes; the place one
/// that a snapshot of this transaction sees; the tuple one of this relation.
pub(super) unsafe fn update(
    relation: pg_sys::Relation,
    mut place: pg_sys::ItemPointerData,
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
            &mut place,
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
            pg_sys::CommandCounterIncrement();
        }
        result
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
