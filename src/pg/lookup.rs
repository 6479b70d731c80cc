//! One row by its primary key, without the executor: for the one read that every decision makes.

use std::cell::RefCell;
use std::ffi::CStr;
use std::marker::PhantomData;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, INT4OID, OIDARRAYOID, TEXTARRAYOID, TEXTOID};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use uuid::Uuid;

use super::daily::Day;
use super::invalidation::{self, Watch};
use super::plan::{Session, Statement, on_latest_snapshot};
use super::session::{check_interrupts, sees_one_snapshot};
use super::version::Version;
use super::{datum, shape};

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
    fn scan_keys(self) -> ([pg_sys::ScanKeyData; 2], i32) {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        match self {
            Key::Uuid(key) => {
                // SAFETY: a uuid of this memory context, which lives as long as the scan.
                if let Some(key) = datum::uuid(key) {
                    keys[0] = unsafe { equal_uuid(key) };
                }
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

/// What of other transactions is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What they have committed by now.
    Committed,
    /// What they are about to commit as well: of a row that is being changed both versions.
    Everything,
}

/// Another transaction, or a group of them, that holds a row: the same as long as the same one holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Transaction(pg_sys::TransactionId),
    Group(pg_sys::MultiXactId),
}

/// Why a row cannot be had now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There is none, or others have the whole table.
    Absent,
    /// Another session has the claim of it, see [`super::claim::Claim`].
    Claimed,
    /// Another transaction is changing it, or has it locked.
    Held(Holder),
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
    pub fn read(&self, key: impl Into<Key>, then: impl FnOnce(Found<'_>)) {
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
    pub fn read_newest(&self, key: impl Into<Key>, then: impl FnOnce(Found<'_>)) {
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
    /// where everything is seen, with the other transaction that is changing it or has locked it, and none at
    /// all while others hold the whole table. The rights of the current role are not asked.
    pub fn each(&self, first: i32, seen: Seen, mut then: impl FnMut(Found<'_>, Option<Holder>)) {
        // SAFETY: as in `read`. A snapshot of everything is a plain structure, alive as long as the
        // scan, which only notes in it who is writing; the other is registered while it is used.
        unsafe {
            let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let opened = match seen {
                Seen::Everything => self.open_if_free(mode),
                Seen::Committed => Some(self.open(mode)),
            };
            let Some((relation, index)) = opened else {
                return;
            };
            let mut everything = pg_sys::SnapshotData {
                snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
                ..Default::default()
            };
            let snapshot = match seen {
                Seen::Everything => &raw mut everything,
                Seen::Committed => pg_sys::RegisterSnapshot(self.newest()),
            };
            let mut key = equal_int4(1, first);
            let scan = pg_sys::systable_beginscan(relation, index, true, snapshot, 1, &mut key);
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                let holder = match seen {
                    Seen::Committed => None,
                    Seen::Everything => holder(tuple, &everything),
                };
                let row = Found {
                    tuple,
                    shape: (*relation).rd_att,
                    lives: PhantomData,
                };
                then(row, holder);
            }
            pg_sys::systable_endscan(scan);
            if seen == Seen::Committed {
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
    pub(super) fn table(&self) -> Result<pg_sys::Oid, Unavailable> {
        Ok(self.sound(pg_sys::RowExclusiveLock as pg_sys::LOCKMODE).0)
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
        let known = self.look_up();
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

    fn look_up(&self) -> Known {
        let table = self.table.to_str().expect("a name of ours");
        let shape = shape::of(table);
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
/// The relation must be open, the index be one on its first columns, of the key's types, and the
/// snapshot be active or registered.
pub(super) unsafe fn find(
    relation: pg_sys::Relation,
    index: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
    key: Key,
    then: impl FnOnce(Found<'_>),
) {
    let (mut keys, columns) = key.scan_keys();
    // SAFETY: the caller's promise; the row is looked at before the scan ends.
    unsafe {
        let scan =
            pg_sys::systable_beginscan(relation, index, true, snapshot, columns, keys.as_mut_ptr());
        let tuple = pg_sys::systable_getnext(scan);
        if !tuple.is_null() {
            then(Found {
                tuple,
                shape: (*relation).rd_att,
                lives: PhantomData,
            });
        }
        pg_sys::systable_endscan(scan);
    }
}

/// # Safety
/// The datum must be a uuid, and live as long as the key is used.
unsafe fn equal_uuid(key: pg_sys::Datum) -> pg_sys::ScanKeyData {
    let mut scan_key = pg_sys::ScanKeyData::default();
    // SAFETY: the first column and the operator of its type.
    unsafe {
        pg_sys::ScanKeyInit(
            &mut scan_key,
            1,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::F_UUID_EQ.into(),
            key,
        );
    }
    scan_key
}

/// Whether one of the partitions has a row whose first three columns, those of its primary key, are
/// this uuid, this text in the order of bytes, and a time from `first` to `last`. Sees what is
/// committed by now, or what the transaction sees if it sees one snapshot throughout; and what it
/// wrote itself. None where a partition was altered just now.
pub fn has_between(days: &[Day], key: Uuid, text: &str, (first, last): (i64, i64)) -> Option<bool> {
    let (key, text) = (datum::uuid(key)?, datum::text(text)?);
    let time = |strategy: u32, operator: u32, at: i64| {
        let mut key = pg_sys::ScanKeyData::default();
        let (strategy, at) = (strategy as pg_sys::StrategyNumber, pg_sys::Datum::from(at));
        // SAFETY: the third column, and an operator of its type.
        unsafe { pg_sys::ScanKeyInit(&mut key, 3, strategy, operator.into(), at) };
        key
    };
    // SAFETY: keys name columns of the index and operators of their types, under the collation "C" that
    // the second column has; the snapshot is registered while it is used.
    unsafe {
        let mut name = pg_sys::ScanKeyData::default();
        let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
        pg_sys::ScanKeyInit(&mut name, 2, equal, pg_sys::F_TEXTEQ.into(), text);
        let mut keys = [
            equal_uuid(key),
            name,
            time(
                pg_sys::BTGreaterEqualStrategyNumber,
                pg_sys::F_TIMESTAMPTZ_GE,
                first,
            ),
            time(
                pg_sys::BTLessEqualStrategyNumber,
                pg_sys::F_TIMESTAMPTZ_LE,
                last,
            ),
        ];
        let snapshot = pg_sys::RegisterSnapshot(newest());
        let mut found = Some(false);
        for day in days {
            found = has(day, snapshot, &mut keys);
            if found != Some(false) {
                break;
            }
        }
        pg_sys::UnregisterSnapshot(snapshot);
        found
    }
}

/// Whether the partition has a row with these keys; None if it was altered just now. One without a page is not
/// looked at further.
///
/// # Safety
/// The keys must fit its primary key, and the snapshot be registered.
unsafe fn has(
    day: &Day,
    snapshot: pg_sys::Snapshot,
    keys: &mut [pg_sys::ScanKeyData],
) -> Option<bool> {
    // SAFETY: the partition is opened under a lock that is kept to the end of the transaction.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::try_table_open(day.partition, lock);
        if relation.is_null() {
            return Some(false);
        }
        if !day.still_holds() {
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            return None;
        }
        let main = pg_sys::ForkNumber::MAIN_FORKNUM;
        let found = pg_sys::RelationGetNumberOfBlocksInFork(relation, main) > 0 && {
            let scan = pg_sys::systable_beginscan(
                relation,
                day.primary_key,
                true,
                snapshot,
                keys.len() as i32,
                keys.as_mut_ptr(),
            );
            let found = !pg_sys::systable_getnext(scan).is_null();
            pg_sys::systable_endscan(scan);
            found
        };
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        Some(found)
    }
}

/// Hands the row of a day whose primary key is these two uuids and that time to `then`, if there is one; false if
/// the partition is gone meanwhile, or was altered. Sees what is committed by now, whichever snapshot the caller has, and what the
/// transaction wrote itself. The rights of the current role are not asked.
pub fn find_in_day(
    day: Day,
    (first, second): (Uuid, Uuid),
    at: i64,
    then: impl FnOnce(Found<'_>),
) -> bool {
    let (Some(first), Some(second)) = (datum::uuid(first), datum::uuid(second)) else {
        return true;
    };
    // SAFETY: keys name the columns of the index and operators of their types; the partition is opened under a lock
    // that is kept to the end of the transaction, and the snapshot registered while it is used.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::try_table_open(day.partition, lock);
        if relation.is_null() {
            return false;
        }
        if !day.still_holds() {
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            return false;
        }
        let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
        let mut keys = [pg_sys::ScanKeyData::default(); 3];
        keys[0] = equal_uuid(first);
        pg_sys::ScanKeyInit(&mut keys[1], 2, equal, pg_sys::F_UUID_EQ.into(), second);
        let at = pg_sys::Datum::from(at);
        pg_sys::ScanKeyInit(&mut keys[2], 3, equal, pg_sys::F_TIMESTAMPTZ_EQ.into(), at);
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let scan = pg_sys::systable_beginscan(
            relation,
            day.primary_key,
            true,
            snapshot,
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        let tuple = pg_sys::systable_getnext(scan);
        if !tuple.is_null() {
            then(Found {
                tuple,
                shape: (*relation).rd_att,
                lives: PhantomData,
            });
        }
        pg_sys::systable_endscan(scan);
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
    true
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

/// A row that was found, valid while it is looked at.
pub struct Found<'a> {
    pub(super) tuple: pg_sys::HeapTuple,
    pub(super) shape: pg_sys::TupleDesc,
    pub(super) lives: PhantomData<&'a ()>,
}

impl Found<'_> {
    /// Which version of the row it is.
    pub fn version(&self) -> Version {
        // SAFETY: the tuple is alive, see `read`.
        unsafe {
            Version {
                table: (*self.tuple).t_tableOid,
                place: (*self.tuple).t_self,
            }
        }
    }

    /// Whether this transaction has written that version.
    pub(super) fn is_own(&self) -> bool {
        // SAFETY: the tuple is alive, see `read`; the number in its header does not change.
        unsafe {
            let header = (*self.tuple).t_data;
            let committed = u32::from((*header).t_infomask) & pg_sys::HEAP_XMIN_COMMITTED != 0;
            !committed
                && pg_sys::TransactionIdIsCurrentTransactionId((*header).t_choice.t_heap.t_xmin)
        }
    }

    /// The value in column `column` (from 1), or None where it is null.
    pub fn datum(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: tuple and shape belong together and are alive, see `read`.
        let value = unsafe { pg_sys::SPI_getbinval(self.tuple, self.shape, column, &mut null) };
        (!null).then_some(value)
    }
}

/// The other transaction that is changing a row that was found through a snapshot of everything, or has locked
/// it. It may let go, or another take it, at any moment.
///
/// # Safety
/// A row of a scan that goes on, and the snapshot of that scan.
pub(super) unsafe fn holder(
    tuple: pg_sys::HeapTuple,
    everything: &pg_sys::SnapshotData,
) -> Option<Holder> {
    let none = pg_sys::InvalidTransactionId;
    let mut writers = [everything.xmin, everything.xmax].into_iter();
    match writers.find(|&writer| writer != none) {
        Some(writer) => Some(Holder::Transaction(writer)),
        // SAFETY: the caller's promise.
        None => unsafe { locker(tuple) },
    }
}

/// The one that has locked a row, which the snapshot does not tell where it has not changed it.
///
/// # Safety
/// A row of a scan that goes on.
unsafe fn locker(tuple: pg_sys::HeapTuple) -> Option<Holder> {
    // SAFETY: its page is pinned by the scan. What others write in the header meanwhile are whole words, which
    // are only compared.
    unsafe {
        let header = (*tuple).t_data;
        let mask = u32::from((*header).t_infomask);
        let locker = (*header).t_choice.t_heap.t_xmax;
        if mask & pg_sys::HEAP_XMAX_INVALID != 0 {
            return None;
        }
        if mask & pg_sys::HEAP_XMAX_IS_MULTI != 0 {
            let lock_only = mask & pg_sys::HEAP_XMAX_LOCK_ONLY != 0;
            let group: pg_sys::MultiXactId = locker.into_inner().into();
            return pg_sys::MultiXactIdIsRunning(group, lock_only).then_some(Holder::Group(group));
        }
        let is_held = !pg_sys::TransactionIdIsCurrentTransactionId(locker)
            && pg_sys::TransactionIdIsInProgress(locker);
        is_held.then_some(Holder::Transaction(locker))
    }
}
