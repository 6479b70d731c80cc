//! Actions as decisions and models see them.

use std::collections::HashMap;

use super::context::value_text;
use super::feature::Path;
use super::tables::ActionRow;
use crate::math::keyed;
use crate::math::model::{Source, Value};

#[derive(Clone)]
pub struct Action {
    pub number: i32,
    pub name: String,
    /// From the campaign, in microseconds since 2000: shown from and until.
    pub starts: i64,
    pub ends: i64,
    /// Taken out by a kill switch, of its own or of its campaign.
    pub killed: bool,
    /// Which of the surface's rules must hold.
    pub rule: Option<usize>,
    pub attributes: HashMap<String, Attribute>,
}

/// An attribute that a model can use: a number or a text. A boolean is 1 or 0.
#[derive(Clone)]
pub enum Attribute {
    Number(f64),
    Text(String),
}

impl Attribute {
    pub fn value(&self) -> Value<'_> {
        match self {
            Attribute::Number(number) => Value::Number(*number),
            Attribute::Text(text) => Value::Text(text),
        }
    }
}

/// The key under which a feature is kept for an action.
pub fn key_of_action(path: &Path, action: &Action, surface: &str) -> Option<u64> {
    match path {
        Path::Action => Some(keyed::key_of(&action.name)),
        Path::Surface => Some(keyed::key_of(surface)),
        Path::Attribute(name) | Path::OfAction(name) => {
            let value = action.attributes.get(name)?.value();
            Some(keyed::key_of(&value_text(&value)?))
        }
        Path::Value => None,
    }
}

/// The attributes that models can use, or what is wrong with them.
pub fn attributes(action: &ActionRow) -> Result<HashMap<String, Attribute>, String> {
    use serde_json::Value;
    let fields: serde_json::Map<String, Value> = serde_json::from_str(action.attributes.get())
        .map_err(|_| "attributes: a number is out of range".to_owned())?;
    let usable = fields.into_iter().filter_map(|(name, value)| {
        let attribute = match value {
            Value::Number(number) => Attribute::Number(number.as_f64()?),
            Value::Bool(flag) => Attribute::Number(f64::from(u8::from(flag))),
            Value::String(text) => Attribute::Text(text),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((name, attribute))
    });
    Ok(usable.collect())
}

/// What a model sees of an action's own.
pub fn attribute<'a>(action: &'a Action, source: &Source) -> Value<'a> {
    match source {
        Source::Action => Value::Text(&action.name),
        Source::Attribute(name) => action
            .attributes
            .get(name)
            .map_or(Value::Missing, |attribute| attribute.value()),
        Source::User(_) | Source::Missing(_) | Source::Context(_) | Source::Surface(_) => {
            Value::Missing
        }
    }
}
