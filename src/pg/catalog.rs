//! What the catalog says, by its caches: without a statement, which a new session would have to plan first.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::RELOID;

use super::session::check_interrupts;

/// The relation of the schema decide with that name, if there is one.
pub fn relation(name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: looks names up in the catalog, within a transaction.
    let found = unsafe {
        let schema = pg_sys::get_namespace_oid(c"decide".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    (found != pg_sys::InvalidOid).then_some(found)
}

/// The same of a table that the extension has made.
pub fn table(name: &str) -> pg_sys::Oid {
    relation(name).unwrap_or_else(|| panic!("the table decide.{name} is not there"))
}

/// Whether a table that the extension has made has no page, so that no snapshot sees a row of it. Asked of the file
/// alone: a session opens no table for that.
pub fn has_no_page(name: &str) -> bool {
    let table = table(name);
    // SAFETY: within a transaction; the lock keeps the table's file in its place until the transaction ends.
    unsafe {
        pg_sys::LockRelationOid(table, pg_sys::AccessShareLock as i32);
        let tuple = pg_sys::SearchSysCache1(RELOID as i32, table.into());
        if tuple.is_null() {
            return false;
        }
        let class = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let (file, tablespace) = (class.relfilenode, class.reltablespace);
        pg_sys::ReleaseSysCache(tuple);
        let tablespace = match tablespace == pg_sys::InvalidOid {
            true => pg_sys::MyDatabaseTableSpace,
            false => tablespace,
        };
        #[cfg(feature = "pg15")]
        let file = pg_sys::RelFileNode {
            spcNode: tablespace,
            dbNode: pg_sys::MyDatabaseId,
            relNode: file,
        };
        #[cfg(not(feature = "pg15"))]
        let file = pg_sys::RelFileLocator {
            spcOid: tablespace,
            dbOid: pg_sys::MyDatabaseId,
            relNumber: file,
        };
        // Of no session: the table is not temporary.
        let opened = pg_sys::smgropen(file, -1);
        pg_sys::smgrnblocks(opened, pg_sys::ForkNumber::MAIN_FORKNUM) == 0
    }
}

/// Whether the column of any row of a table that the extension has made has a value; for small tables, without a
/// statement.
pub fn has_value(name: &str, column: &CStr) -> bool {
    let table = table(name);
    // SAFETY: within a transaction with an active snapshot; rows are looked at before the scan ends.
    unsafe {
        let column = i32::from(pg_sys::get_attnum(table, column.as_ptr()));
        assert!(column > 0, "the table decide.{name} is not as it was made");
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let (none, snapshot) = (pg_sys::InvalidOid, pg_sys::GetActiveSnapshot());
        let scan =
            pg_sys::systable_beginscan(relation, none, false, snapshot, 0, std::ptr::null_mut());
        let mut found = false;
        while !found {
            check_interrupts();
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            found = !pg_sys::heap_attisnull(tuple, column, (*relation).rd_att);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        found
    }
}
