//! A linear or logistic model over terms: what it is made of, how it is written, and how a row of facts becomes its
//! columns.
//!
//! A model predicts η = Σ over terms Σ over levels weight · (product of the term's factors), and the answer is η itself
//! (linear) or 1 / (1 + e^−η) (logistic). A factor is one fact (a user's feature, a field of the context, an attribute
//! of the action, the action itself) under an encoding that makes it one number or one of several levels.

mod covariance;
mod encoding;
mod source;
#[cfg(test)]
mod tests;

pub use covariance::{Covariance, FULL_WIDTH};
pub use encoding::{Encoding, Value, with_text};
pub use source::{Source, TermError, parse_term};

use serde::{Deserialize, Serialize};
use std::fmt;

/// The most weights a model may have.
pub const MAX_WIDTH: usize = 10_000_000;

/// One fact and how it is turned into numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factor {
    /// Where the fact comes from.
    pub source: Source,
    /// How it becomes numbers.
    pub encoding: Encoding,
}

/// A product of factors. It has one weight for each combination of its factors' levels; the intercept, written "1", has
/// no factors and one weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// The factors, in the order in which their levels are laid out.
    pub factors: Vec<Factor>,
}

impl Term {
    /// The number of weights; None if it overflows.
    pub fn width(&self) -> Option<usize> {
        self.factors.iter().try_fold(1usize, |width, factor| {
            width.checked_mul(factor.encoding.width())
        })
    }
}

/// As [`parse_term`] reads it: "user.clicks*action.category".
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.factors.is_empty() {
            return f.write_str("1");
        }
        for (i, factor) in self.factors.iter().enumerate() {
            if i > 0 {
                f.write_str("*")?;
            }
            factor.source.fmt(f)?;
        }
        Ok(())
    }
}

/// What the linear sum means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// The prediction is the sum.
    Linear,
    /// The prediction is a probability, the logistic function of the sum.
    Logistic,
}

impl Family {
    /// The sum that belongs to a prediction; of a probability the log odds, with the probability kept 1e-15 away from 0
    /// and 1.
    pub fn link(self, mean: f64) -> f64 {
        match self {
            Family::Linear => mean,
            Family::Logistic => {
                let p = mean.clamp(1e-15, 1.0 - 1e-15);
                libm::log(p) - libm::log1p(-p)
            }
        }
    }

    /// The prediction that belongs to the sum `eta`.
    pub fn mean(self, eta: f64) -> f64 {
        match self {
            Family::Linear => eta,
            Family::Logistic => super::logistic(eta),
        }
    }
}

/// A model with its weights.
///
/// Its serde form is the specification alone, `{"family": …, "terms": […]}`; the weights are kept apart (as an array
/// of floats, say), are empty after deserialization and are put back with [`LinearModel::with_weights`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearModel {
    /// Linear or logistic.
    pub family: Family,
    /// The terms of the sum.
    pub terms: Vec<Term>,
    /// Terms one after the other; within a term, row-major over the levels of its factors in order.
    #[serde(skip)]
    pub weights: Vec<f32>,
}

/// Why a model cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelError {
    /// It has more weights than [`MAX_WIDTH`].
    TooWide,
    /// The number of weights is not what its terms ask for.
    Weights {
        /// What the terms ask for.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// The weight at this position is NaN or infinite.
    NotFinite(usize),
    /// A factor's levels are not sorted bytewise, or not unique.
    Levels(Source),
    /// A factor is hashed into no buckets.
    NoBuckets(Source),
    /// A term names a user feature or a context field that does not exist.
    UnknownSource {
        /// The term, as written.
        term: String,
        /// The factor in it.
        source: Source,
    },
    /// Compiled for its actions, it would take more cells than [`super::scorer::MAX_CELLS`].
    TooManyCells {
        /// The coordinates that depend on the action.
        coordinates: usize,
        /// The actions.
        actions: usize,
    },
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelError::TooWide => write!(f, "the model has more than {MAX_WIDTH} weights"),
            ModelError::Weights { expected, found } => {
                write!(
                    f,
                    "the model's terms ask for {expected} weights, but there are {found}"
                )
            }
            ModelError::NotFinite(i) => write!(f, "weight {i} of the model is not a finite number"),
            ModelError::Levels(source) => {
                write!(f, "the levels of {source} are not sorted and unique")
            }
            ModelError::NoBuckets(source) => write!(f, "{source} is hashed into 0 buckets"),
            ModelError::UnknownSource { term, source } => {
                write!(f, "term {term} uses {source}, which does not exist")
            }
            ModelError::TooManyCells {
                coordinates,
                actions,
            } => {
                write!(
                    f,
                    "the model takes {coordinates} numbers for each of {actions} actions, which is too many"
                )
            }
        }
    }
}

