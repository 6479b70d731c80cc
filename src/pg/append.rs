//! Adding a row to a table without the executor: for the one row that every decision writes.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys;

use super::altered;
use super::daily::Day;
use super::heap::debug_check_column;
use super::record::{Column, Layout, layout};
use super::value::Arg;

/// The partitions that this backend has last written to.
const LAST_WRITTEN: usize = 4;

thread_local! {
    static COMPARED: RefCell<Vec<Compared>> = const { RefCell::new(Vec::new()) };
}

/// Where a partition has the columns of the rows, as of a count of changes; or why it takes no such rows.
struct Compared {
    partition: pg_sys::Oid,
    changes: u64,
    layout: Result<Layout, Rc<str>>,
}

/// Adds a row to a partition, for later statements of the transaction to see; whether it did: not if
/// the partition is gone meanwhile, was altered, or does not have the columns of the row. It may have them in any
/// order, and more columns that are null then. The row must belong into the partition.
///
/// Only for tables that are plain: stored as a heap, without triggers, check constraints or rules
/// on INSERT, and with indexes on columns only. The rights of the current role are not asked: it is
/// for tables that only our own functions write.
pub fn append<const N: usize>(day: Day, columns: &[Column], row: &[Arg<'_>; N]) -> bool {
    // SAFETY: the relation is opened under the lock that an INSERT takes, and keeps it to the end
    // of the transaction; values and nulls are as many as its attributes, which is checked. The
    // calls are those by which Postgres adds rows to its own catalogs: heap, TOAST, WAL and every
    // index, with uniqueness checked. After an ERROR the abort of the transaction closes all.
    unsafe {
        let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        let relation = pg_sys::try_table_open(day.partition, lock);
        if relation.is_null() {
            return false;
        }
        let shape = (*relation).rd_att;
        let holds = (*(*relation).rd_rel).relispartition && day.still_holds();
        let layout = holds.then(|| layout_of(day, shape, columns)).flatten();
        let Some(layout) = layout else {
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            return false;
        };
        assert!(columns.len() == N, "a row of {N} columns");
        let mut values = [pg_sys::Datum::from(0); Layout::WIDEST];
        let mut nulls = [true; Layout::WIDEST];
        for (value, &index) in row.iter().zip(&layout.indexes) {
            let index = usize::from(index);
            debug_check_column(shape, value, index as i32 + 1);
            if let Some(value) = value {
                values[index] = value.datum();
                nulls[index] = false;
            }
        }
        let tuple = pg_sys::heap_form_tuple(shape, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::CatalogTupleInsert(relation, tuple);
        #[cfg(not(feature = "pg15"))]
        room::make(relation, (*tuple).t_self.ip_blkid);
        pg_sys::heap_freetuple(tuple);
        pg_sys::CommandCounterIncrement();
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
    true
}

/// Where the partition has these columns; compared when it is first written to, and after each change. None if it takes
/// no rows of them.
///
/// # Safety
/// The shape must be that of the open partition.
unsafe fn layout_of(day: Day, shape: pg_sys::TupleDesc, columns: &[Column]) -> Option<Layout> {
    let is_of_day =
        |kept: &&Compared| (kept.partition, kept.changes) == (day.partition, day.changes);
    let known =
        COMPARED.with_borrow(|all| all.iter().find(is_of_day).map(|kept| kept.layout.clone()));
    let layout = known.unwrap_or_else(|| {
        // SAFETY: the caller's promise.
        let layout = unsafe { layout(shape, columns) }.map_err(Rc::from);
        COMPARED.with_borrow_mut(|all| {
            all.truncate(LAST_WRITTEN - 1);
            all.insert(
                0,
                Compared {
                    partition: day.partition,
                    changes: day.changes,
                    layout: layout.clone(),
                },
            );
        });
        layout
    });
    let noted = layout.inspect_err(|fault| altered::note(day.partition, fault));
    noted.ok()
}

/// Room ahead: a table that only grows is extended by several pages at once, which costs a fraction
/// of one system call and one extension lock per page.
#[cfg(not(feature = "pg15"))]
mod room {
    use std::cell::Cell;

    use pgrx::pg_sys;

    /// Pages that are added at once.
    const AHEAD: usize = 16;

    thread_local! {
        /// The page on which this backend has last added a row, and of which table.
        static LAST: Cell<(pg_sys::Oid, pg_sys::BlockNumber)> = const {
            Cell::new((pg_sys::InvalidOid, pg_sys::InvalidBlockNumber))
        };
    }

    /// Adds pages behind `page` if a row has just been the first that this backend put there and it
    /// is the last one of the table.
    ///
    /// # Safety
    /// The relation is open for writing.
    pub unsafe fn make(relation: pg_sys::Relation, page: pg_sys::BlockIdData) {
        let page = (u32::from(page.bi_hi) << 16) | u32::from(page.bi_lo);
        // SAFETY: what Postgres does itself when several sessions wait for a table to be extended:
        // empty pages, known to the free space map; a page that is still zero is initialised by
        // whoever finds it there. Each buffer comes pinned and is released.
        unsafe {
            let table = (*relation).rd_id;
            if LAST.replace((table, page)) == (table, page) {
                return;
            }
            let main = pg_sys::ForkNumber::MAIN_FORKNUM;
            if page + 1 < pg_sys::RelationGetNumberOfBlocksInFork(relation, main) {
                return;
            }
            let mut buffers = [pg_sys::InvalidBuffer as pg_sys::Buffer; AHEAD];
            let mut added = 0;
            let whose = pg_sys::BufferManagerRelation {
                rel: relation,
                ..Default::default()
            };
            let first = pg_sys::ExtendBufferedRelBy(
                whose,
                main,
                std::ptr::null_mut(),
                0,
                AHEAD as u32,
                buffers.as_mut_ptr(),
                &mut added,
            );
            let empty = pg_sys::BLCKSZ as usize - size_of::<pg_sys::PageHeaderData>();
            for (next, buffer) in buffers.iter().take(added as usize).enumerate() {
                pg_sys::ReleaseBuffer(*buffer);
                pg_sys::RecordPageWithFreeSpace(relation, first + next as u32, empty);
            }
            pg_sys::FreeSpaceMapVacuumRange(relation, first, first + added);
        }
    }
}
