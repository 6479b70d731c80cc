//! One row by its primary key, locked, and changed in place: for the one row that every event
//! changes.

use std::marker::PhantomData;

use pgrx::{PgSqlErrorCode, ereport, pg_sys};

use super::datum::Arg;
use super::heap;
use super::holder::{Unavailable, holder};
use super::hot_chain;
use super::lookup::{Found, Key, Keyed, find};
use super::version::Version;

/// What to do about a row that another transaction has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    ForIt,
    /// As if it were not there.
    Never,
}

/// A row that this transaction has locked.
pub struct Locked {
    pub(super) table: pg_sys::Oid,
    pub(super) place: pg_sys::ItemPointerData,
    /// As it was then, in the memory context in which it was locked.
    pub(super) tuple: pg_sys::HeapTuple,
}

/// Why a row was not locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// There is none.
    Absent,
    /// Another transaction has it.
    Taken,
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
        then: impl FnOnce(Found<'_>),
    ) -> Result<Locked, Missed> {
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
                return Err(Missed::Taken);
            };
            let snapshot = pg_sys::RegisterSnapshot(self.newest());
            let mut place = None;
            find(relation, index, snapshot, key.into(), |row| {
                place = Some((*row.tuple).t_self);
            });
            let newer = match self.sees_one_snapshot() {
                true => Newer::Fails,
                false => Newer::IsTaken,
            };
            let locked = match place {
                Some(place) => lock_at(relation, place, snapshot, wait, newer, then),
                None => Err(Missed::Absent),
            };
            pg_sys::UnregisterSnapshot(snapshot);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            locked
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

    /// Hands the row with that key to `then` as it is by now, without locking it; unless another transaction
    /// is changing it, or has it locked. For tables with few rows: where they are is remembered.
    pub fn look(
        &self,
        key: (i32, i32),
        mut then: impl FnMut(Found<'_>),
    ) -> Result<Looked, Unavailable> {
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
            let mut looked = Err(Unavailable::Absent);
            let mut see = |row: Found<'_>| {
                looked = match holder(row.tuple, &*snapshot) {
                    Some(holder) => Err(Unavailable::Held(holder)),
                    None => Ok(Looked {
                        version: row.version(),
                        is_own: row.is_own(),
                    }),
                };
                if looked.is_ok() {
                    then(row);
                }
            };
            if !hot_chain::find_again(relation, key, snapshot, &mut see) {
                find(relation, index, snapshot, key.into(), &mut see);
                if let Ok(looked) = &looked {
                    hot_chain::remember(relation, key, looked.version.place);
                }
            }
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            looked
        }
    }
}

/// A row that was looked at.
pub struct Looked {
    pub version: Version,
    /// This transaction has written that version.
    pub is_own: bool,
}

/// What is done about a version newer than the one at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Newer {
    IsTaken,
    /// It is a serialization failure.
    Fails,
}

/// Locks the row that has a version at that place.
///
/// # Safety
/// The relation must be open for writing, and the place that of a tuple that the snapshot sees.
unsafe fn lock_at(
    relation: pg_sys::Relation,
    mut place: pg_sys::ItemPointerData,
    snapshot: pg_sys::Snapshot,
    wait: Wait,
    newer: Newer,
    then: impl FnOnce(Found<'_>),
) -> Result<Locked, Missed> {
    // SAFETY: the slot is of the kind that heaps take; the function pointer is the access method's.
    unsafe {
        let slot = pg_sys::MakeSingleTupleTableSlot(
            (*relation).rd_att,
            &raw const pg_sys::TTSOpsBufferHeapTuple,
        );
        let flags = match newer {
            Newer::IsTaken => pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION as u8,
            Newer::Fails => 0,
        };
        let mut failure = pg_sys::TM_FailureData::default();
        let lock_tuple = (*(*relation).rd_tableam)
            .tuple_lock
            .expect("a heap can lock tuples");
        let result = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            lock_tuple(
                relation,
                &mut place,
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
                then(Found {
                    tuple,
                    shape: (*relation).rd_att,
                    lives: PhantomData,
                });
                Ok(Locked {
                    table: (*relation).rd_id,
                    place: (*slot).tts_tid,
                    tuple: pg_sys::heap_copytuple(tuple),
                })
            }
            DELETED | UPDATED if newer == Newer::Fails => {
                ereport!(
                    ERROR,
                    PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
                    "could not serialize access due to concurrent update"
                );
            }
            WOULD_BLOCK => Err(Missed::Taken),
            _ => Err(Missed::Absent),
        };
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        locked
    }
}

