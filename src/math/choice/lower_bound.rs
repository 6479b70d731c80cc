//! What a candidate must be worth at least, as far as that is known.

use serde::{Deserialize, Serialize};

use super::scored::Scored;
use super::selection::{Parameter, ParameterRange};

/// A candidate can be had if score − γ · spread is at least this.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LowerBound {
    /// The least.
    pub least: f64,
    /// γ, any finite number.
    pub gamma: f64,
}

impl LowerBound {
    /// Whether a score is sure to be enough. One that is NaN is not.
    pub fn holds(&self, score: f32, spread: f32) -> bool {
        let scored = Scored {
            scores: &[score],
            spreads: &[spread],
        };
        f64::from(score) - self.gamma * scored.spread(0) >= self.least
    }
}

/// The least, which every selection that looks at scores takes.
pub const MIN_LOWER_BOUND: Parameter = Parameter {
    name: "min_lower_bound",
    default: None,
    range: ParameterRange::Finite,
};

/// Its γ: at 2, a score whose lower bound is the least is higher than that with a probability of 98 %.
pub const LOWER_BOUND_GAMMA: Parameter = Parameter {
    name: "lower_bound_gamma",
    default: Some(2.0),
    range: ParameterRange::Finite,
};
