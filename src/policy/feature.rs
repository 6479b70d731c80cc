//! Features as tracking and deciding use them, from their rows in decide.feature.

use serde::{Deserialize, Serialize};
use serde_json::Value as Document;

use super::aggregate::{AggregateRule, Takes, aggregate};
use super::name::is_name;
use super::tables::FeatureRow;
use crate::math::aggregate::Aggregate;
use crate::math::keyed;

/// A number kept from events.
#[derive(Clone, Serialize, Deserialize)]
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
    /// Kept for training and analysis only; [`Feature::visibility`] says what follows.
    pub offline_only: bool,
    /// Purposes that a person must consent to for decisions to see it, as bits.
    pub needs: u64,
}

/// Whose number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Entity {
    User,
    Action,
    Surface,
}

/// What one event adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// One.
    One,
    /// The number at a path.
    Number(Path),
    /// What is at a path, to be told from others.
    Item(Path),
}

/// Kept for each key that is found at a path, for the heaviest `limit` of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    pub path: Path,
    pub limit: usize,
}

/// Where in an event to look.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Path {
    Value,
    Action,
    Surface,
    /// `attributes.x`
    Attribute(String),
    /// `action.x`: an attribute of the action that the event is about.
    OfAction(String),
}

/// What must be true of the value at a path for an event to count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    pub path: Path,
    pub test: Test,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Test {
    OneOf(Vec<Scalar>),
    Between(f64, f64),
}

/// A text or a number; booleans are 1 and 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    Number(f64),
    Text(String),
}

/// Most keys that one feature keeps of a user.
const MOST_KEYS: i32 = 200;

impl Entity {
    pub const ALL: [Entity; 3] = [Entity::User, Entity::Action, Entity::Surface];

    pub fn named(name: &str) -> Option<Entity> {
        let mut all = Entity::ALL.into_iter();
        all.find(|entity| entity.as_str() == name)
    }

    /// Whether its features are in the row of a user; the others are in those of actions and surfaces.
    pub fn is_user(self) -> bool {
        match self {
            Entity::User => true,
            Entity::Action | Entity::Surface => false,
        }
    }

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
        let entity = Entity::named(&row.entity).ok_or_else(|| {
            let names = Entity::ALL.map(Entity::as_str).join(", ");
            format!("entity \"{}\" is none of {names}", row.entity)
        })?;
        let aggregate = aggregate(row)?;
        let rule = AggregateRule::of(row)?;
        let key = key(row, entity, &aggregate)?;
        Ok(Feature {
            name: row.feature.clone(),
            entity,
            cell: row.cell,
            amount: amount(row, rule)?,
            event_type: row.event_type.clone(),
            trial_event_type: trials(row, rule)?,
            filter: filter(&row.filter)?,
            offline_only: row.offline_only,
            needs: 0,
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

    /// The paths in an event that it reads, and whether it takes nothing but a number there.
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

fn trials(row: &FeatureRow, rule: &AggregateRule) -> Result<Option<String>, String> {
    match &row.trial_event_type {
        None if rule.has_trials => Err(format!("{} needs a trial_event_type", rule.name)),
        Some(kind) if !is_name(kind) => Err("trial_event_type is not a valid name".into()),
        kind => Ok(kind.clone()),
    }
}

fn amount(row: &FeatureRow, rule: &AggregateRule) -> Result<Amount, String> {
    let (name, path) = (rule.name, row.value_path.as_deref());
    match rule.takes {
        Takes::Nothing => match path {
            None => Ok(Amount::One),
            Some(_) => Err(format!("{name} takes no value_path")),
        },
        Takes::Item => {
            let path = path.unwrap_or("action");
            let parsed = Path::parse(path).map(Amount::Item);
            parsed.ok_or_else(|| no_path("value_path", path))
        }
        Takes::Number => {
            let path = path.ok_or_else(|| format!("{name} needs a value_path"))?;
            match Path::parse(path) {
                Some(path @ (Path::Value | Path::Attribute(_) | Path::OfAction(_))) => {
                    Ok(Amount::Number(path))
                }
                Some(Path::Action | Path::Surface) | None => Err(format!(
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
    if !entity.is_user() {
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
            let parsed = Path::parse(path).ok_or_else(|| no_path("filter:", path))?;
            let test = condition(test).ok_or_else(|| {
                format!("filter: \"{path}\" is neither a value, nor a list of them, nor {{\"min\", \"max\"}}")
            })?;
            Ok(Condition { path: parsed, test })
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
        Document::Bool(flag) => Some(Scalar::Number(f64::from(u8::from(*flag)))),
        Document::String(text) => Some(Scalar::Text(text.clone())),
        Document::Null | Document::Array(_) | Document::Object(_) => None,
    }
}
