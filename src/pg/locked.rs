//! One row by its primary key, locked, and changed in place: for the one row that every event
//! changes.

use pgrx::{PgSqlErrorCode, ereport, pg_sys};

use super::attempt::attempt_aside_for;
use super::heap::{formed, modified, put};
use super::holder::{Holder, Unavailable, holder, pause};
use super::hot_chain;
use super::lookup::{Key, Keyed, find};
pub use super::row::Locked;
use super::row::{TableRow, Version};
use super::spi::SessionMark;
use super::value::Arg;

/// What to do about a row that another transaction has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    ForIt,
    /// As if it were not there.
    Never,
}

/// Why a row was not locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLocked {
    /// There is none.
    Absent,
    /// Another transaction has it locked.
    Held,
}

impl Keyed {
    /// Locks the row with that key until the transaction ends and hands it to `then` as it is now,
    /// whoever has changed it meanwhile. In a transaction that sees one snapshot throughout, a row that
    /// was changed since is a serialization failure. The rights of the current role are not asked.
    /// A lock on the whole table is waited for as one on the row is.
    pub fn lock(
        &self,
        key: impl Into<Key>,
        wait: Wait,
        then: impl FnOnce(TableRow<'_>),
    ) -> Result<Locked, NotLocked> {
        // SAFETY: the relation stays open under a lock that is kept to the end of the transaction;
        // the snapshot is pushed and popped in pairs; the slot lives until the row was looked at.
        // What is called through the table's access method is guarded as other calls are. After an
        // ERROR the abort of the (sub)transaction releases all of it.
        unsafe {
            let mode = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
            let opened = match wait {
                Wait::ForIt => Some(self.open(mode)),
                Wait::Never => self.open_if_free(mode),
            };
            let Some((relation, index)) = opened else {
                return Err(NotLocked::Held);
            };
            let snapshot = pg_sys::RegisterSnapshot(self.newest());
            let mut tid = None;
            find(relation, index, snapshot, key.into(), |row| {
                tid = Some(row.tid());
            });
            let newer = match self.sees_one_snapshot() {
                true => NewerVersion::Fails,
                false => NewerVersion::IsLocked,
            };
            let locked = match tid {
                Some(tid) => lock_at(relation, tid, snapshot, wait, newer, then),
                None => Err(NotLocked::Absent),
            };
            pg_sys::UnregisterSnapshot(snapshot);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            locked
        }
    }

    /// Waits, for so many milliseconds, until no other transaction has the row with that key, or the whole table; whether
    /// that is so. It locks nothing: a row that is locked in a subtransaction, which bounds the wait, and written
    /// outside of it would have two owners, and need a multixact.
    pub fn wait_until_free(&self, key: impl Into<Key>, milliseconds: u32) -> bool {
        let key = key.into();
        let free = attempt_aside_for(milliseconds, || {
            match self.holder_of(key) {
                Some(holder) => holder.wait_until_cancelled(),
                // Somebody else is about to lock it.
                None => pause(),
            }
        });
        free.is_some()
    }

    /// The other transaction that has the row with that key. Waits for the table.
    fn holder_of(&self, key: Key) -> Option<Holder> {
        // SAFETY: as in `look`.
        unsafe {
            let mode = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
            let (relation, index) = self.open(mode);
            let mut everything = pg_sys::SnapshotData {
                snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
                ..Default::default()
            };
            let (snapshot, mut found) = (&raw mut everything, None);
            find(relation, index, snapshot, key, |row| {
                found = holder(row.tuple(), &*snapshot);
            });
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            found
        }
    }

    /// Whether another transaction has added or deleted a row with that key and not ended yet: who adds one would
    /// wait for it.
    pub fn is_being_made(&self, key: impl Into<Key>) -> bool {
        // SAFETY: as in `look`.
        unsafe {
            let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let Some((relation, index)) = self.open_if_free(mode) else {
                return true;
            };
            let mut everything = pg_sys::SnapshotData {
                snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
                ..Default::default()
            };
            let (snapshot, none) = (&raw mut everything, pg_sys::InvalidTransactionId);
            let mut is_held = false;
            find(relation, index, snapshot, key.into(), |_| {
                is_held = (*snapshot).xmin != none || (*snapshot).xmax != none;
            });
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            is_held
        }
    }

    /// Hands the newest version of the row with that key to `then`, without locking it; unless another
    /// transaction is changing it, or has it locked. For tables with few rows: where they are is remembered.
    pub fn look(
        &self,
        key: (i32, i32),
        mut then: impl FnMut(TableRow<'_>),
    ) -> Result<Newest, Unavailable> {
        // SAFETY: as in `lock`. A snapshot of everything is a plain structure, alive as long as the look-up,
        // which only notes in it who is writing.
        unsafe {
            let mode = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
            let Some((relation, index)) = self.open_if_free(mode) else {
                return Err(Unavailable::Absent);
            };
            let mut everything = pg_sys::SnapshotData {
                snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
                ..Default::default()
            };
            let snapshot = &raw mut everything;
            let mut newest = Err(Unavailable::Absent);
            let mut see = |row: TableRow<'_>| {
                newest = match holder(row.tuple(), &*snapshot) {
                    Some(holder) => Err(Unavailable::Held(holder)),
                    None => Ok(Newest {
                        version: row.version(),
                        is_own: row.is_own(),
                    }),
                };
                if newest.is_ok() {
                    then(row);
                }
            };
            if !hot_chain::find_again(relation, key, snapshot, &mut see) {
                find(relation, index, snapshot, key.into(), &mut see);
                if let Ok(newest) = &newest {
                    hot_chain::remember(relation, key, newest.version.tid);
                }
            }
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            newest
        }
    }
}

/// The newest version of a row, which is not locked.
pub struct Newest {
    pub version: Version,
    /// This transaction has written that version.
    pub is_own: bool,
}

/// What becomes of a lock where the row has a newer version than the one that was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NewerVersion {
    IsLocked,
    /// It is a serialization failure.
    Fails,
}

