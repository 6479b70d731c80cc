//! One row by its primary key, without the executor: for the one read that every decision makes.

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, INT4OID, OIDARRAYOID, TEXTARRAYOID, TEXTOID};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use uuid::Uuid;

use super::catalog::relation;
use super::holder::{Holder, holder};
use super::invalidation::{self, Watch};
use super::plan::{Statement, on_latest_snapshot};
use super::row::TableRow;
use super::session::{check_interrupts, sees_one_snapshot};
use super::shape::{self, Shape};
use super::spi::Session;
use super::value::uuid_datum;
use super::{datum, plain_table};

/// A value of a primary key.
#[derive(Clone, Copy)]
pub enum Key {
    Uuid(Uuid),
    Pair(i32, i32),
}

impl From<Uuid> for Key {
    fn from(key: Uuid) -> Key {
        Key::Uuid(key)
    }
}

impl From<(i32, i32)> for Key {
    fn from((first, second): (i32, i32)) -> Key {
        Key::Pair(first, second)
    }
}

impl Key {
    /// As a scan takes it, and how many columns it has.
    fn scan_keys(self) -> ([pg_sys::ScanKeyData; 2], usize) {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        match self {
            Key::Uuid(key) => {
                // SAFETY: a uuid of this memory context, which lives as long as the scan.
                keys[0] = unsafe { equal_uuid(1, key) };
                (keys, 1)
            }
            Key::Pair(first, second) => {
                keys[0] = equal_int4(1, first);
                keys[1] = equal_int4(2, second);
                (keys, 2)
            }
        }
    }
}

fn equal_int4(column: pg_sys::AttrNumber, value: i32) -> pg_sys::ScanKeyData {
    let mut key = pg_sys::ScanKeyData::default();
    let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
    // SAFETY: an operator of the column's type, and a value that is passed by value.
    unsafe {
        pg_sys::ScanKeyInit(
            &mut key,
            column,
            equal,
            pg_sys::F_INT4EQ.into(),
            value.into(),
        );
    }
    key
}

/// Which versions of rows a scan sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Those that other transactions have committed by now.
    Committed,
    /// Those that they have not committed yet as well: of a row that is being changed both versions.
    Dirty,
}

/// A table whose primary key is one uuid, or two integers.
pub struct Keyed {
    pub schema: &'static CStr,
    pub table: &'static CStr,
    /// Whether its rows are counters: those are always seen and locked as they are now, also in a
    /// transaction that sees one snapshot throughout.
    pub counts: bool,
}

