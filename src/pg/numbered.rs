//! Rows of tables whose primary key is one bigint, without a statement: a new session would have to plan it first.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::catalog::relation;
use super::plain_table::readable_by_number;
use super::row::TableRow;

/// Hands the row with the highest number, and the numbers of these columns, to `then`. Sees what the active snapshot
/// sees; the rights of the current role are not asked. None where there is no row, or the table is not as it was made.
pub fn newest<const N: usize, T>(
    table: &str,
    columns: [&CStr; N],
    then: impl FnOnce(TableRow<'_>, [i32; N]) -> T,
) -> Option<T> {
    find(table, columns, None, then)
}

/// The same of the row with that number.
pub fn by_number<const N: usize, T>(
    table: &str,
    columns: [&CStr; N],
    number: i64,
    then: impl FnOnce(TableRow<'_>, [i32; N]) -> T,
) -> Option<T> {
    find(table, columns, Some(number), then)
}

fn find<const N: usize, T>(
    table: &str,
    columns: [&CStr; N],
    number: Option<i64>,
    then: impl FnOnce(TableRow<'_>, [i32; N]) -> T,
) -> Option<T> {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    let keep = pg_sys::NoLock as pg_sys::LOCKMODE;
    let table = relation(table)?;
    // SAFETY: within a transaction with an active snapshot; what is opened is locked until the transaction ends, and the
    // row is looked at before the scan ends. After an ERROR the abort of the (sub)transaction releases all of it.
    unsafe {
        let columns = columns.map(|name| i32::from(pg_sys::get_attnum(table, name.as_ptr())));
        let relation = pg_sys::try_table_open(table, lock);
        if relation.is_null() {
            return None;
        }
        let mut found = None;
        if columns.iter().all(|&column| column > 0)
            && let Some(index) = readable_by_number(relation)
        {
            let index = pg_sys::index_open(index, lock);
            let mut key = pg_sys::ScanKeyData::default();
            if let Some(number) = number {
                let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
                pg_sys::ScanKeyInit(&mut key, 1, equal, pg_sys::F_INT8EQ.into(), number.into());
            }
            let keys = i32::from(number.is_some());
            let snapshot = pg_sys::GetActiveSnapshot();
            let scan =
                pg_sys::systable_beginscan_ordered(relation, index, snapshot, keys, &mut key);
            let from_the_end = pg_sys::ScanDirection::BackwardScanDirection;
            let tuple = pg_sys::systable_getnext_ordered(scan, from_the_end);
            if !tuple.is_null() {
                found = Some(then(TableRow::new(tuple, relation), columns));
            }
            pg_sys::systable_endscan_ordered(scan);
            pg_sys::index_close(index, keep);
        }
        pg_sys::table_close(relation, keep);
        found
    }
}
