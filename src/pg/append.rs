//! Adding rows to a table without the executor: for the one row that every decision writes, and for those of many
//! decisions together.

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

/// Bytes of a row beyond which it is added by itself: the server may store a part of it elsewhere, and then the copy
/// that waits for others would not know where the row is.
const LARGE: u32 = 2_000;

/// Rows of a partition that wait to be added together, which saves a search for a page, a WAL record and the opening
/// of indexes for each. To be flushed in the session in which they were pushed.
#[derive(Default)]
pub struct Rows {
    partition: Option<pg_sys::Oid>,
    tuples: Vec<pg_sys::HeapTuple>,
}

impl Rows {
    /// Has the row added by the next flush, or adds it now; whether it did, as [`append`].
    pub fn push<const N: usize>(
        &mut self,
        day: Day,
        columns: &[Column],
        row: &[Arg<'_>; N],
    ) -> bool {
        let is_locked = self.partition == Some(day.partition);
        if !is_locked {
            self.flush();
        }
        // SAFETY: as in `append`; while rows wait the partition is locked, so it is what it was. The tuple is in the
        // memory of the session, which stays open until the flush.
        unsafe {
            let lock = match is_locked {
                true => pg_sys::NoLock,
                false => pg_sys::RowExclusiveLock,
            };
            let Some((relation, layout)) = open(day, columns, lock as pg_sys::LOCKMODE) else {
                return false;
            };
            let tuple = formed(relation, &layout, columns, row);
            match (*tuple).t_len > LARGE {
                true => insert(relation, tuple),
                false => {
                    self.partition = Some(day.partition);
                    self.tuples.push(tuple);
                }
            }
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
        true
    }

    /// Adds what waits, for later statements of the transaction to see.
    pub fn flush(&mut self) {
        let Some(partition) = self.partition.take() else {
            return;
        };
        // SAFETY: the partition is locked since the first row was pushed, so it is what it was then. The calls are
        // those by which Postgres adds many rows to its own catalogs; each slot holds a tuple of the relation's
        // shape, small enough to be stored as it is, so that it learns where it is.
        unsafe {
            let relation = pg_sys::table_open(partition, pg_sys::NoLock as pg_sys::LOCKMODE);
            let indexes = pg_sys::CatalogOpenIndexes(relation);
            let slot = |&tuple: &pg_sys::HeapTuple| {
                let kind = &raw const pg_sys::TTSOpsHeapTuple;
                let slot = pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, kind);
                pg_sys::ExecStoreHeapTuple(tuple, slot, false)
            };
            let mut slots: Vec<*mut pg_sys::TupleTableSlot> =
                self.tuples.iter().map(slot).collect();
            let rows = slots.len() as i32;
            pg_sys::CatalogTuplesMultiInsertWithInfo(relation, slots.as_mut_ptr(), rows, indexes);
            #[cfg(not(feature = "pg15"))]
            if let Some(&last) = slots.last() {
                room::make(relation, (*last).tts_tid.ip_blkid);
            }
            for &slot in &slots {
                pg_sys::ExecDropSingleTupleTableSlot(slot);
            }
            pg_sys::CatalogCloseIndexes(indexes);
            for tuple in self.tuples.drain(..) {
                pg_sys::heap_freetuple(tuple);
            }
            pg_sys::CommandCounterIncrement();
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }
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
        let Some((relation, layout)) = open(day, columns, lock) else {
            return false;
        };
        insert(relation, formed(relation, &layout, columns, row));
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
    true
}

/// Opens a partition for rows of these columns, and says where it has them; None if it takes no such rows, or is not as
/// it was known. The lock is the one that an INSERT takes, unless the transaction has it already.
///
/// # Safety
/// The relation is to be closed.
unsafe fn open(
    day: Day,
    columns: &[Column],
    lock: pg_sys::LOCKMODE,
) -> Option<(pg_sys::Relation, Layout)> {
    // SAFETY: the relation is closed here where it is not handed out.
    unsafe {
        let relation = pg_sys::try_table_open(day.partition, lock);
        if relation.is_null() {
            return None;
        }
        let holds = (*(*relation).rd_rel).relispartition && day.still_holds();
        let layout = holds
            .then(|| layout_of(day, (*relation).rd_att, columns))
            .flatten();
        if layout.is_none() {
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
        layout.map(|layout| (relation, layout))
    }
}

/// A tuple of the values.
///
/// # Safety
/// The relation must be open and have these columns there.
unsafe fn formed<const N: usize>(
    relation: pg_sys::Relation,
    layout: &Layout,
    columns: &[Column],
    row: &[Arg<'_>; N],
) -> pg_sys::HeapTuple {
    assert!(columns.len() == N, "a row of {N} columns");
    let mut values = [pg_sys::Datum::from(0); Layout::WIDEST];
    let mut nulls = [true; Layout::WIDEST];
    // SAFETY: the caller's promise; there are as many values and nulls as columns at most.
    unsafe {
        let shape = (*relation).rd_att;
        for (value, &index) in row.iter().zip(&layout.indexes) {
            let index = usize::from(index);
            debug_check_column(shape, value, index as i32 + 1);
            if let Some(value) = value {
                values[index] = value.datum();
                nulls[index] = false;
            }
        }
        pg_sys::heap_form_tuple(shape, values.as_mut_ptr(), nulls.as_mut_ptr())
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        debug_assert!(
            std::thread::panicking() || self.partition.is_none(),
            "rows that wait are flushed"
        );
    }
}

/// Adds a tuple, and frees it.
///
/// # Safety
/// The relation must be open for writing, and the tuple be of its shape.
unsafe fn insert(relation: pg_sys::Relation, tuple: pg_sys::HeapTuple) {
    // SAFETY: the caller's promise.
    unsafe {
        pg_sys::CatalogTupleInsert(relation, tuple);
        #[cfg(not(feature = "pg15"))]
        room::make(relation, (*tuple).t_self.ip_blkid);
        pg_sys::heap_freetuple(tuple);
        pg_sys::CommandCounterIncrement();
    }
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
