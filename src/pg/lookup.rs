//! One row by its primary key, without the executor: for the one read that every decision makes.

use std::ffi::CStr;
use std::marker::PhantomData;

use pgrx::pg_sys;
use uuid::Uuid;

use super::datum;

/// A table whose primary key is one uuid.
pub struct Keyed {
    pub schema: &'static CStr,
    pub table: &'static CStr,
    pub primary_key: &'static CStr,
}

impl Keyed {
    /// Hands the row with that key to `then`, if there is one. Sees what a statement of the caller would see. The rights of the
    /// current role are not asked: it is for tables that only our own functions read.
    pub fn read(&self, key: Uuid, then: impl FnOnce(Found<'_>)) {
        let Some(key) = datum::uuid(key) else { return };
        // SAFETY: the relation is opened under a lock that is kept to the end of the transaction;
        // the scan key names the equality of the index's only column; the row is looked at before
        // the scan ends. After an ERROR the abort of the (sub)transaction releases all of it.
        unsafe {
            let schema = pg_sys::get_namespace_oid(self.schema.as_ptr(), false);
            let table = pg_sys::get_relname_relid(self.table.as_ptr(), schema);
            let index = pg_sys::get_relname_relid(self.primary_key.as_ptr(), schema);
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let relation = pg_sys::table_open(table, lock);
            let mut scan_key = pg_sys::ScanKeyData::default();
            pg_sys::ScanKeyInit(
                &mut scan_key,
                1,
                pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                pg_sys::F_UUID_EQ.into(),
                key,
            );
            let snapshot = pg_sys::GetActiveSnapshot();
            let scan =
                pg_sys::systable_beginscan(relation, index, true, snapshot, 1, &mut scan_key);
            let tuple = pg_sys::systable_getnext(scan);
            if !tuple.is_null() {
                then(Found {
                    tuple,
                    shape: (*relation).rd_att,
                    lives: PhantomData,
                });
            }
            pg_sys::systable_endscan(scan);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }
}

/// A row that was found, valid while it is looked at.
pub struct Found<'a> {
    tuple: pg_sys::HeapTuple,
    shape: pg_sys::TupleDesc,
    lives: PhantomData<&'a ()>,
}

impl Found<'_> {
    /// The value in column `column` (from 1), or None where it is null.
    pub fn datum(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: tuple and shape belong together and are alive, see `read`.
        let value = unsafe { pg_sys::SPI_getbinval(self.tuple, self.shape, column, &mut null) };
        (!null).then_some(value)
    }
}
