//! A bundle as decide() uses it: names resolved, models compiled, nothing left to look up.

use std::collections::HashMap;

use super::contract::Contracts;
use super::rules::Rules;
use crate::math::choice::Choice;
use crate::math::model::Value;
use crate::math::scorer::Scorer;

pub struct Bundle {
    pub number: i64,
    pub surfaces: HashMap<String, Surface>,
    /// In order of their slots; traces keep their values in this order.
    pub features: Vec<Feature>,
    /// Features by the type of event that moves them.
    pub features_of: HashMap<String, Vec<usize>>,
    pub contracts: Contracts,
}

pub struct Surface {
    pub name: String,
    pub slots: usize,
    /// What is shown when the policy cannot choose.
    pub fallback: Action,
    pub context_fields: Vec<String>,
    /// The actions that may be shown here, by number: their order is the order of candidates.
    pub actions: Vec<Action>,
    pub rules: Rules,
    pub policy: Option<Policy>,
}

#[derive(Clone)]
pub struct Action {
    pub number: i32,
    pub name: String,
    /// From the campaign, in microseconds since 2000: shown from and until.
    pub starts: i64,
    pub ends: i64,
    /// Which of the surface's rules must hold.
    pub rule: Option<usize>,
    pub attributes: HashMap<String, Attribute>,
}

/// An attribute that a model can use: a number or a text. Truth is 1 or 0.
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

pub struct Feature {
    pub name: String,
    /// Place in the user's row.
    pub slot: usize,
    pub event_type: String,
    pub amount: Amount,
    /// In microseconds; infinite where the past never fades.
    pub half_life: f64,
    pub default_value: f64,
}

/// What one event adds to a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    One,
    Value,
    Attribute(String),
}

pub struct Policy {
    pub name: String,
    pub choice: Choice,
    /// Whether the selection looks at scores.
    pub needs_scores: bool,
    pub model: Option<Model>,
}

pub struct Model {
    /// As `model:version`.
    pub label: String,
    pub scorer: Scorer,
}
