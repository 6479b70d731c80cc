//! A model compiled for one fixed list of actions: scoring is one matrix-vector product over contiguous f32.
//!
//! Each term is a product of a request part (user and context) and an action part. The request parts give the
//! coordinates of a vector x; what remains of the terms, weights times action parts, gives a matrix W with one row for
//! each coordinate and one column for each action: η[a] = Σⱼ x[j] · W[j][a]. Terms with the same request part share
//! coordinates; terms without one go to the coordinate that is always 1.
//!
//! Coordinates whose weight is the same for every action, because no term there has an action part, come first and
//! keep one number instead of a row.
//!
//! All of it lies in a few contiguous slices, in the order in which it is read: many sessions share a processor's
//! caches, and each finds there what the last one has left.

mod compile;
mod coordinate;
mod objective;
mod panels;
mod spreads;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::model::{Encoding, Family, Value};
use super::slab::Slab;
pub use coordinate::Coordinate;
pub use objective::{Objective, Worth};
use panels::Panels;
use spreads::{PairValue, Spreads};

/// The most cells that the matrix of a compiled model may have (256 MiB of f32).
pub const MAX_CELLS: usize = 1 << 26;

/// A compiled model. Immutable; scoring with it does not allocate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    family: Family,
    actions: usize,
    inputs: usize,
    parts: Slab<RequestPart>,
    /// The factors of all parts, one part after the other.
    factors: Vec<(Encoding, FactIndex)>,
    /// The weights of the coordinates that are the same for every action: the first ones of x.
    common: Slab<f32>,
    /// The weights of the others, for each action.
    own: Panels,
    /// How sure it is, where that is known: of what the cells say of each action.
    spreads: Option<Spreads>,
    /// And of a logistic model with a baseline, of the difference from it on the scale of the weights.
    contrasts: Option<Spreads>,
    objective: Objective,
}

/// The request part of one or more terms: where its coordinates begin, and where its factors end. No factors: the
/// constant 1.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RequestPart {
    base: u32,
    end: u32,
}

/// Where a fact of the user is among the features given to [`Scorer::vector`].
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// There, for every action.
    At(usize),
    /// At an index that differs between actions, such as the user's affinity to the category of each; none for those
    /// that have no such fact.
    ByAction(Vec<Option<usize>>),
}

/// Where in the request a fact is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum FactIndex {
    Feature(u32),
    Context(u32),
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

    /// Writes the request vector of these facts into `x`: those of its d coordinates that are not 0, ascending, at most
    /// one for each request part. `features` and `context` are in the order that the scorer was compiled for; a NaN, a
    /// [`Value::Missing`] and an index beyond the end are missing facts, which leave their coordinates at 0. Does not
    /// allocate when x has the capacity.
    pub fn vector(&self, features: &[f64], context: &[Value<'_>], x: &mut Vec<Coordinate>) {
        x.clear();
        let mut first = 0;
        for part in &self.parts {
            let factors = &self.factors[first..part.end as usize];
            first = part.end as usize;
            if let Some((level, value)) = encode(factors, features, context)
                && value != 0.0
            {
                let index = part.base + level as u32;
                x.push(Coordinate { index, value });
            }
        }
    }

    /// Writes what the model says of each action: Σⱼ x[j] · W[j][a] in the order of j, in f32, over the coordinates of
    /// `x`, which [`Scorer::vector`] has made; and of that the logistic function if the model is logistic. Does not
    /// allocate. [`Scorer::weigh`] makes scores of it.
    ///
    /// # Panics
    /// If `x` has a coordinate beyond d, or if `responses` has not one element for each action.
    pub fn respond(&self, x: &[Coordinate], responses: &mut [f32]) {
        assert_eq!(
            responses.len(),
            self.actions,
            "there is not one response for each action"
        );
        let common = x.partition_point(|c| (c.index as usize) < self.common.len());
        let (common, own) = x.split_at(common);
        let mut start = 0.0f32;
        for &Coordinate { index, value } in common {
            start += value * self.common[index as usize];
        }
        self.own.add(own, self.common.len(), start, responses);
        if self.family == Family::Logistic {
            for response in responses {
                *response = super::logistic(f64::from(*response)) as f32;
            }
        }
    }

    /// Whether it knows how sure it is of its scores.
    pub fn has_spreads(&self) -> bool {
        self.spreads.is_some()
    }

    /// Writes the standard deviation of what [`Scorer::respond`] has written for each action, or of its increment over
    /// the baseline: s(x) = √(xᵀ·Σ·x), and of a logistic model p·(1 − p)·s(x), its change of scale (the delta method).
    /// All are 0 where the covariance is not known. Does not allocate when the buffers have the capacity.
    ///
    /// # Panics
    /// If `responses` or `spreads` has not one element for each action.
    pub fn spread(
        &self,
        x: &[Coordinate],
        responses: &[f32],
        buffers: &mut SpreadBuffers,
        spreads: &mut [f32],
    ) {
        assert!(
            responses.len() == self.actions && spreads.len() == self.actions,
            "there is not one spread for each action"
        );
        match &self.spreads {
            None => spreads.fill(0.0),
            Some(own) => own.write(x, &mut buffers.pairs, spreads),
        }
        if self.family != Family::Logistic {
            return;
        }
        let Some((contrasts, baseline)) = self.contrasts.as_ref().zip(self.objective.baseline)
        else {
            for (spread, &response) in spreads.iter_mut().zip(responses) {
                let p = f64::from(response);
                *spread = (f64::from(*spread) * (p * (1.0 - p))) as f32;
            }
            return;
        };
        buffers.contrasts.clear();
        buffers.contrasts.resize(self.actions, 0.0);
        contrasts.write(x, &mut buffers.pairs, &mut buffers.contrasts);
        let square = |spread: f32| f64::from(spread) * f64::from(spread);
        let of = |a: usize, spreads: &[f32]| [f64::from(responses[a]), square(spreads[a])];
        let of_baseline = of(baseline, spreads);
        for (a, &contrast) in buffers.contrasts.iter().enumerate() {
            let own = of(a, spreads);
            let variance = objective::variance_of_increment(own, of_baseline, square(contrast));
            spreads[a] = super::to_f32(variance.sqrt());
        }
    }

    /// Makes scores of responses, by the objective that it was compiled for, and the spreads of scores of theirs, if
    /// there are any. Does not allocate.
    pub fn weigh(&self, responses: &mut [f32], spreads: &mut [f32]) {
        self.objective.apply(responses, spreads);
    }
}

/// Buffers of [`Scorer::spread`].
#[derive(Default)]
pub struct SpreadBuffers {
    pairs: Vec<PairValue>,
    contrasts: Vec<f32>,
}

/// The level and value of a product of factors; None if one of its facts is missing.
fn encode(
    factors: &[(Encoding, FactIndex)],
    features: &[f64],
    context: &[Value<'_>],
) -> Option<(usize, f32)> {
    // most of them, as a rule
    if let [(Encoding::Number, FactIndex::Feature(i))] = *factors {
        let number = *features.get(i as usize)?;
        return number.is_finite().then(|| (0, super::to_f32(number)));
    }
    let (mut level, mut product) = (0usize, 1.0f64);
    for (encoding, index) in factors {
        let value = match *index {
            FactIndex::Feature(i) => Value::Number(*features.get(i as usize)?),
            FactIndex::Context(i) => *context.get(i as usize)?,
        };
        let (l, x) = encoding.encode(value)?;
        level = level * encoding.width() + l;
        product *= x;
    }
    Some((level, super::to_f32(product)))
}
