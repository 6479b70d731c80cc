//! One user of two: the visitor who logs in keeps what is kept of them.
//!
//! What becomes the second user's: features, whose aggregates merge exactly; counters of caps, counted and reserved;
//! consents, of which the newest holds; events that are stored, so that an event counts once whoever it is sent for, and a backfill finds them; the
//! job `attribution` follows. What stays
//! the first user's, and is found by way of [`UserRow::merged_from`]: decisions, since traces never change, and their
//! outcomes. What comes later for the first user finds in their row into whom they were merged. Anything else that will
//! be kept by user has its place in [`move_all`].

use pgrx::pg_sys::{INT8ARRAYOID, INT8OID, TEXTARRAYOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::lock_timeout::waiting_for_user;
use super::stored::Stored;
use super::{backfill, features};
use crate::error::Error;
use crate::govern::pseudonym;
use crate::math::aggregate::{cells_at, cells_at_mut};
use crate::math::{keyed, ledger};
use crate::pg::locked::Locked;
use crate::pg::plan::Access;
use crate::pg::{Session, Statement, clock, datum, session};
use crate::policy::{self, Bundle, MOST_MERGED, Seen, UserRow, user_key};

thread_local! {
    static BOTH: Statement = const { Statement::new(
        "SELECT f.event_id, f.ordinal, f.at, f.type, f.schema_version, f.action, f.surface, f.decision_id IS NULL, t.at \
           FROM decide.event AS f JOIN decide.event AS t ON t.event_id = f.event_id \
          WHERE f.user_key = $1 AND t.user_key = $2 AND ($3 IS NULL OR f.received_at > $3) AND ($4 IS NULL OR t.received_at > $4) \
          ORDER BY f.ordinal",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID]) };
    static STORED: Statement = const { Statement::new(
        "SELECT pg_catalog.count(*) FROM decide.event AS e WHERE e.user_key = $1 AND ($2 IS NULL OR e.received_at > $2)",
        &[UUIDOID, TIMESTAMPTZOID]) };
    static PAST: Statement = const { Statement::new(
        "SELECT 1 FROM decide.event AS e WHERE e.user_key = $1 AND e.received_at <= $2 AND ($3 IS NULL OR e.received_at > $3) LIMIT 1",
        &[UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID]) };
    static DROP: Statement = const { Statement::new(
        "DELETE FROM decide.event AS e WHERE e.user_key = $1 AND e.ordinal = ANY ($2) AND e.event_id = ANY ($3)",
        &[UUIDOID, INT8ARRAYOID, TEXTARRAYOID]) };
    static MOVE: Statement = const { Statement::new(
        "UPDATE decide.event AS e \
            SET user_key = $2, \
                ordinal = e.ordinal + $3 - (SELECT pg_catalog.count(*) FROM pg_catalog.unnest($4) AS d (ordinal) WHERE d.ordinal < e.ordinal) \
          WHERE e.user_key = $1 AND ($5 IS NULL OR e.received_at > $5)",
        &[UUIDOID, UUIDOID, INT8OID, INT8ARRAYOID, TIMESTAMPTZOID]) };
    static OUTCOMES: Statement = const { Statement::new(
        "SELECT decide.move_outcomes($1, $2)", &[UUIDOID, UUIDOID]) };
    static NOTE: Statement = const { Statement::new(
        "INSERT INTO decide.user_merge (user_key, merged_into, events, events_before, duplicates) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (user_key) DO UPDATE SET merged_into = excluded.merged_into, merged_at = pg_catalog.clock_timestamp(), \
           events = excluded.events, events_before = excluded.events_before, duplicates = excluded.duplicates",
        &[UUIDOID, UUIDOID, INT8OID, INT8OID, INT8OID]) };
}

/// A user, and their row, locked.
struct Party {
    key: Uuid,
    row: UserRow,
    locked: Locked,
}

