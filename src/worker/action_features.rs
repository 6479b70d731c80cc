//! Features of actions and of surfaces: what each session has added is merged, and now and then a snapshot of all
//! values is written, which decisions use until the next.

use std::collections::{BTreeMap, HashMap};

use pgrx::pg_sys::{FLOAT8ARRAYOID, INT4ARRAYOID, INT8OID, Oid, TEXTOID, TIMESTAMPTZOID};
use serde_json::json;

use super::job::{Run, Step};
use crate::error::Error;
use crate::math::aggregate::{cells_at, cells_at_mut};
use crate::pg::{Statement, array, clock, datum, invalidation};
use crate::policy::{self, Bundle, Entity, EntitySnapshot, Feature};
use crate::settings;

thread_local! {
    static STRIPES: Statement = const { Statement::new(
        "SELECT s.entity, s.name, s.stripe, s.features FROM decide.entity_state AS s \
          WHERE s.stripe <> 0 LIMIT $1 FOR UPDATE SKIP LOCKED", &[INT8OID]) };
    static MERGED: Statement = const { Statement::new(
        "SELECT s.features FROM decide.entity_state AS s \
          WHERE s.entity = $1 AND s.name = $2 AND s.stripe = 0", &[TEXTOID, TEXTOID]) };
    static MERGE: Statement = const { Statement::new(
        "INSERT INTO decide.entity_state (entity, name, stripe, features) VALUES ($1, $2, 0, $3) \
         ON CONFLICT (entity, name, stripe) DO UPDATE \
            SET features = excluded.features, updated_at = pg_catalog.now()",
        &[TEXTOID, TEXTOID, FLOAT8ARRAYOID]) };
    static REMOVE: Statement = const { Statement::new(
        "DELETE FROM decide.entity_state AS s \
          WHERE s.entity = $1 AND s.name = $2 AND s.stripe = ANY ($3)", &[TEXTOID, TEXTOID, INT4ARRAYOID]) };
    static ALL: Statement = const { Statement::new(
        "SELECT s.entity, s.name, s.features FROM decide.entity_state AS s", &[]) };
    static NEWEST: Statement = const { Statement::new(
        "SELECT s.taken_at, s.content = $1::jsonb AND s.slots = $2::jsonb \
           FROM decide.entity_snapshot AS s ORDER BY s.taken_at DESC LIMIT 1", &[TEXTOID, TEXTOID]) };
    static WRITE: Statement = const { Statement::new(
        "INSERT INTO decide.entity_snapshot (taken_at, bundle, content, slots) VALUES ($1, $2, $3::jsonb, $4::jsonb) \
         RETURNING 'decide.entity_snapshot'::pg_catalog.regclass::pg_catalog.oid",
        &[TIMESTAMPTZOID, INT8OID, TEXTOID, TEXTOID]) };
    static EXPIRE: Statement = const { Statement::new(
        "DELETE FROM decide.entity_snapshot AS s WHERE s.taken_at < ( \
           SELECT pg_catalog.max(o.taken_at) FROM decide.entity_snapshot AS o WHERE o.taken_at < $1)",
        &[TIMESTAMPTZOID]) };
}

/// Rows of one transaction: few, so that a session that waits for its own row does not wait for long.
const BATCH: usize = 1_000;

/// Merges as many rows as one transaction should, or, when there are no more, writes the snapshot.
pub fn step() -> Result<Step, Error> {
    if merge_sessions() == BATCH {
        return Ok(Step::with_more(0));
    }
    let rows = match policy::live() {
        Err(Error::NothingPublished) => 0,
        bundle => write_snapshot(&*bundle?)?,
    };
    expire();
    Ok(Step::last(rows))
}

pub fn report(run: &Run) -> String {
    format!(
        "{} values of actions and surfaces in a new snapshot",
        run.rows
    )
}

/// The rows of sessions for one action or surface.
#[derive(Default)]
struct SessionRows {
    stripes: Vec<i32>,
    cells: Vec<Vec<f64>>,
}

/// Merges rows that no session has locked into one per action or surface; answers how many.
fn merge_sessions() -> usize {
    let mut rows = 0;
    let mut found: BTreeMap<(String, String), SessionRows> = BTreeMap::new();
    STRIPES.with(|statement| {
        statement.write(&[datum::int8(BATCH as i64)], |row| {
            let of_sessions = found.entry((row.must(1), row.must(2))).or_default();
            of_sessions.stripes.push(row.must(3));
            of_sessions.cells.push(cells_of(row.datum(4)));
            rows += 1;
        })
    });
    // Read after the rows: no session has written a feature into them that came later.
    let features = match rows {
        0 => Vec::new(),
        _ => policy::ever_kept(),
    };
    for ((entity, name), mut of_sessions) in found {
        let (entity, name) = (datum::text(&entity), datum::text(&name));
        MERGED.with(|statement| {
            statement.write(&[entity, name], |row| {
                of_sessions.cells.push(cells_of(row.datum(1)))
            })
        });
        let mut cells = Vec::new();
        for row in of_sessions.cells {
            merge(&features, &mut cells, &row);
        }
        MERGE.with(|statement| statement.write(&[entity, name, datum::array(&cells)], |_| {}));
        REMOVE.with(|statement| {
            statement.write(&[entity, name, datum::array(&of_sessions.stripes)], |_| {})
        });
    }
    rows
}

