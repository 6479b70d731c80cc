//! The selection rules: this list is the only one.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A rule that turns scores into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Selection {
    /// Every open candidate alike.
    Uniform,
    /// The best score, with certainty; among equals the first.
    Greedy,
    /// The best with probability 1 − ε, and else every open candidate alike: p = ε/n + (1 − ε)·[best].
    EpsilonGreedy {
        /// ε, in [0, 1].
        epsilon: f64,
    },
    /// p proportional to e^(score / temperature).
    Softmax {
        /// In units of the score, above 0. Towards 0 it becomes greedy, towards infinity uniform.
        temperature: f64,
    },
}

/// What there is to know of a selection rule.
#[derive(Debug)]
pub struct SelectionRule {
    /// As policies call it.
    pub name: &'static str,
    /// Whether it looks at scores.
    pub needs_scores: bool,
    /// The number that it takes besides the floor; the larger that is, the more it explores.
    pub parameter: Option<Parameter>,
    /// In a sentence.
    pub description: &'static str,
    make: fn(f64) -> Selection,
}

/// A number that a selection rule takes.
#[derive(Debug, PartialEq)]
pub struct Parameter {
    /// As policies call it.
    pub name: &'static str,
    /// Where the policy does not say.
    pub default: f64,
    /// Which values it may have.
    pub range: ParameterRange,
}

/// Which values a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterRange {
    /// [0, 1].
    Share,
    /// Finite and above 0.
    Positive,
}

/// All of them. The index of a rule is its number in traces: new ones come last, and none goes.
pub const SELECTIONS: [SelectionRule; 4] = [
    SelectionRule {
        name: "uniform",
        needs_scores: false,
        parameter: None,
        description: "Every candidate alike",
        make: |_| Selection::Uniform,
    },
    SelectionRule {
        name: "greedy",
        needs_scores: true,
        parameter: None,
        description: "The candidate with the best score",
        make: |_| Selection::Greedy,
    },
    SelectionRule {
        name: "epsilon_greedy",
        needs_scores: true,
        parameter: Some(Parameter {
            name: "epsilon",
            default: 0.05,
            range: ParameterRange::Share,
        }),
        description: "The candidate with the best score with probability 1 - epsilon, and else every candidate alike",
        make: |epsilon| Selection::EpsilonGreedy { epsilon },
    },
    SelectionRule {
        name: "softmax",
        needs_scores: true,
        parameter: Some(Parameter {
            name: "temperature",
            default: 1.0,
            range: ParameterRange::Positive,
        }),
        description: "Probabilities proportional to exp(score / temperature)",
        make: |temperature| Selection::Softmax { temperature },
    },
];

/// The floor under each probability, which every selection rule takes.
pub const MIN_PROBABILITY: Parameter = Parameter {
    name: "min_probability",
    default: 0.0,
    range: ParameterRange::Share,
};

impl Selection {
    /// The index of its rule, and its parameter; 0 where it has none.
    pub fn parts(self) -> (usize, f64) {
        match self {
            Selection::Uniform => (0, 0.0),
            Selection::Greedy => (1, 0.0),
            Selection::EpsilonGreedy { epsilon } => (2, epsilon),
            Selection::Softmax { temperature } => (3, temperature),
        }
    }

    /// What there is to know of its rule.
    pub fn rule(self) -> &'static SelectionRule {
        &SELECTIONS[self.parts().0]
    }
}

impl SelectionRule {
    /// The selection with that parameter, which rules without one pass over.
    pub fn with(&self, parameter: f64) -> Selection {
        (self.make)(parameter)
    }
}

impl ParameterRange {
    /// Whether a parameter may have that value.
    pub fn contains(self, value: f64) -> bool {
        match self {
            ParameterRange::Share => (0.0..=1.0).contains(&value),
            ParameterRange::Positive => value > 0.0 && value.is_finite(),
        }
    }

    /// Both ends; a positive number is above the lower one, and has no upper one.
    pub fn ends(self) -> (f64, Option<f64>) {
        match self {
            ParameterRange::Share => (0.0, Some(1.0)),
            ParameterRange::Positive => (0.0, None),
        }
    }
}

impl fmt::Display for ParameterRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParameterRange::Share => "between 0 and 1",
            ParameterRange::Positive => "above 0",
        })
    }
}
