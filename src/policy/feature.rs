//! Features as tracking and deciding use them, from their rows in decide.feature.

use serde_json::Value as Document;

use super::entity::Entity;
use super::name::is_name;
use super::tables::FeatureRow;
use super::visibility::{FeatureMask, FeatureVisibility};
use crate::govern::switches::Switches;
use crate::math::aggregate::{Aggregate, Kind, bucket_for};
use crate::math::keyed;

/// A number kept from events.
pub struct Feature {
    pub name: String,
    pub entity: Entity,
    /// The offset of its first cell in the row of its entity; of one kept per key the number of its block.
    pub cell: usize,
    pub aggregate: Aggregate,
    pub event_type: String,
    /// Of a rate: the type of its trials; `event_type` is that of its hits.
    pub trial_event_type: Option<String>,
    pub amount: Amount,
    pub filter: Vec<Condition>,
    pub key: Option<Keyed>,
    pub default_value: f64,
    pub visibility: FeatureVisibility,
}

/// The indexes of the features that decisions see as that.
pub fn visible_as(features: &[Feature], visibility: FeatureVisibility) -> Vec<usize> {
    let is_seen = |i: &usize| features[*i].visibility == visibility;
    (0..features.len()).filter(is_seen).collect()
}

/// The features that the kill switches hide.
pub fn mask_of(features: &[Feature], switches: &Switches) -> FeatureMask {
    FeatureMask::of(
        features.iter().map(|feature| feature.name.as_str()),
        switches,
    )
}

/// What one event adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// One.
    One,
    /// The number at a place.
    Number(Path),
    /// What is at a place, to be told from others.
    Item(Path),
}

/// Kept for each key that is found there, for the heaviest `limit` of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    pub path: Path,
    pub limit: usize,
}

/// A place in an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    Value,
    Action,
    Surface,
    /// `attributes.x`
    Attribute(String),
    /// `action.x`: an attribute of the action that the event is about.
    OfAction(String),
}

/// What must be true of a place for an event to count.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub path: Path,
    pub test: Test,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    OneOf(Vec<Scalar>),
    Between(f64, f64),
}

/// A text or a number; truths are 1 and 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Number(f64),
    Text(String),
}

/// Most keys that one feature keeps of a user.
const MOST_KEYS: i32 = 200;

impl Entity {
    pub fn as_str(self) -> &'static str {
        match self {
            Entity::User => "user",
            Entity::Action => "action",
            Entity::Surface => "surface",
        }
    }

    /// Whose number it is where an action is shown on a surface.
    pub fn choose<'a>(self, action: &'a str, surface: &'a str) -> &'a str {
        match self {
            Entity::Surface => surface,
            Entity::Action | Entity::User => action,
        }
    }
}

impl Path {
    fn parse(text: &str) -> Option<Path> {
        let named = |name: &str| is_name(name).then(|| name.to_owned());
        match text {
            "value" => Some(Path::Value),
            "action" => Some(Path::Action),
            "surface" => Some(Path::Surface),
            _ => match text.split_once('.')? {
                ("attributes", name) => named(name).map(Path::Attribute),
                ("action", name) => named(name).map(Path::OfAction),
                _ => None,
            },
        }
    }
}

impl Feature {
    /// The feature, or what is wrong with its definition.
    pub fn of(row: &FeatureRow) -> Result<Feature, String> {
        if !is_name(&row.event_type) {
            return Err("event_type is not a valid name".into());
        }
        let entity = entity(&row.entity)?;
        let aggregate = aggregate(row)?;
        let key = key(row, entity, &aggregate)?;
        Ok(Feature {
            name: row.feature.clone(),
            entity,
            cell: row.cell,
            amount: amount(row)?,
            event_type: row.event_type.clone(),
            trial_event_type: trials(row)?,
            filter: filter(&row.filter)?,
            visibility: FeatureVisibility::of(entity, key.is_some(), row.offline_only),
            key,
            default_value: row.default_value,
            aggregate,
        })
    }

    /// How many cells it takes in the row of its entity; a feature that is kept per key takes a number only.
    pub fn width(row: &FeatureRow) -> usize {
        match (Feature::of(row), &row.key_path) {
            (Ok(feature), None) => feature.aggregate.cells(),
            _ => 1,
        }
    }