/// A tuple of these columns; those that the relation has behind them stay as they are in `old`.
///
/// # Safety
/// The relation must be open, `old` be a tuple of it, and the values be of the types of its columns.
pub(super) unsafe fn formed<const N: usize>(
    relation: pg_sys::Relation,
    old: pg_sys::HeapTuple,
    row: &[Arg; N],
) -> pg_sys::HeapTuple {
    let mut values = row.map(|value| value.unwrap_or(pg_sys::Datum::from(0)));
    let mut nulls = row.map(|value| value.is_none());
    // SAFETY: the caller's promise; values and nulls are as many as its attributes, which is checked.
    unsafe {
        let shape = (*relation).rd_att;
        if (*shape).natts as usize > N {
            let mut column = 0;
            let columns = row.map(|value| {
                column += 1;
                (column, value)
            });
            return modified(relation, old, columns);
        }
        assert!((*shape).natts as usize == N, "a row of {N} columns");
        pg_sys::heap_form_tuple(shape, values.as_mut_ptr(), nulls.as_mut_ptr())
    }
}

/// A tuple with some columns changed.
///
/// # Safety
/// The tuple must be one of the relation, and the columns such of it.
pub(super) unsafe fn modified<const N: usize>(
    relation: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
    columns: [(i32, Arg); N],
) -> pg_sys::HeapTuple {
    let mut numbers = columns.map(|(column, _)| column);
    let mut values = columns.map(|(_, value)| value.unwrap_or(pg_sys::Datum::from(0)));
    let mut nulls = columns.map(|(_, value)| value.is_none());
    // SAFETY: the caller's promise; as many values as columns.
    unsafe {
        pg_sys::heap_modify_tuple_by_cols(
            tuple,
            (*relation).rd_att,
            N as i32,
            numbers.as_mut_ptr(),
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
        )
    }
}

impl Locked {
    /// Puts another row in its place, with a value for each column in their order, the same key among
    /// them. Later statements of the transaction see it. Must be called within the session in which the row
    /// was locked.
    pub fn replace<const N: usize>(self, row: &[Arg; N]) {
        // SAFETY: the relation is opened anew under the lock that is still held.
        unsafe {
            let relation =
                pg_sys::table_open(self.table, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
            let replaced = put(
                relation,
                self.place,
                formed(relation, self.tuple, row),
                Wait::ForIt,
            );
            pg_sys::heap_freetuple(replaced.expect(CAN_BE_CHANGED).tuple);
            pg_sys::heap_freetuple(self.tuple);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }

    /// Changes some columns, by their numbers from 1, none of them of its key. Later statements of the
    /// transaction see it. Must be called within the session in which the row was locked.
    pub fn change<const N: usize>(self, columns: [(i32, Arg); N]) -> Locked {
        // SAFETY: the relation is opened anew under the lock that is still held; the tuple was copied
        // when it was locked, and belongs to this relation.
        unsafe {
            let relation =
                pg_sys::table_open(self.table, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
            let tuple = modified(relation, self.tuple, columns);
            let changed = put(relation, self.place, tuple, Wait::ForIt);
            pg_sys::heap_freetuple(self.tuple);
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            changed.expect(CAN_BE_CHANGED)
        }
    }
}

/// Since nobody else has it.
const CAN_BE_CHANGED: &str = "a row that is locked can be changed";

/// Puts a tuple in the place of a version, which is locked then; None, and nothing, if that is not the
/// newest, or another transaction has the row and is not waited for.
///
/// # Safety
/// As for [`heap::update`].
pub(super) unsafe fn put(
    relation: pg_sys::Relation,
    place: pg_sys::ItemPointerData,
    tuple: pg_sys::HeapTuple,
    wait: Wait,
) -> Option<Locked> {
    // SAFETY: the caller's promise.
    unsafe {
        let result = heap::update(relation, place, tuple, wait == Wait::ForIt);
        (result == pg_sys::TM_Result::TM_Ok).then(|| Locked {
            table: (*relation).rd_id,
            place: (*tuple).t_self,
            tuple,
        })
    }
}