impl Keyed {
    /// Hands the row with that key to `then`, if there is one. Sees what a statement of the caller
    /// would see. The rights of the current role are not asked: it is for tables that only our own
    /// functions read.
    pub fn read(&self, key: impl Into<Key>, then: impl FnOnce(TableRow<'_>)) {
        // SAFETY: the relation is opened under a lock that is kept to the end of the transaction,
        // and the snapshot is the one that is active. After an ERROR the abort of the
        // (sub)transaction releases all of it.
        unsafe {
            let (relation, index) = self.open(pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            find(
                relation,
                index,
                pg_sys::GetActiveSnapshot(),
                key.into(),
                then,
            );
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }

    /// The same of what is committed by now, whichever snapshot the caller has; nothing while others hold the
    /// whole table.
    pub fn read_newest(&self, key: impl Into<Key>, then: impl FnOnce(TableRow<'_>)) {
        // SAFETY: as in `read`; the snapshot is registered while it is used.
        unsafe {
            let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let Some((relation, index)) = self.open_if_free(mode) else {
                return;
            };
            let snapshot = pg_sys::RegisterSnapshot(self.newest());
            find(relation, index, snapshot, key.into(), then);
            pg_sys::UnregisterSnapshot(snapshot);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }

    /// Hands every row whose key begins with that number to `then`, whichever snapshot the caller has;
    /// where uncommitted versions are seen, with the other transaction that is changing it or has locked it, and none at
    /// all while others hold the whole table. The rights of the current role are not asked.
    pub fn each(
        &self,
        first: i32,
        visibility: Visibility,
        mut then: impl FnMut(TableRow<'_>, Option<Holder>),
    ) {
        // SAFETY: as in `read`. A snapshot of everything is a plain structure, alive as long as the
        // scan, which only notes in it who is writing; the other is registered while it is used.
        unsafe {
            let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let opened = match visibility {
                Visibility::Dirty => self.open_if_free(mode),
                Visibility::Committed => Some(self.open(mode)),
            };
            let Some((relation, index)) = opened else {
                return;
            };
            let mut everything = pg_sys::SnapshotData {
                snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
                ..Default::default()
            };
            let snapshot = match visibility {
                Visibility::Dirty => &raw mut everything,
                Visibility::Committed => pg_sys::RegisterSnapshot(self.newest()),
            };
            let mut key = equal_int4(1, first);
            let scan = pg_sys::systable_beginscan(relation, index, true, snapshot, 1, &mut key);
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                let holder = match visibility {
                    Visibility::Committed => None,
                    Visibility::Dirty => holder(tuple, &everything),
                };
                then(TableRow::new(tuple, relation), holder);
            }
            pg_sys::systable_endscan(scan);
            if visibility == Visibility::Committed {
                pg_sys::UnregisterSnapshot(snapshot);
            }
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }

    /// Whether its rows are those of one snapshot throughout the transaction.
    pub(super) fn sees_one_snapshot(&self) -> bool {
        !self.counts && sees_one_snapshot()
    }

    /// The newest snapshot that its rows may be looked at through.
    ///
    /// # Safety
    /// To be registered before anything else is called.
    pub(super) unsafe fn newest(&self) -> pg_sys::Snapshot {
        // SAFETY: within a transaction; the caller's promise.
        unsafe {
            match self.counts {
                true => pg_sys::GetLatestSnapshot(),
                false => newest(),
            }
        }
    }

    /// The table, as claims of its rows name it.
    pub(super) fn table(&self) -> pg_sys::Oid {
        self.sound(pg_sys::RowExclusiveLock as pg_sys::LOCKMODE).0
    }

    /// The table, opened under that lock, and its index.
    ///
    /// # Safety
    /// The caller closes it.
    pub(super) unsafe fn open(&self, lock: pg_sys::LOCKMODE) -> (pg_sys::Relation, pg_sys::Oid) {
        // SAFETY: what is opened is locked.
        unsafe {
            loop {
                let (table, index) = self.sound(lock);
                let relation = pg_sys::table_open(table, lock);
                if let Some(index) = self.still_there(table, index, lock) {
                    return (relation, index);
                }
                pg_sys::table_close(relation, lock);
                check_interrupts();
            }
        }
    }

    /// The index of a table that is locked by now, whatever was altered before that; None if another table has
    /// its name.
    fn still_there(
        &self,
        table: pg_sys::Oid,
        index: pg_sys::Oid,
        lock: pg_sys::LOCKMODE,
    ) -> Option<pg_sys::Oid> {
        let changes = invalidation::changes_seen(Watch::Keyed);
        let is_known = |known: &Known| known.name == self.table && known.changes == changes;
        if KNOWN.with_borrow(|known| known.iter().any(is_known)) {
            return Some(index);
        }
        let (now, index) = self.sound(lock);
        (now == table).then_some(index)
    }

    /// The same, unless others hold the table in a way that would have to be waited for.
    ///
    /// # Safety
    /// As above.
    pub(super) unsafe fn open_if_free(
        &self,
        lock: pg_sys::LOCKMODE,
    ) -> Option<(pg_sys::Relation, pg_sys::Oid)> {
        // SAFETY: what is opened is locked already.
        unsafe {
            let (table, index) = self.sound(lock);
            if !pg_sys::ConditionalLockRelationOid(table, lock) {
                return None;
            }
            let index = self.still_there(table, index, lock)?;
            let none = pg_sys::NoLock as pg_sys::LOCKMODE;
            Some((pg_sys::table_open(table, none), index))
        }
    }

    /// Table and index; looked up, and compared with what they should be, once until something changes. An error
    /// if what somebody has made of the table keeps its rows from being read, or changed, in this way.
    fn sound(&self, lock: pg_sys::LOCKMODE) -> (pg_sys::Oid, pg_sys::Oid) {
        let changes = invalidation::changes_seen(Watch::Keyed);
        let writes = lock > pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let sound = |known: &[Known]| {
            let mut mine = known.iter().filter(|known| known.name == self.table);
            let known = mine.find(|known| known.changes == changes)?;
            let fault = known.unreadable.is_some() || writes && known.unwritable.is_some();
            (!fault).then_some((known.table, known.index))
        };
        if let Some(found) = KNOWN.with_borrow(|known| sound(known)) {
            return found;
        }
        let known = self.find_plain().unwrap_or_else(|| self.look_up());
        let fault = known.unreadable.as_ref().map(|fault| ("read", fault));
        let fault = fault.or_else(|| {
            let unwritable = known.unwritable.as_ref().filter(|_| writes);
            unwritable.map(|fault| ("changed", fault))
        });
        if let Some((what, fault)) = fault {
            self.refuse(what, fault);
        }
        let found = (known.table, known.index);
        KNOWN.with_borrow_mut(|all| {
            all.retain(|other| other.name != self.table);
            all.push(known);
        });
        found
    }

    /// Hands the last row of each of these first columns of the key to `each`, as the active snapshot sees it. Whether it
    /// did: not where the table is not as the extension made it.
    pub fn last_of_each(&self, firsts: &[i32], mut each: impl FnMut(i32, TableRow<'_>)) -> bool {
        let Some(known) = self.find_plain() else {
            return false;
        };
        // SAFETY: as in `read`; the first column of the index is an int4, and rows are looked at before the scan ends.
        unsafe {
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let keep = pg_sys::NoLock as pg_sys::LOCKMODE;
            let relation = pg_sys::table_open(known.table, lock);
            let index = pg_sys::index_open(known.index, lock);
            let snapshot = pg_sys::GetActiveSnapshot();
            for &first in firsts {
                check_interrupts();
                let mut key = equal_int4(1, first);
                let scan =
                    pg_sys::systable_beginscan_ordered(relation, index, snapshot, 1, &mut key);
                let from_the_end = pg_sys::ScanDirection::BackwardScanDirection;
                let tuple = pg_sys::systable_getnext_ordered(scan, from_the_end);
                if !tuple.is_null() {
                    each(first, TableRow::new(tuple, relation));
                }
                pg_sys::systable_endscan_ordered(scan);
            }
            pg_sys::index_close(index, keep);
            pg_sys::table_close(relation, keep);
        }
        true
    }

    /// What is known of a table as the extension made it.
    fn find_plain(&self) -> Option<Known> {
        // Whatever changes from here on is looked up again.
        let changes = invalidation::changes_seen(Watch::Keyed);
        let shape = self.shape();
        let table = relation(shape.table)?;
        invalidation::watch(Watch::Keyed, table);
        let index = plain_table::primary_key_of_plain(table, shape)?;
        (invalidation::changes_seen(Watch::Keyed) == changes).then_some(Known {
            name: self.table,
            changes,
            table,
            index,
            unreadable: None,
            unwritable: None,
        })
    }

    fn shape(&self) -> &'static Shape {
        shape::of(self.table.to_str().expect("a name of ours"))
    }

    fn look_up(&self) -> Known {
        let shape = self.shape();
        let table = shape.table;
        let names: Vec<Option<&str>> = shape.columns.iter().map(|(name, _)| Some(*name)).collect();
        let types: Vec<pg_sys::Oid> = shape.columns.iter().map(|(_, of)| *of).collect();
        let args = [
            datum::text(table),
            datum::texts(&names),
            datum::oids(&types),
            datum::int4(shape.keys),
        ];
        let mut known = Known {
            name: self.table,
            // Whatever changes from here on is looked up again.
            changes: invalidation::changes_seen(Watch::Keyed),
            table: pg_sys::InvalidOid,
            index: pg_sys::InvalidOid,
            unreadable: Some("there is none".to_owned()),
            unwritable: None,
        };
        let _session = Session::open();
        on_latest_snapshot(|| {
            LOOK_UP.with(|statement| {
                statement.read(&args, |row| {
                    known.table = row.must(1);
                    known.index = row.get(2).unwrap_or(pg_sys::InvalidOid);
                    known.unreadable = row.get(3);
                    known.unwritable = row.get(4);
                })
            })
        });
        if known.table != pg_sys::InvalidOid {
            invalidation::watch(Watch::Keyed, known.table);
        }
        known
    }

    fn refuse(&self, what: &str, fault: &str) -> ! {
        let (schema, table) = (self.schema.to_string_lossy(), self.table.to_string_lossy());
        let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        let message = format!("rows of table {schema}.{table} cannot be {what}");
        ErrorReport::new(code, message, "pg_decide")
            .set_detail(format!("The table is not as the extension made it: {fault}."))
            .set_hint("Undo what was altered. More columns behind those of the extension are no hindrance.")
            .report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }
}

/// A table and its index, as of a count of changes, and why its rows cannot be read or changed.
struct Known {
    name: &'static CStr,
    changes: u64,
    table: pg_sys::Oid,
    index: pg_sys::Oid,
    unreadable: Option<String>,
    unwritable: Option<String>,
}

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
    static LOOK_UP: Statement = const { Statement::new(include_str!("keyed.sql"),
        &[TEXTOID, TEXTARRAYOID, OIDARRAYOID, INT4OID]) };
}

/// Hands the row with that key to `then`.
///
/// # Safety
/// As below; the index must be one on the first columns, of the key's types.
pub(super) unsafe fn find(
    relation: pg_sys::Relation,
    index: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
    key: Key,
    then: impl FnOnce(TableRow<'_>),
) {
    let (mut keys, columns) = key.scan_keys();
    // SAFETY: the caller's promise.
    unsafe { find_by(relation, index, snapshot, &mut keys[..columns], then) }
}

/// Hands the first row that fits these keys to `then`, if there is one.
///
/// # Safety
/// The relation must be open, the keys be those of the index, and the snapshot be active or registered.
pub(super) unsafe fn find_by(
    relation: pg_sys::Relation,
    index: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
    keys: &mut [pg_sys::ScanKeyData],
    then: impl FnOnce(TableRow<'_>),
) {
    let columns = keys.len() as i32;
    // SAFETY: the caller's promise; the row is looked at before the scan ends.
    unsafe {
        let scan =
            pg_sys::systable_beginscan(relation, index, true, snapshot, columns, keys.as_mut_ptr());
        let tuple = pg_sys::systable_getnext(scan);
        if !tuple.is_null() {
            then(TableRow::new(tuple, relation));
        }
        pg_sys::systable_endscan(scan);
    }
}

/// A scan key of a column that is a uuid.
///
/// # Safety
/// The scan must end before the memory context of the moment does.
pub(super) unsafe fn equal_uuid(column: pg_sys::AttrNumber, key: Uuid) -> pg_sys::ScanKeyData {
    let mut scan_key = pg_sys::ScanKeyData::default();
    // SAFETY: an operator of the column's type, and a value of it.
    unsafe {
        pg_sys::ScanKeyInit(
            &mut scan_key,
            column,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::F_UUID_EQ.into(),
            uuid_datum(key),
        );
    }
    scan_key
}

/// The newest snapshot that the transaction may look through.
///
/// # Safety
/// To be registered before anything else is called.
pub(super) unsafe fn newest() -> pg_sys::Snapshot {
    // SAFETY: within a transaction.
    unsafe {
        if sees_one_snapshot() {
            pg_sys::GetTransactionSnapshot()
        } else {
            pg_sys::GetLatestSnapshot()
        }
    }
}
