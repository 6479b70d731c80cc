//! Adding a row to a table without the executor: for the one row that every decision writes.

use pgrx::pg_sys;

use super::datum::Arg;

/// Adds a row to a partition; whether it did: not if the partition is gone meanwhile. The row must
/// have a value for each column, in their order, no null where the table forbids it, and must
/// belong into the partition.
///
/// Only for tables that are plain: stored as a heap, without triggers, check constraints or rules
/// on INSERT, and with indexes on columns only. The rights of the current role are not asked: it is
/// for tables that only our own functions write.
pub fn append<const N: usize>(partition: pg_sys::Oid, row: &[Arg; N]) -> bool {
    let mut values = row.map(|value| value.unwrap_or(pg_sys::Datum::from(0)));
    let mut nulls = row.map(|value| value.is_none());
    // SAFETY: the relation is opened under the lock that an INSERT takes, and keeps it to the end
    // of the transaction; values and nulls are as many as its attributes, which is checked. The
    // calls are those by which Postgres adds rows to its own catalogs: heap, TOAST, WAL and every
    // index, with uniqueness checked. After an ERROR the abort of the transaction closes all.
    unsafe {
        let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        let relation = pg_sys::try_table_open(partition, lock);
        if relation.is_null() {
            return false;
        }
        if !(*(*relation).rd_rel).relispartition {
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            return false;
        }
        let shape = (*relation).rd_att;
        assert!((*shape).natts as usize == N, "a row of {N} columns");
        let tuple = pg_sys::heap_form_tuple(shape, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::CatalogTupleInsert(relation, tuple);
        pg_sys::heap_freetuple(tuple);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
    true
}
