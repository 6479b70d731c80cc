//! A day's partition that is as the extension made it, found without a statement: a session needs it for its first
//! decision, and at midnight.

use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{INDEXRELID, RELOID};

use super::clock::DAY;
use super::plain_table::{ON_INSERT, begins_with, heeds_nothing, indexes, is_heap};

// Of the server, which pgrx does not declare (`catalog/partition.h`, `catalog/pg_inherits.h`; the
// same since version 14).
unsafe extern "C-unwind" {
    fn get_partition_parent(partition: pg_sys::Oid, even_if_detached: bool) -> pg_sys::Oid;
    fn PartitionHasPendingDetach(partition: pg_sys::Oid) -> bool;
}

/// The primary key of the partition of a table for the day that begins then; None where anything is not as the extension
/// made it, or cannot be told from the catalog's caches. `daily.sql` says the same as a statement, and gives the reasons.
pub(super) fn primary_key_of_plain(
    partition: pg_sys::Oid,
    table: pg_sys::Oid,
    day: i64,
    key: &[(&str, pg_sys::Oid); 3],
) -> Option<pg_sys::Oid> {
    // SAFETY: within a transaction; the relation is open, under a lock that is kept until the transaction ends, while
    // what it points to is looked at.
    unsafe {
        let opened = pg_sys::try_table_open(partition, pg_sys::AccessShareLock as i32);
        if opened.is_null() {
            return None;
        }
        let is_plain = is_plain_table(opened, table, day) && begins_with(opened, key);
        let primary_key = is_plain.then(|| primary_key(opened)).flatten();
        pg_sys::table_close(opened, pg_sys::NoLock as i32);
        primary_key
    }
}

/// Whether rows of that day may be added to an open partition without the executor, as far as tables say.
///
/// # Safety
/// The relation must be open.
unsafe fn is_plain_table(partition: pg_sys::Relation, table: pg_sys::Oid, day: i64) -> bool {
    // SAFETY: the caller's promise; a tuple of a cache is looked at before it is released.
    unsafe {
        let class = &*(*partition).rd_rel;
        if !is_heap(class)
            || class.relpersistence != pg_sys::RELPERSISTENCE_PERMANENT as i8
            || !class.relispartition
            || !heeds_nothing(class, &[ON_INSERT])
        {
            return false;
        }
        let parent = pg_sys::SearchSysCache1(RELOID as i32, table.into());
        if parent.is_null() {
            return false;
        }
        let is_parent_plain = heeds_nothing(&*pg_sys::GETSTRUCT(parent).cast(), &[ON_INSERT]);
        pg_sys::ReleaseSysCache(parent);
        let oid = (*partition).rd_id;
        is_parent_plain
            && get_partition_parent(oid, true) == table
            && !PartitionHasPendingDetach(oid)
            && bounds(oid) == Some((day, day + DAY))
    }
}

/// From when to when a partition has rows, if that is one range of times.
///
/// # Safety
/// Within a transaction.
unsafe fn bounds(partition: pg_sys::Oid) -> Option<(i64, i64)> {
    // SAFETY: the caller's promise; what the node is, is checked before it is looked at.
    unsafe {
        let class = pg_sys::SearchSysCache1(RELOID as i32, partition.into());
        if class.is_null() {
            return None;
        }
        let mut is_null = true;
        let column = pg_sys::Anum_pg_class_relpartbound as i16;
        let bound = pg_sys::SysCacheGetAttr(RELOID as i32, class, column, &mut is_null);
        let node: *mut pg_sys::Node = match is_null {
            true => std::ptr::null_mut(),
            false => {
                let text = pg_sys::text_to_cstring(bound.cast_mut_ptr());
                pg_sys::stringToNode(text).cast()
            }
        };
        pg_sys::ReleaseSysCache(class);
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_PartitionBoundSpec {
            return None;
        }
        let bound = &*node.cast::<pg_sys::PartitionBoundSpec>();
        Some((moment(bound.lowerdatums)?, moment(bound.upperdatums)?))
    }
}

/// The only moment of one end of a range.
///
/// # Safety
/// A list of a partition's bound.
unsafe fn moment(list: *mut pg_sys::List) -> Option<i64> {
    // SAFETY: the caller's promise; nodes are checked before they are looked at.
    unsafe {
        if list.is_null() || (*list).length != 1 {
            return None;
        }
        let node = pg_sys::list_nth(list, 0).cast::<pg_sys::Node>();
        if (*node).type_ != pg_sys::NodeTag::T_PartitionRangeDatum {
            return None;
        }
        let value = (*node.cast::<pg_sys::PartitionRangeDatum>()).value;
        if value.is_null() || (*value).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let value = &*value.cast::<pg_sys::Const>();
        let is_moment = value.consttype == pg_sys::TIMESTAMPTZOID && !value.constisnull;
        is_moment.then(|| value.constvalue.value() as i64)
    }
}

/// The primary key on the first three columns, if there is one, and no index of the partition asks for the executor.
///
/// # Safety
/// The relation must be open.
unsafe fn primary_key(partition: pg_sys::Relation) -> Option<pg_sys::Oid> {
    let mut primary_key = None;
    // SAFETY: the caller's promise; a tuple of a cache is looked at before it is released.
    unsafe {
        for oid in indexes(partition) {
            let tuple = pg_sys::SearchSysCache1(INDEXRELID as i32, oid.into());
            if tuple.is_null() {
                return None;
            }
            let index = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_index>();
            let is_null =
                |column: u32| pg_sys::heap_attisnull(tuple, column as i32, std::ptr::null_mut());
            let is_plain = !index.indisexclusion
                && index.indimmediate
                && is_null(pg_sys::Anum_pg_index_indexprs)
                && is_null(pg_sys::Anum_pg_index_indpred);
            if index.indisprimary
                && index.indisvalid
                && index.indnkeyatts == 3
                && index.indkey.values.as_slice(3) == [1, 2, 3]
                && has_plain_collation(tuple)
            {
                primary_key = Some(oid);
            }
            pg_sys::ReleaseSysCache(tuple);
            if !is_plain {
                return None;
            }
        }
    }
    primary_key
}

/// Whether the second column of an index compares bytes.
///
/// # Safety
/// A row of pg_index with three columns of key.
unsafe fn has_plain_collation(index: pg_sys::HeapTuple) -> bool {
    // SAFETY: the caller's promise: the vector has as many elements as the key has columns.
    unsafe {
        let mut is_null = true;
        let column = pg_sys::Anum_pg_index_indcollation as i16;
        let collations = pg_sys::SysCacheGetAttr(INDEXRELID as i32, index, column, &mut is_null);
        let collations = collations.cast_mut_ptr::<pg_sys::oidvector>();
        !is_null
            && [pg_sys::InvalidOid, pg_sys::C_COLLATION_OID]
                .contains(&(*collations).values.as_slice(3)[1])
    }
}
