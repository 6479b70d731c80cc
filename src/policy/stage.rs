//! Features on their way in: from the commit that stages one, every session writes it beside what the
//! bundle in force keeps, so that its past can be computed and a later bundle find it whole.

use pgrx::pg_sys::{self, BOOLOID, INT4OID, INT8OID, TEXTOID, UUIDARRAYOID, UUIDOID};
use uuid::Uuid;

use super::bundle::Bundle;
use super::compile::note_moves;
use super::feature::{Entity, Feature};
use super::identity;
use super::publish::{place_features, take_turn};
use super::tables::FeatureRow;
use crate::error::{Error, Fault, printable};
use crate::govern::waiting::{Awaited, waiting_a_second_for};
use crate::pg::identity::current_name;
use crate::pg::{Statement, datum, invalidation};

thread_local! {
    static STAGED: Statement = const { Statement::new(include_str!("staged.sql"), &[INT4OID]) };
    static FIND: Statement = const { Statement::new(
        "SELECT l.slot, l.staged_at < pg_catalog.now(), l.staged_at IS NOT NULL, l.backfilled_at IS NOT NULL \
           FROM decide.feature AS f \
           JOIN decide.named AS n ON n.kind = 'feature' AND n.id = f.id \
           LEFT JOIN decide.feature_slot AS l ON l.number = n.number AND l.definition = decide.feature_definition(f) \
          WHERE f.feature = $1", &[TEXTOID]) };
    static WRITERS: Statement = const { Statement::new(
        "LOCK TABLE decide.user_state IN SHARE MODE", &[]) };
    static STAGE: Statement = const { Statement::new(
        "UPDATE decide.feature_slot AS l \
            SET staged_at = pg_catalog.now(), backfilled_at = NULL, backfilled_to = NULL, backfill_left = '{}' WHERE l.slot = $1 \
         RETURNING 'decide.publication'::pg_catalog.regclass::pg_catalog.oid", &[INT4OID]) };
    static NEXT: Statement = const { Statement::new(
        "SELECT l.slot FROM decide.feature_slot AS l \
          WHERE l.staged_at < pg_catalog.now() AND l.backfilled_at IS NULL ORDER BY l.slot LIMIT 1", &[]) };
    static TAKE: Statement = const { Statement::new(
        "SELECT COALESCE(l.backfilled_to, '00000000-0000-0000-0000-000000000000'), l.backfill_left FROM decide.feature_slot AS l \
          WHERE l.slot = $1 AND l.staged_at < pg_catalog.now() AND l.backfilled_at IS NULL FOR NO KEY UPDATE",
        &[INT4OID]) };
    static ADVANCE: Statement = const { Statement::new(
        "UPDATE decide.feature_slot AS l SET backfilled_to = $2, backfill_left = $5, \
                backfilled_at = CASE WHEN $3 THEN pg_catalog.now() END, \
                staged_at = CASE WHEN NOT ($3 AND $4) THEN l.staged_at END WHERE l.slot = $1",
        &[INT4OID, UUIDOID, BOOLOID, BOOLOID, UUIDARRAYOID]) };
    static SETTLE: Statement = const { Statement::new(include_str!("settle.sql"), &[INT8OID]) };
}

/// How far a feature is.
pub enum Stage {
    /// Staged by this transaction: others write it once it has committed.
    Begun,
    /// Everybody writes it, and its past is being computed.
    Going(i32),
    /// All is there; whether the bundle in force has it.
    Done(bool),
}

/// Stages a feature that is not, and says how far it is. Needs an open session.
pub fn stage(name: &str) -> Result<Stage, Error> {
    if let Some(stage) = find(name)?.stage()? {
        return Ok(stage);
    }
    take_turn()?;
    identity::settle(Some("feature"), &current_name())?;
    if let Some(stage) = find(name)?.stage()? {
        return Ok(stage);
    }
    place_features(Some(name))?;
    let found = find(name)?;
    if let Some(stage) = found.stage()? {
        return Ok(stage);
    }
    let slot = found.slot.expect("a place that was given just now");
    check(name, slot)?;
    // Whoever is writing a user's row with an older bundle ends first, and nobody begins before this
    // has committed: a user that is made meanwhile would be overlooked.
    let writers = Awaited {
        what: "transactions that have tracked or decided".into(),
        by: "They have written rows of users and not ended.",
    };
    waiting_a_second_for(writers, || {
        WRITERS.with(|statement| statement.write(&[], |_| {}))
    });
    STAGE.with(|statement| {
        statement.write(&[datum::int4(slot)], |row| {
            invalidation::announce(row.must::<pg_sys::Oid>(1))
        })
    });
    Ok(Stage::Begun)
}

