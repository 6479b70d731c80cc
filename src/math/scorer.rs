//! A model compiled for one fixed list of actions: scoring is one matrix-vector product over contiguous f32.
//!
//! Each term is a product of a request part (user and context) and an action part. The request parts give the
//! coordinates of a vector x; what remains of the terms, weights times action parts, gives a matrix W with one row for
//! each coordinate and one column for each action: η[a] = Σⱼ x[j] · W[j][a]. Terms with the same request part share
//! coordinates; terms without one go to the coordinate that is always 1.
//!
//! Coordinates whose weight is the same for every action, because no term there has an action part, come first and
//! keep one number instead of a row.

mod compile;
#[cfg(test)]
mod tests;

use super::model::{Factor, Family, Value};

/// The most cells that the matrix of a compiled model may have (256 MiB of f32).
pub const MAX_CELLS: usize = 1 << 26;

/// A compiled model. Immutable; scoring with it does not allocate.
#[derive(Clone, Debug, PartialEq)]
pub struct Scorer {
    family: Family,
    actions: usize,
    inputs: usize,
    parts: Vec<RequestPart>,
    /// The weights of the coordinates that are the same for every action: the first ones of x.
    common: Vec<f32>,
    /// Coordinate-major: a row of `actions` weights for each of the other coordinates.
    rows: Vec<f32>,
}

/// The request part of one or more terms, and where its coordinates begin. No factors: the constant 1.
#[derive(Clone, Debug, PartialEq)]
struct RequestPart {
    factors: Vec<(Factor, Place)>,
    base: usize,
    width: usize,
}

/// Where a fact of the user is among the features given to [`Scorer::vector`].
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// There, for every action.
    At(usize),
    /// At a place that differs between actions, such as the user's affinity to the category of each; none for those
    /// that have no such fact.
    ByAction(Vec<Option<usize>>),
}

/// Where in the request a fact is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Feature(usize),
    Context(usize),
}

impl Scorer {
    /// d, the length of the request vector.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of actions, in whose order the scores are.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// Writes the request vector of these facts into `x`, of length d. `features` and `context` are in the order that
    /// the scorer was compiled for; a NaN, a [`Value::Missing`] and a place beyond the end are missing facts, which
    /// leave their coordinates at 0. Does not allocate when x has the capacity.
    pub fn vector(&self, features: &[f64], context: &[Value<'_>], x: &mut Vec<f32>) {
        x.clear();
        x.resize(self.inputs(), 0.0);
        for part in &self.parts {
            if let Some((level, value)) = part.encode(features, context) {
                x[part.base + level] = value;
            }
        }
    }

    /// Writes each action's score: Σⱼ x[j] · W[j][a] in the order of j, in f32, without the coordinates where x is 0;
    /// and of that the logistic function if the model is logistic. Does not allocate.
    ///
    /// # Panics
    /// If `x` has not the length d, or `scores` not one place for each action.
    pub fn score(&self, x: &[f32], scores: &mut [f32]) {
        assert_eq!(
            x.len(),
            self.inputs(),
            "the request vector has the wrong length"
        );
        assert_eq!(
            scores.len(),
            self.actions,
            "there is not one score for each action"
        );
        if scores.is_empty() {
            return;
        }
        let (common, own) = x.split_at(self.common.len());
        scores.fill(dot(common, &self.common));
        for (&xj, row) in own.iter().zip(self.rows.chunks_exact(self.actions)) {
            if xj != 0.0 {
                for (score, &weight) in scores.iter_mut().zip(row) {
                    *score += xj * weight;
                }
            }
        }
        if self.family == Family::Logistic {
            for score in scores {
                *score = super::logistic(f64::from(*score)) as f32;
            }
        }
    }
}

/// Σⱼ x[j] · w[j] in the order of j, without those where x is 0.
fn dot(x: &[f32], w: &[f32]) -> f32 {
    let mut total = 0.0f32;
    for (&x, &w) in x.iter().zip(w) {
        if x != 0.0 {
            total += x * w;
        }
    }
    total
}

impl RequestPart {
    fn encode(&self, features: &[f64], context: &[Value<'_>]) -> Option<(usize, f32)> {
        let (mut level, mut product) = (0usize, 1.0f64);
        for (factor, place) in &self.factors {
            let value = match *place {
                Place::Feature(i) => Value::Number(*features.get(i)?),
                Place::Context(i) => *context.get(i)?,
            };
            let (l, x) = factor.encoding.encode(value)?;
            level = level * factor.encoding.width() + l;
            product *= x;
        }
        Some((level, super::to_f32(product)))
    }
}