impl Party {
    /// Whether this user has events that are from before the other one was erased: of one person they would not be told
    /// from what is to be deleted.
    fn is_past_of(&self, other: &Party) -> bool {
        let (mine, others) = (self.row.not_before, other.row.not_before);
        let Some(erased_at) = others.filter(|_| others > mine) else {
            return false;
        };
        let args = [
            datum::uuid(self.key),
            datum::timestamp(erased_at),
            mine.and_then(datum::timestamp),
        ];
        PAST.with(|statement| statement.write(&args, |_| {})) > 0
    }
}

/// How often others may merge one of the two while their rows are waited for.
const MOST_ATTEMPTS: u32 = 8;

/// Merges the first user into the second; false if they were one already.
pub fn merge_users(from: Option<&str>, to: Option<&str>) -> Result<bool, Error> {
    let from = user_key(pseudonym::user_id(from)?, Seen::ToWrite)?;
    let to = user_key(pseudonym::user_id(to)?, Seen::ToWrite)?;
    if from == to {
        return Err(refused("both users are the same"));
    }
    let _session = Session::open();
    for _ in 0..MOST_ATTEMPTS {
        session::check_interrupts();
        let into = UserRow::living(to);
        if into == from {
            return Err(refused("the second user was merged into the first"));
        }
        match UserRow::living(from) {
            living if living == from => {}
            living if living == into => return Ok(false),
            _ => return Err(refused("the first user was merged into another one")),
        }
        // As all who lock several users.
        let lock = |key: Uuid| {
            let (row, locked) = waiting_for_user(|| UserRow::lock(key));
            Party { key, row, locked }
        };
        let (from, into) = match from < into {
            true => {
                let from = lock(from);
                (from, lock(into))
            }
            false => {
                let into = lock(into);
                (lock(from), into)
            }
        };
        if from.row.merged_into.is_none() && into.row.merged_into.is_none() {
            if from.is_past_of(&into) || into.is_past_of(&from) {
                return Err(Error::Refused(
                    "the users cannot be merged: one of them was erased, and the other has events from before that".into(),
                    "Of one person nothing from before an erasure is kept. Erase the other one as well, or leave them two.",
                ));
            }
            return move_all(from, into);
        }
    }
    Err(refused("others go on merging these users"))
}

/// Moves the person of an older pseudonym to that of the newest key, as a merge does; false, and nothing is done, where
/// another transaction has one of the rows.
pub fn move_person(old: Uuid, newest: Uuid) -> Result<bool, Error> {
    let _session = Session::open();
    let (living, into) = (UserRow::living(old), UserRow::living(newest));
    if UserRow::newest(old).is_none() || living == into {
        return Ok(true);
    }
    // Of a user who was merged into another one the newest pseudonym is merged as well.
    let (from, into) = match living == old {
        true => (old, into),
        false => (into, living),
    };
    let lock = |key: Uuid| {
        let (row, locked) = UserRow::lock_free(key)?;
        Some(Party { key, row, locked }).filter(|party| party.row.merged_into.is_none())
    };
    // The row that is there first: nobody is waited for, and none must be made for who is not moved.
    let locked = match living == old {
        true => lock(from).and_then(|from| Some((from, lock(into)?))),
        false => lock(into).and_then(|into| Some((lock(from)?, into))),
    };
    let Some((from, into)) = locked else {
        return Ok(false);
    };
    move_all(from, into)
}

fn refused(why: &str) -> Error {
    Error::Refused(
        format!("the users cannot be merged: {why}"),
        "decide.user_merge lists who was merged into whom, by pseudonyms; a merge is not undone.",
    )
}

