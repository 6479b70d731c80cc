//! One row that was looked at and not locked: changed unless others have changed or locked it first.

use pgrx::pg_sys;

use super::heap::{formed, modified, put};
use super::holder::locker;
use super::locked::Wait;
pub use super::row::Version;
use super::row::{Locked, TableRow};
use super::spi::SessionMark;
use super::value::Arg;

impl Version {
    /// Changes some columns, as [`Locked::change`] does, unless there is a newer version or another
    /// transaction has the row: then nothing, and at once.
    pub fn change<const N: usize>(self, columns: [(i32, Arg<'_>); N]) -> Option<Locked> {
        self.found_in.debug_check();
        // SAFETY: the relation is opened anew under the lock of the look-up, or a stronger one that is not
        // waited for; while the snapshot lasts, the version stays where it is, whatever becomes of the row.
        unsafe {
            let mode = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
            if !pg_sys::ConditionalLockRelationOid(self.table, mode) {
                return None;
            }
            let relation = pg_sys::table_open(self.table, pg_sys::NoLock as pg_sys::LOCKMODE);
            let changed = with_tuple(relation, self.tid, |old, page| {
                let newest = newest(old, page)?;
                Some((modified(relation, old, columns), newest))
            });
            // A lock of its own is not waited for, but the server must be told that it may look whose it is.
            let locked = changed
                .flatten()
                .and_then(|(tuple, newest)| put(relation, self.tid, tuple, newest.is_own_lock));
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            locked
        }
    }

    /// Puts another row in its place, as [`Locked::replace`] does, and waits for it or not; None, and nothing, if
    /// there is a newer version by then, or if another transaction has the row and is not waited for.
    pub fn replace<const N: usize>(self, row: &[Arg<'_>; N], wait: Wait) -> Option<Locked> {
        self.found_in.debug_check();
        // SAFETY: as above; the tuple is formed for this relation.
        unsafe {
            let mode = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
            if wait == Wait::Never && !pg_sys::ConditionalLockRelationOid(self.table, mode) {
                return None;
            }
            let relation = pg_sys::table_open(self.table, mode);
            let tuple = with_tuple(relation, self.tid, |old, page| {
                (!is_replaced(old, page)).then(|| formed(relation, old, row))
            });
            let locked = tuple
                .flatten()
                .and_then(|tuple| put(relation, self.tid, tuple, wait == Wait::ForIt));
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            locked
        }
    }

    /// Hands the row to `then` as it was in this version.
    pub fn read(self, then: impl FnOnce(TableRow<'_>)) {
        self.found_in.debug_check();
        // SAFETY: as above.
        unsafe {
            let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let relation = pg_sys::table_open(self.table, mode);
            with_tuple(relation, self.tid, |tuple, _| {
                then(TableRow::new(tuple, relation));
            });
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }

    /// The lock that this transaction has on the row, by the version that it has written or locked.
    fn locked(self) -> Locked {
        self.found_in.debug_check();
        // SAFETY: as above; the row is locked, so the version stays the newest. The tuple is copied.
        unsafe {
            let mode = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
            let relation = pg_sys::table_open(self.table, mode);
            let tuple = with_tuple(relation, self.tid, |tuple, _| pg_sys::heap_copytuple(tuple));
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            Locked {
                table: self.table,
                tid: self.tid,
                tuple: tuple.expect("a row that is locked is there"),
                locked_in: SessionMark::now(),
            }
        }
    }

    /// Whether it still is the newest version, and no other transaction has the row.
    pub fn is_newest(self) -> bool {
        self.found_in.debug_check();
        // SAFETY: as above; whether a tuple may be updated is asked under a lock on its page.
        unsafe {
            let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let relation = pg_sys::table_open(self.table, mode);
            let newest = with_tuple(relation, self.tid, |tuple, page| newest(tuple, page));
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            newest.flatten().is_some()
        }
    }
}

/// How a transaction has a row.
pub enum RowLock {
    /// It has looked at a version, and others may change or lock the row first.
    Optimistic(Version),
    Held(Locked),
    /// The same, by the version that this transaction has written or locked: good beyond the session in which it did.
    Kept(Version),
}

impl RowLock {
    pub fn is_held(&self) -> bool {
        matches!(self, RowLock::Held(_) | RowLock::Kept(_))
    }

    /// The same lock, for longer than the session lasts.
    pub fn kept(self) -> RowLock {
        match self {
            RowLock::Held(locked) => RowLock::Kept(locked.into_version()),
            other => other,
        }
    }

    /// Changes some columns, which locks the row; None if others have changed or locked it first.
    pub fn change<const N: usize>(self, columns: [(i32, Arg<'_>); N]) -> Option<RowLock> {
        match self {
            RowLock::Optimistic(version) => version.change(columns),
            RowLock::Held(locked) => Some(locked.change(columns)),
            RowLock::Kept(version) => Some(version.locked().change(columns)),
        }
        .map(RowLock::Held)
    }

    /// Whether nobody else has changed or locked the row so far.
    pub fn holds(&self) -> bool {
        match self {
            RowLock::Optimistic(version) => version.is_newest(),
            RowLock::Held(_) | RowLock::Kept(_) => true,
        }
    }
}

/// Hands the tuple with that item pointer to `then`, with the page that it is on; None if there is none.
///
/// # Safety
/// The relation must be open, and the tuple one that a snapshot of this transaction sees.
unsafe fn with_tuple<T>(
    relation: pg_sys::Relation,
    tid: pg_sys::ItemPointerData,
    then: impl FnOnce(pg_sys::HeapTuple, pg_sys::Buffer) -> T,
) -> Option<T> {
    // SAFETY: the caller's promise; a snapshot of any version is a plain structure; the page is released
    // when the tuple was looked at.
    unsafe {
        let mut any = pg_sys::SnapshotData {
            snapshot_type: pg_sys::SnapshotType::SNAPSHOT_ANY,
            ..Default::default()
        };
        let mut tuple = pg_sys::HeapTupleData {
            t_self: tid,
            ..Default::default()
        };
        let mut page = pg_sys::InvalidBuffer as pg_sys::Buffer;
        pg_sys::heap_fetch(relation, &mut any, &mut tuple, &mut page, false).then(|| {
            let result = then(&mut tuple, page);
            pg_sys::ReleaseBuffer(page);
            result
        })
    }
}

/// A tuple that is the newest version of its row, which no other transaction has.
struct NewestVersion {
    /// This transaction has locked the row before it wrote this version, which then is locked as well.
    is_own_lock: bool,
}

/// Whether a tuple on that page is the newest version, and no other transaction has the row.
///
/// # Safety
/// The page must be pinned, and the tuple lie on it.
unsafe fn newest(tuple: pg_sys::HeapTuple, page: pg_sys::Buffer) -> Option<NewestVersion> {
    use pg_sys::TM_Result::{TM_BeingModified as LOCKED, TM_Ok as OK};
    // SAFETY: the caller's promise.
    let is_own_lock = unsafe {
        match state_of(tuple, page) {
            OK => false,
            LOCKED if locker(tuple).is_none() => true,
            _ => return None,
        }
    };
    Some(NewestVersion { is_own_lock })
}

/// Whether this transaction itself has replaced it: to do so again would be an error.
///
/// # Safety
/// As above.
unsafe fn is_replaced(tuple: pg_sys::HeapTuple, page: pg_sys::Buffer) -> bool {
    use pg_sys::TM_Result::{TM_Invisible as BEFORE, TM_SelfModified as BY_THIS_STATEMENT};
    // SAFETY: the caller's promise.
    unsafe { matches!(state_of(tuple, page), BEFORE | BY_THIS_STATEMENT) }
}

/// What would become of an update of it.
///
/// # Safety
/// As above.
unsafe fn state_of(tuple: pg_sys::HeapTuple, page: pg_sys::Buffer) -> pg_sys::TM_Result::Type {
    // SAFETY: the caller's promise; it is asked under a lock on the page.
    unsafe {
        pg_sys::LockBuffer(page, pg_sys::BUFFER_LOCK_SHARE as i32);
        let state =
            pg_sys::HeapTupleSatisfiesUpdate(tuple, pg_sys::GetCurrentCommandId(false), page);
        pg_sys::LockBuffer(page, pg_sys::BUFFER_LOCK_UNLOCK as i32);
        state
    }
}