    /// The places in an event that it looks at, and whether it takes nothing but a number there.
    pub fn paths(&self) -> impl Iterator<Item = (&Path, bool)> {
        let amount = match &self.amount {
            Amount::One => None,
            Amount::Number(path) => Some((path, true)),
            Amount::Item(path) => Some((path, false)),
        };
        let key = self.key.as_ref().map(|key| (&key.path, false));
        let filter = self.filter.iter().map(|condition| (&condition.path, false));
        amount.into_iter().chain(key).chain(filter)
    }
}

fn entity(name: &str) -> Result<Entity, String> {
    match name {
        "user" => Ok(Entity::User),
        "action" => Ok(Entity::Action),
        "surface" => Ok(Entity::Surface),
        other => Err(format!(
            "entity \"{other}\" is none of user, action, surface"
        )),
    }
}

fn aggregate(row: &FeatureRow) -> Result<Aggregate, String> {
    let half_life = match row.half_life_us {
        None => f64::INFINITY,
        Some(us) if us >= 1.0 => us,
        Some(_) => return Err("half_life must be positive".into()),
    };
    let ttl = match row.ttl_us {
        None => None,
        Some(us) if us >= 1.0 => Some(us as i64),
        Some(_) => return Err("ttl must be positive".into()),
    };
    let kind = kind(row)?;
    let fades = matches!(
        kind,
        Kind::DecayedCount | Kind::DecayedSum | Kind::DecayedMean | Kind::Rate { .. }
    );
    let name = row.aggregate.as_str();
    if row.half_life_us.is_some() && !fades {
        return Err(format!("{name} takes no half_life"));
    }
    if row.window_us.is_some() && !name.starts_with("window_") {
        return Err(format!("{name} takes no window_length"));
    }
    if row.trial_event_type.is_some() && name != "rate" {
        return Err(format!("{name} takes no trial_event_type"));
    }
    Ok(Aggregate {
        kind,
        half_life,
        ttl,
    })
}

fn kind(row: &FeatureRow) -> Result<Kind, String> {
    let window = || match row.window_us {
        Some(us) if us >= 1e6 => Ok(us as i64),
        Some(_) => Err("window_length must be a second at least".to_owned()),
        None => Err(format!("{} needs a window_length", row.aggregate)),
    };
    Ok(match row.aggregate.as_str() {
        "decayed_count" => Kind::DecayedCount,
        "decayed_sum" => Kind::DecayedSum,
        "decayed_mean" => Kind::DecayedMean,
        "rate" => rate(row)?,
        "window_count" => {
            let window = window()?;
            let bucket = bucket_for(window);
            Kind::WindowCount { window, bucket }
        }
        "window_sum" => {
            let window = window()?;
            let bucket = bucket_for(window);
            Kind::WindowSum { window, bucket }
        }
        "recency" => Kind::Recency,
        "first" => Kind::First,
        "last" => Kind::Last,
        "distinct" => Kind::Distinct,
        other => {
            return Err(format!(
                "aggregate \"{other}\" is none of decayed_count, decayed_sum, decayed_mean, rate, window_count, \
                 window_sum, recency, first, last, distinct"
            ));
        }
    })
}

fn rate(row: &FeatureRow) -> Result<Kind, String> {
    let (weight, rate) = (row.prior_weight, row.prior_rate);
    if !(weight.is_finite() && weight >= 0.0) {
        return Err("prior_weight must be a number of 0 or more".into());
    }
    if weight > 0.0 && rate.is_none() {
        return Err("a prior_weight needs a prior_rate".into());
    }
    let prior_rate = rate.unwrap_or(0.0);
    if rate.is_some() && !(prior_rate.is_finite() && prior_rate > 0.0) {
        return Err("prior_rate must be a number above 0".into());
    }
    Ok(Kind::Rate {
        prior_weight: weight,
        prior_rate,
    })
}

