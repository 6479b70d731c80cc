//! Staged features: from the commit that stages one, every session writes it beside the features of the
//! bundle in force, so that its past can be backfilled before a later bundle has it.

use pgrx::pg_sys::{self, BOOLOID, INT4OID, INT8OID, TEXTOID, UUIDARRAYOID, UUIDOID};
use uuid::Uuid;

use super::bundle::Bundle;
use super::feature::Feature;
use super::feature_cells::assign_cells;
use super::identity;
use super::publication::take_turn;
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

/// The state of a feature on its way into a bundle.
pub enum Staging {
    /// Staged by this transaction: other sessions write it once this one has committed.
    Begun,
    /// All sessions write it, and its past is being backfilled; with its cell.
    Going(i32),
    /// Its past is backfilled; with whether the bundle in force has it.
    Done(bool),
}

/// Stages a feature unless it is staged or done, and answers its state.
pub fn stage(name: &str) -> Result<Staging, Error> {
    if let Some(stage) = find(name)?.stage()? {
        return Ok(stage);
    }
    take_turn()?;
    identity::settle(Some("feature"), &current_name())?;
    if let Some(stage) = find(name)?.stage()? {
        return Ok(stage);
    }
    assign_cells(Some(name))?;
    let found = find(name)?;
    if let Some(stage) = found.stage()? {
        return Ok(stage);
    }
    let cell = found.cell.expect("a cell that was assigned just now");
    check(name, cell)?;
    // Transactions that write a user's row with an older bundle end first, and others wait until this one
    // has committed: the backfill would overlook the row of a user that is made meanwhile.
    let writers = Awaited {
        what: "transactions that have tracked or decided".into(),
        by: "They have written rows of users and not ended.",
    };
    waiting_a_second_for(writers, || {
        WRITERS.with(|statement| statement.write(&[], |_| {}))
    });
    STAGE.with(|statement| {
        statement.write(&[datum::int4(cell)], |row| {
            invalidation::announce(row.must::<pg_sys::Oid>(1))
        })
    });
    Ok(Staging::Begun)
}

/// What decide.feature_slot says of a feature.
struct FeatureSlot {
    cell: Option<i32>,
    is_seen_by_all: bool,
    is_staged: bool,
    is_filled: bool,
}

fn find(name: &str) -> Result<FeatureSlot, Error> {
    let mut found = None;
    FIND.with(|statement| {
        statement.write(&[datum::text(name)], |row| {
            found = Some(FeatureSlot {
                cell: row.get(1),
                is_seen_by_all: row.get(2).unwrap_or(false),
                is_staged: row.must(3),
                is_filled: row.must(4),
            })
        })
    });
    found.ok_or_else(|| Error::UnknownFeature(printable(name)))
}

impl FeatureSlot {
    /// None if the feature must be staged: it has no cell, or events have not moved it all the time.
    fn stage(&self) -> Result<Option<Staging>, Error> {
        let Some(cell) = self.cell else {
            return Ok(None);
        };
        Ok(match (self.is_staged, self.is_filled) {
            (true, false) if self.is_seen_by_all => Some(Staging::Going(cell)),
            (true, false) => Some(Staging::Begun),
            (is_staged, true) => Some(Staging::Done(!is_staged)),
            (false, false) => None,
        })
    }
}

fn check(name: &str, cell: i32) -> Result<(), Error> {
    let reason = match rows(Some(cell))?.first().map(Feature::of) {
        Some(Ok(feature)) if !feature.entity.is_user() => {
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

/// The definition of a cell, or all that are staged, as far as events move them.
fn rows(cell: Option<i32>) -> Result<Vec<FeatureRow>, Error> {
    let mut texts: Vec<String> = Vec::new();
    STAGED.with(|statement| {
        let cell = [cell.and_then(datum::int4)];
        match cell[0] {
            // assigned by this transaction
            Some(_) => statement.write(&cell, |row| texts.push(row.must(1))),
            None => statement.read(&cell, |row| texts.push(row.must(1))),
        };
    });
    let rows = texts.iter().map(|text| serde_json::from_str(text));
    rows.collect::<Result<_, _>>()
        .map_err(|e| Error::Damaged(e.to_string()))
}

/// Adds the staged features to a bundle, behind its own.
pub fn add_staged(bundle: &mut Bundle) -> Result<(), Error> {
    for row in rows(None)? {
        if bundle.features.iter().any(|f| f.cell == row.cell) {
            continue;
        }
        if let Ok(feature) = Feature::of(&row) {
            bundle.add_staged(feature);
        }
    }
    Ok(())
}

/// The cell of a feature whose past has to be backfilled, if there is one.
pub fn next_to_fill() -> Option<i32> {
    let mut cell = None;
    NEXT.with(|statement| statement.write(&[], |row| cell = row.get(1)));
    cell
}

/// How far a feature is backfilled.
pub struct Filled {
    /// The last user whose row was looked for, in the order of keys.
    pub user: Uuid,
    /// Users up to that one whose rows other transactions had locked.
    pub left: Vec<Uuid>,
}

/// Locks a feature for its backfill, until the transaction ends, and answers how far that is.
pub fn take_to_fill(cell: i32) -> Option<Filled> {
    let mut filled = None;
    TAKE.with(|statement| {
        statement.write(&[datum::int4(cell)], |row| {
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

/// Notes how far a feature is backfilled, and whether that is all. A feature that the bundle in force has need not
/// be staged any longer.
pub fn filled_to(cell: i32, filled: &Filled, all: bool, in_force: bool) {
    ADVANCE.with(|statement| {
        let args = [
            datum::int4(cell),
            datum::uuid(filled.user),
            datum::bool(all),
            datum::bool(in_force),
            datum::uuids(&filled.left),
        ];
        statement.write(&args, |_| {})
    });
}

/// A bundle comes into force: its features need not be staged, and a feature that no session writes from now on
/// has to be backfilled again.
pub fn settle_staged(bundle: i64) {
    SETTLE.with(|statement| statement.write(&[datum::int8(bundle)], |_| {}));
}
