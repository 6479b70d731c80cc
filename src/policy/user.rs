//! The row of a user: all that is kept of them, read in one look-up, locked while it changes.

use pgrx::pg_sys::UUIDOID;
use uuid::Uuid;

use crate::pg::attempt::attempt_for;
use crate::pg::datum::Arg;
use crate::pg::locked::{Locked, NotLocked, Wait};
use crate::pg::lookup::Keyed;
use crate::pg::row::TableRow;
use crate::pg::version::{RowLock, Version};
use crate::pg::{Statement, array, clock, datum, session};

const USER_STATE: Keyed = Keyed {
    schema: c"decide",
    table: c"user_state",
    counts: false,
};

/// The columns of decide.user_state after the key.
const FEATURES: i32 = 2;
const KEYED: i32 = 4;
const UPDATED_AT: i32 = 3;
const EVENTS: i32 = 5;
const EXPOSURES: i32 = 6;
const MERGED_INTO: i32 = 7;
const MERGED_FROM: i32 = 8;

/// How many users may be merged into one, also by way of others.
pub const MOST_MERGED: usize = 64;

thread_local! {
    static MAKE: Statement = const { Statement::new(
        "INSERT INTO decide.user_state (user_key) VALUES ($1) ON CONFLICT DO NOTHING", &[UUIDOID]) };
}

/// What is kept of a user.
#[derive(Default)]
pub struct UserRow {
    /// Cells of features, by offset.
    pub features: Vec<f64>,
    /// Those that are kept per key.
    pub keyed: Vec<f64>,
    /// How many events are in it.
    pub events: i64,
    /// What they have had of caps per user.
    pub exposures: Vec<i64>,
    /// The user into whom this one was merged.
    pub merged_into: Option<Uuid>,
    /// The users who were merged into this one.
    pub merged_from: Vec<Uuid>,
    /// Which version of the row was read, if one was.
    pub version: Option<Version>,
}

impl UserRow {
    /// Reads the row; what was here before is forgotten. Sees what a statement of the caller would see.
    pub fn read(&mut self, user_key: Uuid) {
        self.clear();
        USER_STATE.read(user_key, |kept| self.take_version(&kept));
    }

    /// Reads the row of the user into whom that one was merged, or else their own; whose it is.
    pub fn read_living(&mut self, user_key: Uuid) -> Uuid {
        let mut living = user_key;
        self.read(living);
        for _ in 0..MOST_MERGED {
            let Some(into) = self.merged_into else {
                break;
            };
            living = into;
            self.read(living);
        }
        living
    }

    /// The user into whom that one was merged by now, or else the same.
    pub fn living(user_key: Uuid) -> Uuid {
        let mut living = user_key;
        for _ in 0..MOST_MERGED {
            match UserRow::newest(living).and_then(|(row, _)| row.merged_into) {
                Some(into) => living = into,
                None => break,
            }
        }
        living
    }

    /// The same of what is committed by now, if there is a row.
    pub fn newest(user_key: Uuid) -> Option<(UserRow, Version)> {
        let mut row = UserRow::default();
        USER_STATE.read_newest(user_key, |kept| row.take_version(&kept));
        let version = row.version?;
        Some((row, version))
    }

    /// The row as it was in a version.
    pub fn in_version(version: Version) -> UserRow {
        let mut row = UserRow::default();
        version.read(|kept| row.take_version(&kept));
        row
    }

    fn take_version(&mut self, kept: &TableRow<'_>) {
        self.version = Some(kept.version());
        self.take(kept);
    }

    /// Takes over what decisions look at.
    pub fn become_like(&mut self, other: &UserRow) {
        self.clear();
        self.features.extend_from_slice(&other.features);
        self.keyed.extend_from_slice(&other.keyed);
        self.events = other.events;
    }

    /// Forgets what was here.
    pub fn clear(&mut self) {
        self.version = None;
        self.features.clear();
        self.keyed.clear();
        self.events = 0;
        self.exposures.clear();
        self.merged_into = None;
        self.merged_from.clear();
    }

    fn take(&mut self, kept: &TableRow<'_>) {
        kept.datum(FEATURES)
            .map(|features| array::read_into(features, &mut self.features));
        kept.datum(KEYED)
            .map(|keyed| array::read_into(keyed, &mut self.keyed));
        kept.datum(EXPOSURES)
            .map(|exposures| array::read_into(exposures, &mut self.exposures));
        self.events = kept.get(EVENTS).unwrap_or(0);
        self.merged_into = kept.get(MERGED_INTO);
        if let Some(from) = kept.get::<Vec<pgrx::Uuid>>(MERGED_FROM) {
            let from = from.iter().map(|key| Uuid::from_bytes(*key.as_bytes()));
            self.merged_from.extend(from);
        }
    }

    /// Locks the row, or makes one, until the transaction ends: from here on one event of a user waits
    /// for the other, so that one cannot overlook the other.
    pub fn lock(user_key: Uuid) -> (UserRow, Locked) {
        loop {
            if let Some(found) = UserRow::lock_existing(user_key) {
                return found;
            }
            // Another session may have made it, or an erasure may have removed it, since.
            MAKE.with(|statement| statement.write(&[datum::uuid(user_key)], |_| {}));
            session::check_interrupts();
        }
    }

