//! Features of actions and of surfaces as decisions see them: a snapshot of them all, written now and
//! then by the job `action_features`, and the same for every decision until the next.

use std::collections::HashMap;

use pgrx::pg_sys::TIMESTAMPTZOID;

use super::feature::Entity;
use super::feature::Feature;
use super::visibility::{FeatureMask, FeatureVisibility};
use crate::error::Error;
use crate::math::model::{Source, Value};
use crate::pg::{Statement, clock, datum};
use crate::settings;

thread_local! {
    static NEWEST: Statement = const { Statement::new(
        "SELECT s.taken_at FROM decide.entity_snapshot AS s ORDER BY s.taken_at DESC LIMIT 1", &[]) };
    static READ: Statement = const { Statement::new(
        "SELECT s.content::text, s.slots::text FROM decide.entity_snapshot AS s WHERE s.taken_at = $1",
        &[TIMESTAMPTZOID]) };
    static DEFINITIONS: Statement = const { Statement::new(
        "SELECT (l.definition || pg_catalog.jsonb_build_object('feature', l.feature, 'slot', l.slot, 'key_limit', 1, \
                  'prior_weight', 0, 'offline_only', false, 'default_value', 0))::text \
           FROM decide.feature_slot AS l WHERE l.definition ->> 'entity' IN ('action', 'surface')", &[]) };
}

/// The values of a moment.
pub struct EntitySnapshot {
    /// By the feature's cell, and the name of the action or surface. Another definition of a feature has
    /// another cell, so that its values are not taken for those of this one.
    values: HashMap<usize, HashMap<String, f64>>,
}

impl EntitySnapshot {
    /// The one that was taken then, if it is there still.
    pub fn read(taken_at: i64) -> Result<Option<EntitySnapshot>, Error> {
        let mut texts: Option<(String, String)> = None;
        READ.with(|statement| {
            let read = |row: crate::pg::Row<'_>| texts = Some((row.must(1), row.must(2)));
            statement.read(&[datum::timestamp(taken_at)], read)
        });
        let Some((content, cells)) = texts else {
            return Ok(None);
        };
        EntitySnapshot::parse(&content, &cells).map(Some)
    }

    /// From the values and the cells of features, as a row has them.
    pub fn parse(content: &str, cells: &str) -> Result<EntitySnapshot, Error> {
        let damaged = |error: serde_json::Error| Error::Damaged(error.to_string());
        type Values = HashMap<String, f64>;
        let content: HashMap<String, HashMap<String, Values>> =
            serde_json::from_str(content).map_err(damaged)?;
        let cells: HashMap<String, usize> = serde_json::from_str(cells).map_err(damaged)?;
        let features = content.into_values().flatten();
        let values = features
            .filter_map(|(feature, values)| Some((*cells.get(&feature)?, values)))
            .collect();
        Ok(EntitySnapshot { values })
    }

    /// What it says of an action or a surface.
    fn value(&self, feature: &Feature, name: &str) -> Option<f64> {
        self.values.get(&feature.cell)?.get(name).copied()
    }
}

/// When the newest snapshot was taken.
pub fn newest() -> Option<i64> {
    let mut taken_at = None;
    NEWEST.with(|statement| statement.read(&[], |row| taken_at = row.timestamp(1)));
    taken_at
}

/// Whether a snapshot of then is not too old for decisions.
pub fn is_fresh(taken_at: i64) -> bool {
    settings::snapshot_max_age().is_none_or(|most| clock::now() - taken_at <= most)
}

/// Where the values of a bundle's features of actions and surfaces come from.
#[derive(Clone, Copy)]
pub struct EntityValues<'a> {
    pub features: &'a [Feature],
    pub snapshot: Option<&'a EntitySnapshot>,
    pub mask: &'a FeatureMask,
}

impl EntityValues<'_> {
    /// The value of a feature where an action is shown on a surface, or its default where the snapshot has none or the
    /// feature is hidden.
    pub fn of(&self, feature: usize, action: &str, surface: &str) -> f64 {
        let snapshot = self.snapshot.filter(|_| !self.mask.hides(feature));
        let feature = &self.features[feature];
        let name = feature.entity.choose(action, surface);
        let known = snapshot.and_then(|snapshot| snapshot.value(feature, name));
        known.unwrap_or(feature.default_value)
    }
}

/// Which feature of an action or a surface a model means.
pub fn named<'a>(source: &Source, features: &'a [Feature]) -> Option<(usize, &'a Feature)> {
    let (entity, name) = match source {
        Source::Attribute(name) => (Entity::Action, name),
        Source::Surface(name) => (Entity::Surface, name),
        _ => return None,
    };
    let mut features = features.iter().enumerate();
    features.find(|(_, feature)| {
        feature.visibility() == FeatureVisibility::Entity
            && feature.entity == entity
            && feature.name == *name
    })
}

/// What a model sees of it.
pub fn fact(
    source: &Source,
    values: EntityValues<'_>,
    action: &str,
    surface: &str,
) -> Value<'static> {
    named(source, values.features).map_or(Value::Missing, |(feature, _)| {
        Value::Number(values.of(feature, action, surface))
    })
}

/// All features that rows of actions and surfaces may have cells of, in force or not, by now. Needs an open
/// session.
pub fn ever_kept() -> Vec<Feature> {
    let mut features = Vec::new();
    DEFINITIONS.with(|statement| {
        statement.write(&[], |row| {
            let row = serde_json::from_str(row.must::<&str>(1)).ok();
            features.extend(row.and_then(|row| Feature::of(&row).ok()));
        })
    });
    features
}
