//! A table that is as the extension made it, as the catalog's caches tell without a statement: a session needs that for
//! its first decision.

use pgrx::pg_sys;
use pgrx::pg_sys::SysCacheIdentifier::{INDEXRELID, RULERELNAME};

use super::record::{attribute, is_named};
use super::shape::Shape;

/// The column `ev_type` of pg_rewrite, and what it says of a rule.
const EV_TYPE: i16 = 4;
pub(super) const ON_INSERT: u8 = b'3';
const ON_UPDATE: u8 = b'2';

/// The primary key of a table that should have that shape, if rows can be found by it, read, added and changed without
/// the executor; None where anything is not as the extension made it. `keyed.sql` says the same as a statement, and gives
/// the reasons.
pub(super) fn primary_key_of_plain(table: pg_sys::Oid, shape: &Shape) -> Option<pg_sys::Oid> {
    // SAFETY: within a transaction; the relation is open, under a lock that is kept until the transaction ends, while
    // what it points to is looked at.
    unsafe {
        let opened = pg_sys::try_table_open(table, pg_sys::AccessShareLock as i32);
        if opened.is_null() {
            return None;
        }
        let class = &*(*opened).rd_rel;
        let is_plain = is_heap(class)
            && heeds_nothing(class, &[ON_INSERT, ON_UPDATE])
            && begins_with(opened, shape.columns)
            && !has_generated_column(opened);
        let primary_key = is_plain.then(|| primary_key(opened, shape.keys)).flatten();
        pg_sys::table_close(opened, pg_sys::NoLock as i32);
        primary_key
    }
}

/// The primary key of a table whose rows are found by one bigint, its first column, without the executor.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn readable_by_number(relation: pg_sys::Relation) -> Option<pg_sys::Oid> {
    // SAFETY: the caller's promise; a table has a column.
    unsafe {
        let is_readable = is_heap(&*(*relation).rd_rel)
            && attribute((*relation).rd_att, 0).atttypid == pg_sys::INT8OID;
        is_readable.then(|| primary_key(relation, 1)).flatten()
    }
}

/// Whether it is a table with rows of its own, stored as usual.
pub(super) fn is_heap(class: &pg_sys::FormData_pg_class) -> bool {
    class.relkind == pg_sys::RELKIND_RELATION as i8 && class.relam == pg_sys::HEAP_TABLE_AM_OID
}

/// Whether a table has nothing that only the executor would heed: a trigger, row security, a check constraint, or a rule
/// on one of these events.
///
/// # Safety
/// Within a transaction.
pub(super) unsafe fn heeds_nothing(class: &pg_sys::FormData_pg_class, events: &[u8]) -> bool {
    let is_plain = !class.relhastriggers && !class.relrowsecurity && class.relchecks == 0;
    // SAFETY: the caller's promise.
    is_plain && (!class.relhasrules || !unsafe { has_rule_on(class.oid, events) })
}

/// # Safety
/// Within a transaction.
unsafe fn has_rule_on(table: pg_sys::Oid, events: &[u8]) -> bool {
    let none = pg_sys::Datum::from(0);
    // SAFETY: the caller's promise; the rows of the list are looked at before it is released.
    unsafe {
        let list = pg_sys::SearchSysCacheList(RULERELNAME as i32, 1, table.into(), none, none);
        let rules = (*list).members.as_slice((*list).n_members as usize);
        let is_on_event = rules.iter().any(|&rule| {
            let mut is_null = true;
            let rule = &raw mut (*rule).tuple;
            let event = pg_sys::SysCacheGetAttr(RULERELNAME as i32, rule, EV_TYPE, &mut is_null);
            events.contains(&(event.value() as u8))
        });
        pg_sys::ReleaseCatCacheList(list);
        is_on_event
    }
}

/// Whether the first columns are those.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn begins_with(
    relation: pg_sys::Relation,
    columns: &[(&str, pg_sys::Oid)],
) -> bool {
    // SAFETY: the caller's promise; the shape has that many columns.
    unsafe {
        let shape = (*relation).rd_att;
        (*shape).natts as usize >= columns.len()
            && columns.iter().enumerate().all(|(i, (name, kind))| {
                let attribute = attribute(shape, i);
                attribute.atttypid == *kind && is_named(attribute, name)
            })
    }
}

/// # Safety
/// The relation must be open.
unsafe fn has_generated_column(relation: pg_sys::Relation) -> bool {
    // SAFETY: the caller's promise; the shape has that many columns.
    unsafe {
        let shape = (*relation).rd_att;
        (0..(*shape).natts as usize).any(|i| attribute(shape, i).attgenerated != 0)
    }
}

/// The indexes of a table.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn indexes(relation: pg_sys::Relation) -> impl Iterator<Item = pg_sys::Oid> {
    // SAFETY: the caller's promise; the list is a copy of this memory context.
    unsafe {
        let list = pg_sys::RelationGetIndexList(relation);
        let count = if list.is_null() { 0 } else { (*list).length };
        (0..count).map(move |i| pg_sys::list_nth_oid(list, i))
    }
}

/// The primary key, if it is one of the first so many columns.
///
/// # Safety
/// The relation must be open.
unsafe fn primary_key(relation: pg_sys::Relation, columns: i32) -> Option<pg_sys::Oid> {
    // SAFETY: the caller's promise; a tuple of a cache is looked at before it is released, and its vector has as many
    // elements as the index has columns.
    unsafe {
        indexes(relation).find(|&oid| {
            let tuple = pg_sys::SearchSysCache1(INDEXRELID as i32, oid.into());
            if tuple.is_null() {
                return false;
            }
            let index = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_index>();
            let is_it = index.indisprimary
                && index.indisvalid
                && i32::from(index.indnkeyatts) == columns
                && (1..)
                    .zip(index.indkey.values.as_slice(columns as usize))
                    .all(|(expected, &column)| column == expected);
            pg_sys::ReleaseSysCache(tuple);
            is_it
        })
    }
}
