//! Rows of a day by their primary key, without the executor: in tables that are partitioned by day.

use pgrx::{IntoDatum, pg_sys};
use uuid::Uuid;

use super::daily::Day;
use super::lookup::{equal_uuid, find_by, newest};
use super::row::TableRow;

/// Whether one of the partitions has a row whose first three columns, those of its primary key, are
/// this uuid, this text in the order of bytes, and a time from `first` to `last`. Sees what is
/// committed by now, or what the transaction sees if it sees one snapshot throughout; and what it
/// wrote itself. None where a partition was altered just now.
pub fn has_between(days: &[Day], key: Uuid, text: &str, (first, last): (i64, i64)) -> Option<bool> {
    let text = text.into_datum()?;
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
            equal_uuid(1, key),
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
        let relation = match open(day) {
            Opened::Sound(relation) => relation,
            Opened::Gone => return Some(false),
            Opened::Altered => return None,
        };
        let main = pg_sys::ForkNumber::MAIN_FORKNUM;
        let mut found = false;
        if pg_sys::RelationGetNumberOfBlocksInFork(relation, main) > 0 {
            find_by(relation, day.primary_key, snapshot, keys, |_| found = true);
        }
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
    then: impl FnOnce(TableRow<'_>),
) -> bool {
    // SAFETY: keys name the columns of the index and operators of their types; the partition is opened under a lock
    // that is kept to the end of the transaction, and the snapshot registered while it is used.
    unsafe {
        let Opened::Sound(relation) = open(&day) else {
            return false;
        };
        let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
        let mut keys = [pg_sys::ScanKeyData::default(); 3];
        keys[0] = equal_uuid(1, first);
        keys[1] = equal_uuid(2, second);
        let at = pg_sys::Datum::from(at);
        pg_sys::ScanKeyInit(&mut keys[2], 3, equal, pg_sys::F_TIMESTAMPTZ_EQ.into(), at);
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        find_by(relation, day.primary_key, snapshot, &mut keys, then);
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
    true
}

/// The partition of a day, opened for reading.
enum Opened {
    Sound(pg_sys::Relation),
    /// There is none any more.
    Gone,
    /// It was altered since its day was looked up.
    Altered,
}

/// Opens the partition of a day under a lock that is kept to the end of the transaction.
///
/// # Safety
/// The caller closes it.
unsafe fn open(day: &Day) -> Opened {
    // SAFETY: what is opened is locked; closed again where it is of no use.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::try_table_open(day.partition, lock);
        if relation.is_null() {
            return Opened::Gone;
        }
        if !day.still_holds() {
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            return Opened::Altered;
        }
        Opened::Sound(relation)
    }
}