/// All that is kept of the first user becomes the second one's.
fn move_all(from: Party, mut into: Party) -> Result<bool, Error> {
    // Pseudonyms of older keys are of users who are counted already, or go with their key.
    let merged = into.row.merged_from.iter().chain(&from.row.merged_from);
    let number = pseudonym::number_of(into.key);
    let users = merged
        .filter(|&&user| pseudonym::number_of(user) == number)
        .count();
    if users >= MOST_MERGED {
        return Err(refused(&format!(
            "at most {MOST_MERGED} are merged into one"
        )));
    }
    // A feature may have been staged while the rows were waited for.
    let bundle = policy::live()?;
    let mut moved = from.row;
    let twice = events_of_both(from.key, &moved, &into, &bundle);
    let ordinals: Vec<i64> = twice.iter().map(|event| event.ordinal).collect();
    drop_twice(from.key, &twice, &ordinals, &mut moved, &bundle);
    move_events(from.key, moved.not_before, &into, &ordinals);
    let args = [datum::uuid(from.key), datum::uuid(into.key)];
    OUTCOMES.with(|statement| statement.write(&args, |_| {}));

    let row = &mut into.row;
    let before = row.events;
    row.events += moved.events - ordinals.len() as i64;
    add_exposures(&moved, row, &bundle);
    add_features(&moved, row, &bundle);
    for index in bundle.own()..bundle.features.len() {
        // How far the backfill is may differ between the two.
        if bundle.features[index].entity.is_user() {
            backfill::recompute(into.key, index, &bundle, row);
        }
    }
    row.consents.merge(&moved.consents);
    row.not_before = row.not_before.max(moved.not_before);
    row.merged_from.push(from.key);
    row.merged_from.extend(&moved.merged_from);
    let args = [
        datum::uuid(from.key),
        datum::uuid(into.key),
        datum::int8(moved.events),
        datum::int8(before),
        datum::int8(ordinals.len() as i64),
    ];
    NOTE.with(|statement| statement.write(&args, |_| {}));
    into.row.write_merged(into.locked);
    UserRow::write_left(into.key, from.locked);
    Ok(true)
}

/// An event of the first user that the second one has as well.
struct Twice {
    event_id: String,
    ordinal: i64,
    at: i64,
    kind: String,
    action: Option<String>,
    surface: Option<String>,
    /// It names no decision.
    is_by_itself: bool,
}

/// The events that both users have: with one event_id within the horizon of their contract.
fn events_of_both(from: Uuid, moved: &UserRow, into: &Party, bundle: &Bundle) -> Vec<Twice> {
    let mut twice: Vec<Twice> = Vec::new();
    let args = [
        datum::uuid(from),
        datum::uuid(into.key),
        moved.not_before.and_then(datum::timestamp),
        into.row.not_before.and_then(datum::timestamp),
    ];
    BOTH.with(|statement| {
        statement.write(&args, |row| {
            let (kind, version): (String, i16) = (row.must(4), row.must(5));
            let contract = bundle.contracts.of(&kind, Some(version));
            let horizon = match contract {
                Ok(contract) => contract.dedup_horizon,
                Err(_) => bundle.contracts.open().dedup_horizon,
            };
            let (at, other) = (row.timestamp(3).unwrap_or(0), row.timestamp(9).unwrap_or(0));
            let ordinal = row.must(2);
            let is_known = twice.last().is_some_and(|last| last.ordinal == ordinal);
            if at.abs_diff(other) <= horizon.unsigned_abs() && !is_known {
                twice.push(Twice {
                    event_id: row.must(1),
                    ordinal,
                    at,
                    kind,
                    action: row.get(6),
                    surface: row.get(7),
                    is_by_itself: row.get(8).unwrap_or(false),
                });
            }
        })
    });
    twice
}