    /// The same of the user into whom that one was merged, or else of their own row; whose it is.
    pub fn lock_living(user_key: Uuid) -> (Uuid, UserRow, Locked) {
        let (mut living, mut found) = (user_key, UserRow::lock(user_key));
        for _ in 0..MOST_MERGED {
            let Some(into) = found.0.merged_into else {
                break;
            };
            (living, found) = (into, UserRow::lock(into));
        }
        let (row, locked) = found;
        (living, row, locked)
    }

    /// The same, unless another transaction has one of the rows, or is making it.
    pub fn lock_living_free(user_key: Uuid) -> Option<(Uuid, UserRow, Locked)> {
        let (mut living, mut found) = (user_key, UserRow::lock_free(user_key)?);
        for _ in 0..MOST_MERGED {
            let Some(into) = found.0.merged_into else {
                break;
            };
            (living, found) = (into, UserRow::lock_free(into)?);
        }
        let (row, locked) = found;
        Some((living, row, locked))
    }

    /// The same, unless another transaction has the row, or is making it.
    pub fn lock_free(user_key: Uuid) -> Option<(UserRow, Locked)> {
        match UserRow::lock_if_free(user_key) {
            Err(NotLocked::Absent) if !USER_STATE.is_being_made(user_key) => {
                MAKE.with(|statement| statement.write(&[datum::uuid(user_key)], |_| {}));
                UserRow::lock_if_free(user_key).ok()
            }
            found => found.ok(),
        }
    }

    /// The same, with what is in it put here.
    pub fn lock_at_once(&mut self, user_key: Uuid) -> Option<Locked> {
        let (row, locked) = UserRow::lock_free(user_key)?;
        *self = row;
        Some(locked)
    }

    /// The same, if there is a row.
    pub fn lock_existing(user_key: Uuid) -> Option<(UserRow, Locked)> {
        UserRow::lock_as(user_key, Wait::ForIt).ok()
    }

    /// The same, if there is a row and nobody else has it.
    pub fn lock_if_free(user_key: Uuid) -> Result<(UserRow, Locked), NotLocked> {
        UserRow::lock_as(user_key, Wait::Never)
    }

    /// Locks the row, or makes one, and puts what is in it here; None if another transaction has it
    /// for longer than that.
    pub fn lock_within(&mut self, user_key: Uuid, milliseconds: u32) -> Option<Locked> {
        match self.try_to_lock(user_key, Wait::Never) {
            Ok(locked) => return Some(locked),
            Err(NotLocked::Absent) => {
                let made =
                    || MAKE.with(|statement| statement.write(&[datum::uuid(user_key)], |_| {}));
                attempt_for(milliseconds, made).ok()?;
            }
            Err(NotLocked::Held) => {}
        }
        let mut wait = || self.try_to_lock(user_key, Wait::ForIt);
        attempt_for(milliseconds, &mut wait).ok()?.ok()
    }

    fn try_to_lock(&mut self, user_key: Uuid, wait: Wait) -> Result<Locked, NotLocked> {
        self.clear();
        USER_STATE.lock(user_key, wait, |kept| self.take(&kept))
    }

    fn lock_as(user_key: Uuid, wait: Wait) -> Result<(UserRow, Locked), NotLocked> {
        let mut row = UserRow::default();
        let locked = row.try_to_lock(user_key, wait)?;
        Ok((row, locked))
    }

    /// Writes the exposures only; None if others were faster.
    pub fn write_exposures(exposures: &[i64], row_lock: RowLock) -> Option<RowLock> {
        row_lock.change([(EXPOSURES, datum::array(exposures))])
    }

    /// Writes the row back.
    pub fn write(&self, user_key: Uuid, locked: Locked) {
        locked.replace(&self.columns(user_key));
    }

    /// Writes it, and who was merged into it.
    pub fn write_merged(&self, locked: Locked) {
        locked.change([
            (FEATURES, datum::array(&self.features)),
            (UPDATED_AT, datum::timestamp(clock::now())),
            (KEYED, datum::array(&self.keyed)),
            (EVENTS, datum::int8(self.events)),
            (EXPOSURES, datum::array(&self.exposures)),
            (MERGED_FROM, datum::uuids(&self.merged_from)),
        ]);
    }

    /// Leaves nothing in the row but into whom it was merged.
    pub fn write_left(into: Uuid, locked: Locked) {
        locked.change([
            (FEATURES, datum::array::<f64>(&[])),
            (UPDATED_AT, datum::timestamp(clock::now())),
            (KEYED, datum::array::<f64>(&[])),
            (EVENTS, datum::int8(0)),
            (EXPOSURES, datum::array::<i64>(&[])),
            (MERGED_INTO, datum::uuid(into)),
            (MERGED_FROM, None),
        ]);
    }

    /// Writes it over a version that was not locked, for which it waits or not; None, and nothing,
    /// if there is a newer one by then, or if another transaction has it.
    pub fn write_over(&self, user_key: Uuid, version: Version, wait: Wait) -> Option<Locked> {
        version.replace(&self.columns(user_key), wait)
    }

    fn columns(&self, user_key: Uuid) -> [Arg<'_>; 6] {
        [
            datum::uuid(user_key),
            datum::array(&self.features),
            datum::timestamp(clock::now()),
            datum::array(&self.keyed),
            datum::int8(self.events),
            datum::array(&self.exposures),
        ]
    }
}