fn cells_of(kept: datum::Arg) -> Vec<f64> {
    let mut cells = Vec::new();
    kept.map(|kept| array::read_into(kept, &mut cells));
    cells
}

/// Adds what one row has of each feature to another.
fn merge<'a>(features: impl IntoIterator<Item = &'a Feature>, into: &mut Vec<f64>, row: &[f64]) {
    for feature in features {
        let aggregate = &feature.aggregate;
        if let Some(cells) = cells_at(row, feature.cell, aggregate)
            && !aggregate.is_empty(cells)
        {
            aggregate.merge(cells_at_mut(into, feature.cell, aggregate), cells);
        }
    }
}

/// Writes the values of now, unless they are those of the newest snapshot and that will not grow too
/// old for decisions; answers how many there are in it.
fn write_snapshot(bundle: &Bundle) -> Result<i64, Error> {
    if bundle.entities.is_empty() {
        return Ok(0);
    }
    let now = clock::now();
    let (content, count) = values(bundle, &all(bundle), now);
    let slots = bundle.entities.iter().map(|&i| &bundle.features[i]);
    let slots: BTreeMap<&str, usize> = slots.map(|f| (f.name.as_str(), f.cell)).collect();
    let texts = [content, json!(slots)].map(|json| json.to_string());
    let [content, slots] = [&texts[0], &texts[1]].map(|text| datum::text(text));
    let mut newest = None;
    NEWEST.with(|statement| {
        statement.write(&[content, slots], |row| {
            newest = row.timestamp(1).zip(row.get::<bool>(2));
        })
    });
    let still_young = |at| settings::snapshot_max_age().is_none_or(|most| now - at < most / 2);
    if newest.is_some_and(|(at, same)| same && still_young(at)) {
        return Ok(0);
    }
    // Also where the clock was set back the newest is the last.
    let taken_at = newest.map_or(now, |(at, _)| now.max(at + 1));
    let row = [
        datum::timestamp(taken_at),
        datum::int8(bundle.number),
        content,
        slots,
    ];
    WRITE.with(|statement| statement.write(&row, |row| invalidation::announce(row.must::<Oid>(1))));
    let [content, slots] = &texts;
    let snapshot = EntitySnapshot::parse(content, slots)?;
    policy::prepare_models(bundle, taken_at, &snapshot)?;
    Ok(count)
}

type Rows = HashMap<(Entity, String), Vec<f64>>;

/// The cells of every action and surface of the bundle, of all sessions.
fn all(bundle: &Bundle) -> Rows {
    let mut rows = Rows::new();
    ALL.with(|statement| {
        statement.write(&[], |row| {
            let (entity, name): (&str, &str) = (row.must(1), row.must(2));
            if let Some(entity) = Entity::named(entity)
                && let Some(name) = bundle.name_of(entity, name)
            {
                let cells = rows.entry((entity, name.to_owned())).or_default();
                let features = bundle.entities.iter().map(|&i| &bundle.features[i]);
                merge(features, cells, &cells_of(row.datum(3)));
            }
        })
    });
    rows
}

/// What the features say as of now: `{"action": {"ctr": {"sneaker": 0.12}}, "surface": {}}`, and how
/// many values that are.
fn values(bundle: &Bundle, rows: &Rows, now: i64) -> (serde_json::Value, i64) {
    let mut count = 0;
    let mut of_kind = |kind: Entity| {
        let features = bundle.entities.iter().map(|&i| &bundle.features[i]);
        let mut content = BTreeMap::new();
        for feature in features.filter(|feature| feature.entity == kind) {
            let aggregate = &feature.aggregate;
            let known = rows.iter().filter(|((entity, _), _)| *entity == kind);
            let values: BTreeMap<&str, f64> = known
                .filter_map(|((_, name), cells)| {
                    let cells = cells_at(cells, feature.cell, aggregate)?;
                    Some((name.as_str(), aggregate.read(cells, now)?))
                })
                .collect();
            count += values.len() as i64;
            content.insert(feature.name.as_str(), values);
        }
        json!(content)
    };
    let content = json!({"action": of_kind(Entity::Action), "surface": of_kind(Entity::Surface)});
    (content, count)
}

/// Removes the snapshots that no trace was made with any more. Traces go by whole days, and a day late at most.
fn expire() {
    if let Some(days) = settings::trace_retention() {
        let before = clock::now() - (days + 2) * clock::DAY;
        EXPIRE.with(|statement| statement.write(&[datum::timestamp(before)], |_| {}));
    }
}
