//! Few rows that are looked at all the time: found again by their item pointers, without an index.
//!
//! While a row is updated HOT, its index entry points to the same item: the root of a chain on one page,
//! along which its newest version is. A backend remembers roots, and looks whether the row is still there.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::itemptr::{item_pointer_get_both, item_pointer_set_all};
use pgrx::pg_sys;

use super::row::TableRow;

/// A table, and the two numbers that are the primary key of a row of it.
type Name = (pg_sys::Oid, i32, i32);

/// How many roots a backend remembers.
const MOST: usize = 4096;

/// A page has room for fewer tuples than that: each takes a header and a pointer.
const MOST_ON_A_PAGE: usize = pg_sys::BLCKSZ as usize / 28;

thread_local! {
    static ROOTS: RefCell<HashMap<Name, pg_sys::ItemPointerData>> = RefCell::default();
}

/// Hands the row to `then` if it is found from where it was; whether it was.
///
/// # Safety
/// The relation must be open, its first two columns be its primary key, and the snapshot one of everything,
/// active, or registered.
pub(super) unsafe fn find_again(
    relation: pg_sys::Relation,
    (first, second): (i32, i32),
    snapshot: pg_sys::Snapshot,
    then: impl FnOnce(TableRow<'_>),
) -> bool {
    // SAFETY: the caller's promise. The page exists, is pinned while the row is looked at, and locked while
    // the chain is followed, as an index scan does it.
    unsafe {
        let name = ((*relation).rd_id, first, second);
        let Some(mut tid) = ROOTS.with_borrow(|roots| roots.get(&name).copied()) else {
            return false;
        };
        let (block, _) = item_pointer_get_both(tid);
        if !has_block(relation, block) {
            return false;
        }
        let page = pg_sys::ReadBuffer(relation, block);
        pg_sys::heap_page_prune_opt(relation, page);
        let mut tuple = pg_sys::HeapTupleData::default();
        pg_sys::LockBuffer(page, pg_sys::BUFFER_LOCK_SHARE as i32);
        let alive = pg_sys::heap_hot_search_buffer(
            &mut tid,
            relation,
            page,
            snapshot,
            &mut tuple,
            std::ptr::null_mut(),
            true,
        );
        pg_sys::LockBuffer(page, pg_sys::BUFFER_LOCK_UNLOCK as i32);
        let row = TableRow::new(&mut tuple, relation);
        let found = alive && row.get(1) == Some(first) && row.get(2) == Some(second);
        if found {
            then(row);
        }
        pg_sys::ReleaseBuffer(page);
        found
    }
}

/// Whether the table has that page.
///
/// # Safety
/// The relation must be open and locked.
unsafe fn has_block(relation: pg_sys::Relation, block: pg_sys::BlockNumber) -> bool {
    let main = pg_sys::ForkNumber::MAIN_FORKNUM;
    // SAFETY: the caller's promise. Once known, a size is a lower bound that needs no look at the file:
    // tables are cut only by those who lock all others out, and that makes sizes unknown again.
    unsafe {
        let known = (*pg_sys::RelationGetSmgr(relation)).smgr_cached_nblocks[main as usize];
        known != pg_sys::InvalidBlockNumber && block < known
            || block < pg_sys::RelationGetNumberOfBlocksInFork(relation, main)
    }
}

/// Remembers where a version of a row was found.
///
/// # Safety
/// The relation must be open, and the item pointer that of a tuple that a snapshot of this transaction sees.
pub(super) unsafe fn remember(
    relation: pg_sys::Relation,
    (first, second): (i32, i32),
    tid: pg_sys::ItemPointerData,
) {
    let mut roots = [0; MOST_ON_A_PAGE];
    // SAFETY: the caller's promise; there is room for a root of each tuple on the page.
    let (name, root) = unsafe {
        let (block, offset) = item_pointer_get_both(tid);
        let page = pg_sys::ReadBuffer(relation, block);
        pg_sys::LockBuffer(page, pg_sys::BUFFER_LOCK_SHARE as i32);
        pg_sys::heap_get_root_tuples(pg_sys::BufferGetPage(page), roots.as_mut_ptr());
        pg_sys::LockBuffer(page, pg_sys::BUFFER_LOCK_UNLOCK as i32);
        pg_sys::ReleaseBuffer(page);
        let mut root = tid;
        item_pointer_set_all(&mut root, block, roots[usize::from(offset) - 1]);
        (((*relation).rd_id, first, second), root)
    };
    ROOTS.with_borrow_mut(|roots| {
        if roots.len() >= MOST {
            roots.clear();
        }
        roots.insert(name, root);
    });
}
