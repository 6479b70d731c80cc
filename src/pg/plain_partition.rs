//! A day's partition that is as the extension made it, found without a statement: a session needs it for its first
//! decision, and at midnight.

use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{INDEXRELID, RELOID, RULERELNAME};

use super::catalog::relation;
use super::clock::DAY;
use super::record::{attribute, is_named};

// Of the server, which pgrx does not declare (`catalog/partition.h`, `catalog/pg_inherits.h`; the
// same since version 14).
unsafe extern "C-unwind" {
    fn get_partition_parent(partition: pg_sys::Oid, even_if_detached: bool) -> pg_sys::Oid;
    fn PartitionHasPendingDetach(partition: pg_sys::Oid) -> bool;
}

/// The column `ev_type` of pg_rewrite, and what it says of a rule on INSERT.
const EV_TYPE: i16 = 4;
const ON_INSERT: u8 = b'3';

/// A table, the partition of a day, and its primary key.
pub(super) struct PlainPartition {
    pub table: pg_sys::Oid,
    pub partition: pg_sys::Oid,
    pub primary_key: pg_sys::Oid,
}

/// The partition of the day that begins then, with that name; None where anything is not as the extension made it, or
/// cannot be told from the catalog's caches. `daily.sql` says the same as a statement, and gives the reasons.
pub(super) fn find(
    table: &str,
    partition: &str,
    day: i64,
    key: &[(&str, pg_sys::Oid); 3],
) -> Option<PlainPartition> {
    let (table, partition) = (relation(table)?, relation(partition)?);
    // SAFETY: within a transaction; the relation is open, under a lock that is kept until the transaction ends, while
    // what it points to is looked at.
    unsafe {
        let opened = pg_sys::try_table_open(partition, pg_sys::AccessShareLock as i32);
        if opened.is_null() {
            return None;
        }
        let is_plain = is_plain_table(opened, table, day) && has_key(opened, key);
        let primary_key = is_plain.then(|| primary_key_of_plain(opened)).flatten();
        pg_sys::table_close(opened, pg_sys::NoLock as i32);
        primary_key.map(|primary_key| PlainPartition {
            table,
            partition,
            primary_key,
        })
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
        if class.relkind != pg_sys::RELKIND_RELATION as i8
            || class.relpersistence != pg_sys::RELPERSISTENCE_PERMANENT as i8
            || class.relam != pg_sys::HEAP_TABLE_AM_OID
            || !class.relispartition
            || !heeds_nothing(class)
        {
            return false;
        }
        let parent = pg_sys::SearchSysCache1(RELOID as i32, table.into());
        if parent.is_null() {
            return false;
        }
        let is_parent_plain = heeds_nothing(&*pg_sys::GETSTRUCT(parent).cast());
        pg_sys::ReleaseSysCache(parent);
        let oid = (*partition).rd_id;
        is_parent_plain
            && get_partition_parent(oid, true) == table
            && !PartitionHasPendingDetach(oid)
            && bounds(oid) == Some((day, day + DAY))
    }
}

/// Whether a table has nothing that only the executor would heed when a row is added.
///
/// # Safety
/// Within a transaction.
unsafe fn heeds_nothing(class: &pg_sys::FormData_pg_class) -> bool {
    let is_plain = !class.relhastriggers && !class.relrowsecurity && class.relchecks == 0;
    // SAFETY: the caller's promise.
    is_plain && (!class.relhasrules || !unsafe { has_rule_on_insert(class.oid) })
}

/// # Safety
/// Within a transaction.
unsafe fn has_rule_on_insert(table: pg_sys::Oid) -> bool {
    let none = pg_sys::Datum::from(0);
    // SAFETY: the caller's promise; the rows of the list are looked at before it is released.
    unsafe {
        let list = pg_sys::SearchSysCacheList(RULERELNAME as i32, 1, table.into(), none, none);
        let rules = (*list).members.as_slice((*list).n_members as usize);
        let is_on_insert = rules.iter().any(|&rule| {
            let mut is_null = true;
            let rule = &raw mut (*rule).tuple;
            let event = pg_sys::SysCacheGetAttr(RULERELNAME as i32, rule, EV_TYPE, &mut is_null);
            event.value() as u8 == ON_INSERT
        });
        pg_sys::ReleaseCatCacheList(list);
        is_on_insert
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

/// Whether the first columns are those.
///
/// # Safety
/// The relation must be open.
unsafe fn has_key(partition: pg_sys::Relation, key: &[(&str, pg_sys::Oid); 3]) -> bool {
    // SAFETY: the caller's promise; the shape has that many columns.
    unsafe {
        let shape = (*partition).rd_att;
        (*shape).natts as usize >= key.len()
            && key.iter().enumerate().all(|(i, (name, kind))| {
                let attribute = attribute(shape, i);
                attribute.atttypid == *kind && is_named(attribute, name)
            })
    }
}

/// The primary key on the first three columns, if there is one, and no index of the partition asks for the executor.
///
/// # Safety
/// The relation must be open.
unsafe fn primary_key_of_plain(partition: pg_sys::Relation) -> Option<pg_sys::Oid> {
    let mut primary_key = None;
    // SAFETY: the caller's promise; a tuple of a cache is looked at before it is released.
    unsafe {
        let indexes = pg_sys::RelationGetIndexList(partition);
        let count = if indexes.is_null() {
            0
        } else {
            (*indexes).length
        };
        for i in 0..count {
            let oid = pg_sys::list_nth_oid(indexes, i);
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