/// Takes events that both have from the first user: out of the events that are stored, out of the features, if all
/// events are there to compute them again, and out of what caps have counted.
fn drop_twice(from: Uuid, twice: &[Twice], ordinals: &[i64], moved: &mut UserRow, bundle: &Bundle) {
    if twice.is_empty() {
        return;
    }
    let mut stored = 0;
    let args = [
        datum::uuid(from),
        moved.not_before.and_then(datum::timestamp),
    ];
    STORED.with(|statement| statement.write(&args, |row| stored = row.must::<i64>(1)));
    let ids: Vec<Option<&str>> = twice
        .iter()
        .map(|event| Some(&event.event_id[..]))
        .collect();
    let args = [
        datum::uuid(from),
        datum::array(ordinals),
        datum::texts(&ids),
    ];
    DROP.with(|statement| statement.write(&args, |_| {}));
    if stored == moved.events {
        let mut again = UserRow::default();
        let mut events = Stored::of(from, -1, moved.not_before, Access::Write);
        events.read(i64::MAX, |fact, kind, _| {
            features::fold(fact, kind, &mut again, bundle);
        });
        (moved.features, moved.keyed) = (again.features, again.keyed);
    } else {
        pgrx::notice!(
            "events that both users have count twice in features: {}; not all events of the first are kept",
            twice.len()
        );
    }
    let now = clock::now();
    for event in twice.iter().filter(|event| event.is_by_itself) {
        let action = event.action.as_deref();
        let action = action.and_then(|action| bundle.actions.get(action));
        let Some(number) = action.map(|action| action.number) else {
            continue;
        };
        for cap in bundle.counting(&event.kind) {
            let amount = match event.surface.as_deref() {
                Some(surface) => cap.amount(number, surface),
                None => cap.amounts.get(number),
            };
            let is_kept = event.at >= cap.terms(now).kept_from;
            if let Some(amount) = amount.filter(|_| is_kept) {
                let mut block = ledger::block(&moved.exposures, cap.number.into()).to_vec();
                ledger::give_back(&mut block, amount, cap.whole_window(event.at));
                ledger::put(&mut moved.exposures, cap.number.into(), &block);
            }
        }
    }
}

/// The events of the first user become the second one's, as if they had come after those; not those of before the person
/// was erased, which the job `erasure` has yet to delete.
fn move_events(from: Uuid, not_before: Option<i64>, into: &Party, dropped: &[i64]) {
    let args = [
        datum::uuid(from),
        datum::uuid(into.key),
        datum::int8(into.row.events),
        datum::array(dropped),
        not_before.and_then(datum::timestamp),
    ];
    MOVE.with(|statement| statement.write(&args, |_| {}));
}

fn add_features(moved: &UserRow, row: &mut UserRow, bundle: &Bundle) {
    let own = bundle.features[..bundle.own()].iter();
    for feature in own.filter(|feature| feature.entity.is_user()) {
        let aggregate = &feature.aggregate;
        match &feature.key {
            Some(kept) => {
                let number = feature.cell as u32;
                keyed::merge(&mut row.keyed, &moved.keyed, number, aggregate, kept.limit);
            }
            None => {
                if let Some(cells) = cells_at(&moved.features, feature.cell, aggregate) {
                    let into = cells_at_mut(&mut row.features, feature.cell, aggregate);
                    aggregate.merge(into, cells);
                }
            }
        }
    }
}

/// Counted and reserved units of both, also of caps that are not in force.
fn add_exposures(moved: &UserRow, row: &mut UserRow, bundle: &Bundle) {
    let now = clock::now();
    for (number, more) in ledger::blocks(&moved.exposures) {
        let mut block = ledger::block(&row.exposures, number).to_vec();
        if number < 0 {
            // Variants that are kept: of two the one that was seen first.
            if block.is_empty() || more.first() < block.first() {
                ledger::put(&mut row.exposures, number, more);
            }
            continue;
        }
        let cap = i32::try_from(number)
            .ok()
            .and_then(|number| bundle.cap(number));
        match cap {
            Some(cap) => ledger::join(&mut block, more, &cap.terms(now)),
            None => ledger::join_without_window(&mut block, more),
        }
        ledger::put(&mut row.exposures, number, &block);
    }
}