/// Locks the row of which a version was found.
///
/// # Safety
/// The relation must be open for writing, and the item pointer that of a tuple that the snapshot sees.
unsafe fn lock_at(
    relation: pg_sys::Relation,
    mut tid: pg_sys::ItemPointerData,
    snapshot: pg_sys::Snapshot,
    wait: Wait,
    newer: NewerVersion,
    then: impl FnOnce(TableRow<'_>),
) -> Result<Locked, NotLocked> {
    // SAFETY: the slot is of the kind that heaps take; the function pointer is the access method's.
    unsafe {
        let slot = pg_sys::MakeSingleTupleTableSlot(
            (*relation).rd_att,
            &raw const pg_sys::TTSOpsBufferHeapTuple,
        );
        let flags = match newer {
            NewerVersion::IsLocked => pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION as u8,
            NewerVersion::Fails => 0,
        };
        let mut failure = pg_sys::TM_FailureData::default();
        let lock_tuple = (*(*relation).rd_tableam)
            .tuple_lock
            .expect("a heap can lock tuples");
        let result = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            lock_tuple(
                relation,
                &mut tid,
                snapshot,
                slot,
                pg_sys::GetCurrentCommandId(false),
                pg_sys::LockTupleMode::LockTupleNoKeyExclusive,
                match wait {
                    Wait::ForIt => pg_sys::LockWaitPolicy::LockWaitBlock,
                    Wait::Never => pg_sys::LockWaitPolicy::LockWaitSkip,
                },
                flags,
                &mut failure,
            )
        });
        use pg_sys::TM_Result::{
            TM_Deleted as DELETED, TM_Ok as OK, TM_Updated as UPDATED, TM_WouldBlock as WOULD_BLOCK,
        };
        let locked = match result {
            OK => {
                let mut copied = false;
                let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, &mut copied);
                then(TableRow::new(tuple, relation));
                Ok(Locked {
                    table: (*relation).rd_id,
                    tid: (*slot).tts_tid,
                    tuple: pg_sys::heap_copytuple(tuple),
                    locked_in: SessionMark::now(),
                })
            }
            DELETED | UPDATED if newer == NewerVersion::Fails => {
                ereport!(
                    ERROR,
                    PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
                    "could not serialize access due to concurrent update"
                );
            }
            WOULD_BLOCK => Err(NotLocked::Held),
            _ => Err(NotLocked::Absent),
        };
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        locked
    }
}

impl Locked {
    /// The version that is locked; what was kept of the row in the memory of the session is freed.
    pub(super) fn into_version(self) -> Version {
        self.locked_in.debug_check_open();
        // SAFETY: the tuple was copied when the row was locked, in a session that is still open.
        unsafe { pg_sys::heap_freetuple(self.tuple) };
        Version::new(self.table, self.tid)
    }

    /// Puts another row in its place, with a value for each column in their order, the same key among
    /// them. Later statements of the transaction see it.
    pub fn replace<const N: usize>(self, row: &[Arg<'_>; N]) {
        self.locked_in.debug_check_open();
        // SAFETY: the relation is opened anew under the lock that is still held; the tuple was copied in
        // a session that is still open.
        unsafe {
            let relation =
                pg_sys::table_open(self.table, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
            let replaced = put(relation, self.tid, formed(relation, self.tuple, row), true);
            pg_sys::heap_freetuple(replaced.expect(CAN_BE_CHANGED).tuple);
            pg_sys::heap_freetuple(self.tuple);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }

    /// Changes some columns, by their numbers from 1, none of them of its key. Later statements of the
    /// transaction see it.
    pub fn change<const N: usize>(self, columns: [(i32, Arg<'_>); N]) -> Locked {
        self.locked_in.debug_check_open();
        // SAFETY: the relation is opened anew under the lock that is still held; the tuple was copied
        // when it was locked, in a session that is still open, and belongs to this relation.
        unsafe {
            let relation =
                pg_sys::table_open(self.table, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
            let tuple = modified(relation, self.tuple, columns);
            let changed = put(relation, self.tid, tuple, true);
            pg_sys::heap_freetuple(self.tuple);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            changed.expect(CAN_BE_CHANGED)
        }
    }
}

/// Since nobody else has it.
const CAN_BE_CHANGED: &str = "a row that is locked can be changed";
