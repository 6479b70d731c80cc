//! Small tables that are read whole, without a statement: a new session would have to plan it first.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::catalog::relation;
use super::plain_table::is_heap;
use super::record::attribute;
use super::row::TableRow;
use super::session::check_interrupts;

/// A column, and its type.
pub type TypedColumn = (&'static CStr, pg_sys::Oid);

/// Hands each row, and the numbers of these columns, to `each`. Sees what the active snapshot sees; the rights of the
/// current role are not asked. Whether it did: not where the table is not as it was made.
pub fn each_row<const N: usize>(
    table: &str,
    columns: [TypedColumn; N],
    mut each: impl FnMut(TableRow<'_>, [i32; N]),
) -> bool {
    let Some(table) = relation(table) else {
        return false;
    };
    let keep = pg_sys::NoLock as pg_sys::LOCKMODE;
    // SAFETY: within a transaction with an active snapshot; what is opened is locked until the transaction ends, and rows
    // are looked at before the scan ends. After an ERROR the abort of the (sub)transaction releases all of it.
    unsafe {
        let relation = pg_sys::try_table_open(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        if relation.is_null() {
            return false;
        }
        let numbers = columns.map(|(name, _)| i32::from(pg_sys::get_attnum(table, name.as_ptr())));
        let has_column = |(number, (_, kind)): (&i32, &TypedColumn)| {
            *number > 0 && attribute((*relation).rd_att, *number as usize - 1).atttypid == *kind
        };
        let class = &*(*relation).rd_rel;
        let is_as_made =
            is_heap(class) && !class.relrowsecurity && numbers.iter().zip(&columns).all(has_column);
        if is_as_made {
            let (none, snapshot) = (pg_sys::InvalidOid, pg_sys::GetActiveSnapshot());
            let scan = pg_sys::systable_beginscan(
                relation,
                none,
                false,
                snapshot,
                0,
                std::ptr::null_mut(),
            );
            loop {
                check_interrupts();
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                each(TableRow::new(tuple, relation), numbers);
            }
            pg_sys::systable_endscan(scan);
        }
        pg_sys::table_close(relation, keep);
        is_as_made
    }
}