impl std::error::Error for ModelError {}

impl LinearModel {
    /// The number of weights that the terms ask for. Errors with [`ModelError::TooWide`] above [`MAX_WIDTH`].
    pub fn width(&self) -> Result<usize, ModelError> {
        let width = self
            .terms
            .iter()
            .try_fold(0usize, |width, term| width.checked_add(term.width()?));
        width
            .filter(|&width| width <= MAX_WIDTH)
            .ok_or(ModelError::TooWide)
    }

    /// The same model with these weights.
    pub fn with_weights(self, weights: Vec<f32>) -> LinearModel {
        LinearModel { weights, ..self }
    }

    /// Gives the terms that `is_out` names the weight 0. The model should be valid.
    pub fn silence(&mut self, is_out: impl Fn(&Term) -> bool) {
        let mut weights = self.weights.as_mut_slice();
        for term in &self.terms {
            let width = term.width().unwrap_or(0).min(weights.len());
            let (of_term, rest) = weights.split_at_mut(width);
            if is_out(term) {
                of_term.fill(0.0);
            }
            weights = rest;
        }
    }

    /// Whether the parts fit together: as many weights as the terms ask for, all finite; levels sorted bytewise and
    /// unique; at least one bucket where a fact is hashed.
    pub fn validate(&self) -> Result<(), ModelError> {
        for factor in self.terms.iter().flat_map(|term| &term.factors) {
            match &factor.encoding {
                Encoding::Levels(levels) if !levels.is_sorted_by(|a, b| a < b) => {
                    return Err(ModelError::Levels(factor.source.clone()));
                }
                Encoding::Hashed(0) => return Err(ModelError::NoBuckets(factor.source.clone())),
                _ => {}
            }
        }
        let expected = self.width()?;
        if self.weights.len() != expected {
            return Err(ModelError::Weights {
                expected,
                found: self.weights.len(),
            });
        }
        match self.weights.iter().position(|weight| !weight.is_finite()) {
            Some(i) => Err(ModelError::NotFinite(i)),
            None => Ok(()),
        }
    }

    /// Writes the row of the model matrix that belongs to the facts of `lookup`: (column, value) of what is not zero,
    /// columns ascending, at most one for each term. The prediction is the family's mean of Σ value · weight[column].
    ///
    /// A fact that is missing, or a level that the model does not know, makes the whole term contribute nothing. The
    /// row is cleared first. The model should be valid; its weights are not used and may be absent.
    pub fn encode<'v>(&self, lookup: &dyn Fn(&Source) -> Value<'v>, row: &mut Vec<(u32, f32)>) {
        row.clear();
        let mut base = 0usize;
        for term in &self.terms {
            if let Some((level, value)) = encode_product(&term.factors, lookup)
                && value != 0.0
            {
                row.push(((base + level) as u32, value));
            }
            base += term.width().unwrap_or(0);
        }
    }
}

/// The level and value of a product of factors; None if one of them is missing.
fn encode_product<'v>(
    factors: &[Factor],
    lookup: &dyn Fn(&Source) -> Value<'v>,
) -> Option<(usize, f32)> {
    let (mut level, mut product) = (0usize, 1.0f64);
    for factor in factors {
        let (l, x) = factor.encoding.encode(lookup(&factor.source))?;
        level = level * factor.encoding.width() + l;
        product *= x;
    }
    Some((level, super::to_f32(product)))
}
