//! Running experiments as decisions see them: which variant a unit gets. Assignment looks at nothing but the identifier of the
//! unit, the experiment and the moment.

use serde::{Deserialize, Serialize};

use super::context::value_text;
use super::tables::{ExperimentRow, VariantRow};
use crate::math::assignment::{bucket, choose_variation, in_namespace};
use crate::math::model::Value;
use crate::pg::clock;

/// What a unit begins with that is a context field.
pub const CONTEXT: &str = "context.";

/// The unit that is a user.
pub const USER: &str = "user";

#[derive(Serialize, Deserialize)]
pub struct Experiment {
    pub name: String,
    /// Its number in traces.
    pub number: i32,
    seed: String,
    hash_version: i32,
    /// The context field that is assigned; None: the user.
    pub unit_field: Option<String>,
    namespace: Option<Namespace>,
    coverage: f64,
    /// From which moment on, in microseconds since 2000, which share is in it; ascending.
    ramp: Vec<(i64, f64)>,
    weights: Vec<f64>,
    /// Whether users keep the variant that they had when weights change.
    pub sticky: bool,
    pub overrides: Vec<Override>,
    /// In the order of their positions.
    pub variants: Vec<VariantOf>,
}

#[derive(Serialize, Deserialize)]
struct Namespace {
    name: String,
    from: f64,
    to: f64,
}

#[derive(Serialize, Deserialize)]
pub struct Override {
    pub field: String,
    value: String,
    /// The index of the variant.
    variant: usize,
}

/// A variant, as requests are told of it.
#[derive(Serialize, Deserialize)]
pub struct VariantOf {
    pub name: String,
    /// As a JSON text.
    pub payload: Option<String>,
}

impl Experiment {
    /// From its row, which was checked.
    pub fn of(row: &ExperimentRow) -> Experiment {
        let position = |name: &str| row.variants.iter().position(|of| of.variant == name);
        let overrides = row.overrides.iter().filter_map(|of| {
            Some(Override {
                field: of.field.clone(),
                value: of.value.clone(),
                variant: position(&of.variant)?,
            })
        });
        let steps = row.ramp.iter();
        Experiment {
            name: row.experiment.clone(),
            number: row.number,
            seed: row.seed.clone(),
            hash_version: row.hash_version,
            unit_field: row.unit.strip_prefix(CONTEXT).map(str::to_owned),
            namespace: row.namespace.as_ref().map(|name| Namespace {
                name: name.clone(),
                from: row.namespace_from,
                to: row.namespace_to,
            }),
            coverage: row.coverage,
            ramp: steps
                .map(|step| (clock::from_unix_micros(step.at_us), step.coverage))
                .collect(),
            weights: shares(&row.variants),
            sticky: row.sticky,
            overrides: overrides.collect(),
            variants: row
                .variants
                .iter()
                .map(|of| VariantOf {
                    name: of.variant.clone(),
                    payload: of.payload.as_ref().map(|payload| payload.get().to_owned()),
                })
                .collect(),
        }
    }

    /// The share of its units that are in it at that moment.
    pub fn coverage_at(&self, now: i64) -> f64 {
        let mut passed = self.ramp.iter().rev();
        let step = passed.find(|(at, _)| *at <= now);
        step.map_or(self.coverage, |&(_, coverage)| coverage)
    }

    /// The index of the variant of a unit; None: it is not in the experiment.
    pub fn assign(&self, unit: &str, now: i64) -> Option<usize> {
        if let Some(Namespace { name, from, to }) = &self.namespace
            && !in_namespace(name, unit, *from, *to)
        {
            return None;
        }
        let bucket = bucket(&self.seed, unit, self.hash_version)?;
        choose_variation(bucket, self.coverage_at(now), &self.weights)
    }

    /// The index of the variant that a tester is to get, by the values of context fields.
    pub fn overridden<'a>(&self, field: impl Fn(&str) -> Value<'a>) -> Option<usize> {
        let mut overrides = self.overrides.iter();
        let own = overrides.find(|of| is_text(&field(&of.field), &of.value))?;
        Some(own.variant)
    }
}

fn is_text(value: &Value<'_>, text: &str) -> bool {
    match value {
        Value::Text(own) => *own == text,
        value => value_text(value).is_some_and(|own| own == text),
    }
}

/// Weights as they are, if they add up to 1 as those of GrowthBook's SDKs do; else their shares.
fn shares(variants: &[VariantRow]) -> Vec<f64> {
    let weights = variants.iter().map(|of| of.weight);
    let sum: f64 = weights.clone().sum();
    match (0.99..=1.01).contains(&sum) {
        true => weights.collect(),
        false => weights.map(|weight| weight / sum).collect(),
    }
}
