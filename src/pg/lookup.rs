//! One row by its primary key, without the executor: for the one read that every decision makes.

use std::ffi::CStr;

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
    /// Hands column `column` (from 1) of the row with that key to `then`, unless it is null or
    /// there is no such row. Sees what a statement of the caller would see. The rights of the
    /// current role are not asked: it is for tables that only our own functions read.
    pub fn read(&self, key: Uuid, column: i32, then: impl FnOnce(pg_sys::Datum)) {
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
                let mut null = false;
                let value = pg_sys::SPI_getbinval(tuple, (*relation).rd_att, column, &mut null);
                if !null {
                    then(value);
                }
            }
            pg_sys::systable_endscan(scan);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }
}
