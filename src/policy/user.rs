//! The row of a user: all that is kept of them, read in one look-up, locked while it changes.

use std::time::{Duration, Instant};

use pgrx::pg_sys::{TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::consents::Consents;
use super::feature::Feature;
use crate::govern::tombstone;
use crate::math::aggregate::cells_at_mut;
use crate::math::keyed;
use crate::pg::datum::Arg;
use crate::pg::lock_timeout::attempt_waiting;
use crate::pg::locked::{Locked, NotLocked, Wait};
use crate::pg::lookup::Keyed;
use crate::pg::plan::on_latest_snapshot;
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
const NOT_BEFORE: i32 = 7;
const CONSENTS: i32 = 8;
const MERGED_INTO: i32 = 9;
const MERGED_FROM: i32 = 10;

/// How many users may be merged into one, also by way of others.
pub const MOST_MERGED: usize = 64;

thread_local! {
    static MAKE: Statement = const { Statement::new(
        "INSERT INTO decide.user_state (user_key) VALUES ($1) ON CONFLICT DO NOTHING", &[UUIDOID]) };
    static DELETE: Statement = const { Statement::new(
        "DELETE FROM decide.user_state AS s WHERE s.user_key = $1", &[UUIDOID]) };
    static BEGIN_ANEW: Statement = const { Statement::new(
        "UPDATE decide.user_state AS s SET not_before = $2 WHERE s.user_key = $1", &[UUIDOID, TIMESTAMPTZOID]) };
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
    /// When the person was erased last: nothing of that time or before is taken in.
    pub not_before: Option<i64>,
    /// What the person has decided about purposes.
    pub consents: Consents,
    /// The user into whom this one was merged.
    pub merged_into: Option<Uuid>,
    /// The users who were merged into this one.
    pub merged_from: Vec<Uuid>,
    /// Which version of the row was read, if one was.
    pub version: Option<Version>,
}

impl UserRow {
    /// Reads the row; what was here before is forgotten. Sees what a statement of the caller would see, but for what is
    /// in force at once: see [`UserRow::follow_rights`].
    pub fn read(&mut self, user_key: Uuid) {
        self.see(user_key);
        if session::sees_one_snapshot() {
            self.follow_rights(user_key);
        }
    }

    fn see(&mut self, user_key: Uuid) {
        self.clear();
        USER_STATE.read(user_key, |kept| self.take_version(&kept));
    }

    /// Into whom the user was merged, if there is a row.
    pub fn look(user_key: Uuid) -> Option<Option<Uuid>> {
        let mut found = None;
        USER_STATE.read(user_key, |kept| found = Some(kept.get(MERGED_INTO)));
        found
    }

    /// Whether another transaction is making the row, or deleting it.
    pub fn is_being_made(user_key: Uuid) -> bool {
        USER_STATE.is_being_made(user_key)
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

    /// Takes over, in a transaction that sees one snapshot throughout, what must not wait for its end: what the person has
    /// decided by now; and if they were erased since, all is forgotten but what the row has of caps.
    fn follow_rights(&mut self, user_key: Uuid) {
        let mut newest = UserRow::default();
        on_latest_snapshot(|| {
            newest.see(user_key);
            // The user may have been merged into another since; what the person has decided is there.
            for _ in 0..MOST_MERGED {
                let Some(into) = newest.merged_into else {
                    break;
                };
                newest.see(into);
            }
        });
        if newest.version.is_none() || newest.not_before != self.not_before {
            self.features.clear();
            self.keyed.clear();
            self.events = 0;
        }
        self.consents.become_like(&newest.consents);
    }

    /// Takes over what decisions look at.
    pub fn become_like(&mut self, other: &UserRow) {
        self.clear();
        self.features.extend_from_slice(&other.features);
        self.keyed.extend_from_slice(&other.keyed);
        self.events = other.events;
        self.consents.become_like(&other.consents);
    }

    /// Forgets what was here.
    pub fn clear(&mut self) {
        self.version = None;
        self.features.clear();
        self.keyed.clear();
        self.events = 0;
        self.exposures.clear();
        self.not_before = None;
        self.consents.clear();
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
        self.not_before = kept.timestamp(NOT_BEFORE);
        kept.datum(CONSENTS)
            .map(|consents| array::read_into(consents, self.consents.numbers()));
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
            make(user_key);
            session::check_interrupts();
        }
    }

    /// Empties the cells of a feature.
    pub fn forget(&mut self, feature: &Feature) {
        let aggregate = &feature.aggregate;
        match feature.key {
            Some(_) => keyed::clear(&mut self.keyed, feature.cell as u32),
            None => aggregate.clear(cells_at_mut(&mut self.features, feature.cell, aggregate)),
        }
    }

    /// Whether nothing is kept in it.
    pub fn is_blank(&self) -> bool {
        let is_merged = self.merged_into.is_some() || !self.merged_from.is_empty();
        let is_empty = self.events == 0 && self.exposures.is_empty();
        is_empty && self.consents.is_empty() && !is_merged
    }

    /// Deletes the row, which must be locked; every session forgets, at commit, what it remembers of users.
    pub fn delete(user_key: Uuid) {
        DELETE.with(|statement| statement.write(&[datum::uuid(user_key)], |_| {}));
    }

    /// The row as it would be made.
    pub fn to_be_made(user_key: Uuid) -> UserRow {
        UserRow {
            not_before: tombstone::erased_at(user_key),
            ..UserRow::default()
        }
    }

    /// The same of the user into whom that one was merged, or else of their own row; whose it is.
    pub fn lock_living(user_key: Uuid) -> (Uuid, UserRow, Locked) {
        UserRow::living_of(user_key, UserRow::lock(user_key))
    }

    /// Goes on from a row that is locked to that of the user into whom its user was merged.
    pub fn living_of(user_key: Uuid, found: (UserRow, Locked)) -> (Uuid, UserRow, Locked) {
        let (mut living, mut found) = (user_key, found);
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
        UserRow::living_if_free(user_key, UserRow::lock_free(user_key)?)
    }

    /// The same, from a row that is locked.
    pub fn living_if_free(
        user_key: Uuid,
        found: (UserRow, Locked),
    ) -> Option<(Uuid, UserRow, Locked)> {
        let (mut living, mut found) = (user_key, found);
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
                make(user_key);
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
        let until = Instant::now() + Duration::from_millis(milliseconds.into());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = left.as_micros().div_ceil(1000);
            let left = left.try_into().unwrap_or(milliseconds);
            match self.try_to_lock(user_key, Wait::Never) {
                Ok(locked) => return Some(locked),
                Err(_) if left == 0 => return None,
                Err(NotLocked::Absent) => {
                    attempt_waiting(left, || make(user_key)).ok()??;
                }
                Err(NotLocked::Held) => {
                    USER_STATE.wait_until_free(user_key, left).then_some(())?;
                }
            }
            session::check_interrupts();
        }
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
            (NOT_BEFORE, self.not_before.and_then(datum::timestamp)),
            (CONSENTS, self.consents.datum()),
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
            (CONSENTS, None),
            (MERGED_INTO, datum::uuid(into)),
            (MERGED_FROM, None),
        ]);
    }

    /// Writes it over a version that was not locked, for which it waits or not; None, and nothing,
    /// if there is a newer one by then, or if another transaction has it.
    pub fn write_over(&self, user_key: Uuid, version: Version, wait: Wait) -> Option<Locked> {
        version.replace(&self.columns(user_key), wait)
    }

    fn columns(&self, user_key: Uuid) -> [Arg<'_>; 8] {
        [
            datum::uuid(user_key),
            datum::array(&self.features),
            datum::timestamp(clock::now()),
            datum::array(&self.keyed),
            datum::int8(self.events),
            datum::array(&self.exposures),
            self.not_before.and_then(datum::timestamp),
            self.consents.datum(),
        ]
    }
}

/// Makes the row of a user, unless there is one. From then on an erasure of that person waits for this transaction, and
/// one that was committed before has left a tombstone: the person begins anew.
fn make(user_key: Uuid) {
    let key = datum::uuid(user_key);
    let made = MAKE.with(|statement| statement.write(&[key], |_| {}));
    let erased_at = (made > 0).then(|| tombstone::erased_at(user_key)).flatten();
    if let Some(erased_at) = erased_at {
        let args = [datum::uuid(user_key), datum::timestamp(erased_at)];
        BEGIN_ANEW.with(|statement| statement.write(&args, |_| {}));
    }
}