/// What is known of a feature's place.
struct Found {
    slot: Option<i32>,
    is_seen_by_all: bool,
    is_staged: bool,
    is_filled: bool,
}

fn find(name: &str) -> Result<Found, Error> {
    let mut found = None;
    FIND.with(|statement| {
        statement.write(&[datum::text(name)], |row| {
            found = Some(Found {
                slot: row.get(1),
                is_seen_by_all: row.get(2).unwrap_or(false),
                is_staged: row.must(3),
                is_filled: row.must(4),
            })
        })
    });
    found.ok_or_else(|| Error::UnknownFeature(printable(name)))
}

impl Found {
    /// None if it must be staged: it has no place, or was not written all the time.
    fn stage(&self) -> Result<Option<Stage>, Error> {
        let Some(slot) = self.slot else {
            return Ok(None);
        };
        Ok(match (self.is_staged, self.is_filled) {
            (true, false) if self.is_seen_by_all => Some(Stage::Going(slot)),
            (true, false) => Some(Stage::Begun),
            (is_staged, true) => Some(Stage::Done(!is_staged)),
            (false, false) => None,
        })
    }
}

fn check(name: &str, slot: i32) -> Result<(), Error> {
    let reason = match rows(Some(slot))?.first().map(Feature::of) {
        Some(Ok(feature)) if feature.entity != Entity::User => {
            "only features of users are computed from events that are kept".into()
        }
        Some(Err(reason)) => reason,
        _ => return Ok(()),
    };
    Err(Error::Faults(vec![Fault {
        table: "decide.feature",
        row: name.to_owned(),
        reason,
    }]))
}

/// The definition in a place, or all that are staged, as far as writing goes.
fn rows(slot: Option<i32>) -> Result<Vec<FeatureRow>, Error> {
    let mut texts: Vec<String> = Vec::new();
    STAGED.with(|statement| {
        let slot = [slot.and_then(datum::int4)];
        match slot[0] {
            // given by this transaction
            Some(_) => statement.write(&slot, |row| texts.push(row.must(1))),
            None => statement.read(&slot, |row| texts.push(row.must(1))),
        };
    });
    let rows = texts.iter().map(|text| serde_json::from_str(text));
    rows.collect::<Result<_, _>>()
        .map_err(|e| Error::Damaged(e.to_string()))
}

/// Adds what is staged to a bundle: behind its own features, in nobody's sight. Needs an open session.
pub fn add_staged(bundle: &mut Bundle) -> Result<(), Error> {
    for row in rows(None)? {
        let place = bundle.features.len();
        if bundle.features.iter().any(|f| f.slot == row.slot) {
            continue;
        }
        if let Ok(feature) = Feature::of(&row) {
            note_moves(&mut bundle.moved_by, place, &feature);
            bundle.features.push(feature);
        }
    }
    Ok(())
}

/// A place whose past has to be computed, if there is one. Needs an open session.
pub fn next_to_fill() -> Option<i32> {
    let mut slot = None;
    NEXT.with(|statement| statement.write(&[], |row| slot = row.get(1)));
    slot
}

/// How far a place is filled.
pub struct Filled {
    /// Up to this user,
    pub user: Uuid,
    /// but for these, whose rows other transactions had.
    pub left: Vec<Uuid>,
}

/// Takes a place to fill it, until the transaction ends: how far it is filled. Needs an open session.
pub fn take_to_fill(slot: i32) -> Option<Filled> {
    let mut filled = None;
    TAKE.with(|statement| {
        statement.write(&[datum::int4(slot)], |row| {
            let left = row.get::<Vec<pgrx::Uuid>>(2).unwrap_or_default();
            filled = row.uuid(1).map(|user| Filled {
                user,
                left: left
                    .iter()
                    .map(|key| Uuid::from_bytes(*key.as_bytes()))
                    .collect(),
            });
        })
    });
    filled
}

/// Notes how far a place is filled, and whether that is all. What the bundle in force has need not
/// be staged any longer. Needs an open session.
pub fn filled_to(slot: i32, filled: &Filled, all: bool, in_force: bool) {
    ADVANCE.with(|statement| {
        let args = [
            datum::int4(slot),
            datum::uuid(filled.user),
            datum::bool(all),
            datum::bool(in_force),
            datum::uuids(&filled.left),
        ];
        statement.write(&args, |_| {})
    });
}

/// A bundle comes into force: what it has need not be staged, and what nobody writes from now on is
/// no longer whole. Needs an open session.
pub fn settle(bundle: i64) {
    SETTLE.with(|statement| statement.write(&[datum::int8(bundle)], |_| {}));
}
