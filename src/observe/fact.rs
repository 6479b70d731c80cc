//! What features see of an event, whether it is coming in or was stored before.

use serde_json::{Map, Value as Document};

use crate::math::model::Value;
use crate::pg::json::Json;
use crate::policy::{Bundle, Path, Scalar, Test, context_value};

/// An event as features see it.
#[derive(Clone, Copy)]
pub struct Fact<'a> {
    /// Microseconds since 2000.
    pub at: i64,
    pub action: Option<&'a str>,
    pub surface: Option<&'a str>,
    pub value: Option<f64>,
    pub attributes: Option<Json<'a>>,
    pub origin: Origin<'a>,
}

/// Where attributes of the action come from.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// The event is coming in: from the bundle in force.
    Incoming(&'a Bundle),
    /// The event was stored: with it, as they were then.
    Stored,
}

/// The name under which a stored event has an attribute of its action.
fn stored_name(name: &str) -> String {
    format!("action.{name}")
}

impl<'a> Fact<'a> {
    /// The value at a path; objects, lists and numbers that are not finite count as missing.
    pub fn value_at(&self, path: &'a Path) -> Value<'a> {
        match path {
            Path::Value => self.value.map_or(Value::Missing, Value::Number),
            Path::Action => self.action.map_or(Value::Missing, Value::Text),
            Path::Surface => self.surface.map_or(Value::Missing, Value::Text),
            Path::Attribute(name) => self.attribute(name),
            Path::OfAction(name) => match self.origin {
                Origin::Stored => self.attribute(&stored_name(name)),
                Origin::Incoming(bundle) => {
                    let action = self.action.and_then(|action| bundle.actions.get(action));
                    action.map_or(Value::Missing, |action| {
                        bundle.actions.attribute(action, name)
                    })
                }
            },
        }
    }

    fn attribute(&self, name: &str) -> Value<'a> {
        context_value(self.attributes.and_then(|attributes| attributes.get(name)))
    }

    /// Whether the value at the path passes the test.
    pub fn passes(&self, path: &'a Path, test: &Test) -> bool {
        match (self.value_at(path), test) {
            (Value::Missing, _) => false,
            (value, Test::OneOf(list)) => list.iter().any(|one| match (one, value) {
                (Scalar::Number(one), Value::Number(number)) => *one == number,
                (Scalar::Text(one), Value::Text(text)) => one == text,
                _ => false,
            }),
            (Value::Number(number), Test::Between(low, high)) => (*low..=*high).contains(&number),
            (Value::Text(_), Test::Between(..)) => false,
        }
    }

    /// Keeps the value at a path in the attributes of the stored event, so that the event read again says the same.
    pub fn keep(&self, path: &'a Path, only_number: bool, kept: &mut Map<String, Document>) {
        let name = match path {
            Path::Attribute(name) => name.clone(),
            Path::OfAction(name) => stored_name(name),
            Path::Value | Path::Action | Path::Surface => return,
        };
        let value = match self.value_at(path) {
            Value::Missing => return,
            Value::Number(number) => written(number),
            Value::Text(_) if only_number => return,
            Value::Text(text) => text.into(),
        };
        kept.insert(name, value);
    }
}

/// A number in JSON: a whole one is written without a fraction, and read as the same number.
pub fn written(number: f64) -> Document {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.fract() == 0.0
        && number.abs() <= EXACT
        && (number != 0.0 || number.is_sign_positive())
    {
        true => (number as i64).into(),
        false => number.into(),
    }
}