fn trials(row: &FeatureRow) -> Result<Option<String>, String> {
    match (&row.trial_event_type, row.aggregate.as_str()) {
        (None, "rate") => Err("rate needs a trial_event_type".into()),
        (Some(kind), _) if !is_name(kind) => Err("trial_event_type is not a valid name".into()),
        (kind, _) => Ok(kind.clone()),
    }
}

fn amount(row: &FeatureRow) -> Result<Amount, String> {
    let name = row.aggregate.as_str();
    let path = row.value_path.as_deref();
    match name {
        "decayed_count" | "rate" | "window_count" | "recency" => match path {
            None => Ok(Amount::One),
            Some(_) => Err(format!("{name} takes no value_path")),
        },
        "distinct" => {
            let path = path.unwrap_or("action");
            Path::parse(path)
                .map(Amount::Item)
                .ok_or_else(|| no_path("value_path", path))
        }
        _ => {
            let path = path.ok_or_else(|| format!("{name} needs a value_path"))?;
            match Path::parse(path) {
                Some(path @ (Path::Value | Path::Attribute(_) | Path::OfAction(_))) => {
                    Ok(Amount::Number(path))
                }
                _ => Err(format!(
                    "value_path \"{path}\" is none of value, attributes.x, action.x"
                )),
            }
        }
    }
}

fn no_path(column: &str, path: &str) -> String {
    format!("{column} \"{path}\" is none of value, action, surface, attributes.x, action.x")
}

fn key(row: &FeatureRow, entity: Entity, aggregate: &Aggregate) -> Result<Option<Keyed>, String> {
    let Some(path) = row.key_path.as_deref() else {
        return Ok(None);
    };
    if entity != Entity::User {
        return Err("only features of users are kept per key".into());
    }
    if !keyed::allows(aggregate) {
        return Err(format!("{} is not kept per key", row.aggregate));
    }
    if row.default_value != 0.0 {
        return Err("a feature that is kept per key has the default_value 0".into());
    }
    if !(1..=MOST_KEYS).contains(&row.key_limit) {
        return Err(format!("key_limit must be between 1 and {MOST_KEYS}"));
    }
    match Path::parse(path) {
        Some(path) if path != Path::Value => Ok(Some(Keyed {
            path,
            limit: row.key_limit as usize,
        })),
        _ => Err(format!(
            "key_path \"{path}\" is none of action, surface, attributes.x, action.x"
        )),
    }
}

/// `{"surface": "home", "attributes.color": ["red", "blue"], "value": {"min": 10}}`
fn filter(text: &serde_json::value::RawValue) -> Result<Vec<Condition>, String> {
    let conditions: serde_json::Map<String, Document> =
        serde_json::from_str(text.get()).map_err(|_| "filter is not an object".to_owned())?;
    conditions
        .iter()
        .map(|(path, test)| {
            let place = Path::parse(path).ok_or_else(|| no_path("filter:", path))?;
            let test = condition(test).ok_or_else(|| {
                format!("filter: \"{path}\" is neither a value, nor a list of them, nor {{\"min\", \"max\"}}")
            })?;
            Ok(Condition { path: place, test })
        })
        .collect()
}

fn condition(test: &Document) -> Option<Test> {
    match test {
        Document::Array(values) => {
            let values: Option<Vec<Scalar>> = values.iter().map(scalar).collect();
            values.map(Test::OneOf)
        }
        Document::Object(range) => {
            let end = |name: &str, open: f64| match range.get(name) {
                None => Some(open),
                Some(value) => value.as_f64(),
            };
            let known = range.keys().all(|name| name == "min" || name == "max");
            let (low, high) = (end("min", f64::NEG_INFINITY)?, end("max", f64::INFINITY)?);
            (known && !range.is_empty()).then_some(Test::Between(low, high))
        }
        value => Some(Test::OneOf(vec![scalar(value)?])),
    }
}

fn scalar(value: &Document) -> Option<Scalar> {
    match value {
        Document::Number(number) => number.as_f64().map(Scalar::Number),
        Document::Bool(truth) => Some(Scalar::Number(f64::from(u8::from(*truth)))),
        Document::String(text) => Some(Scalar::Text(text.clone())),
        Document::Null | Document::Array(_) | Document::Object(_) => None,
    }
}
