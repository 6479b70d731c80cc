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
    /// The chance that the candidate is the largest where each is normal around its score: Thompson's sampling,
    /// computed and not sampled.
    Thompson {
        /// What standard deviations are multiplied by, above 0. Towards 0 it becomes greedy.
        scale: f64,
    },
    /// The best score + γ · spread, with certainty; among equals the first.
    Ucb {
        /// γ, any finite number: above 0 what is not known well is tried, below 0 it is avoided.
        gamma: f64,
    },
    /// p = 1 / (n + γ · gap to the best score); the best takes what is left. Source: D. Foster, A. Rakhlin, "Beyond
    /// UCB", 2020.
    SquareCb {
        /// γ, above 0. Towards infinity it becomes greedy.
        gamma: f64,
    },
}

/// What there is to know of a selection rule.
#[derive(Debug)]
pub struct SelectionRule {
    /// As policies call it.
    pub name: &'static str,
    /// Whether it looks at scores.
    pub needs_scores: bool,
    /// Whether it looks at their standard deviations.
    pub needs_spreads: bool,
    /// The number that it takes besides the floor.
    pub parameter: Option<Parameter>,
    /// Where that number is not given, it follows from the rows that the model was trained on.
    pub growth: Option<&'static Growth>,
    /// In a sentence.
    pub description: &'static str,
    make: fn(f64) -> Selection,
}

/// A number that a selection rule takes.
#[derive(Debug, PartialEq)]
pub struct Parameter {
    /// As policies call it.
    pub name: &'static str,
    /// Where the policy does not say. None: it follows from others.
    pub default: Option<f64>,
    /// Which values it may have.
    pub range: ParameterRange,
}

/// How a parameter follows from the number of rows that a model was trained on: scale · rows^exponent, as in
/// vowpalwabbit.
#[derive(Debug, PartialEq)]
pub struct Growth {
    /// The factor.
    pub scale: Parameter,
    /// The exponent.
    pub exponent: Parameter,
}

impl Growth {
    /// The parameter for so many rows, 1 at least.
    pub fn at(scale: f64, exponent: f64, rows: i64) -> f64 {
        scale * libm::pow(rows.max(1) as f64, exponent)
    }
}

/// Which values a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterRange {
    /// [0, 1].
    Share,
    /// Finite and above 0.
    Positive,
    /// Finite.
    Finite,
}

/// All of them. The index of a rule is its number in traces: new ones come last, and none goes.
pub const SELECTIONS: [SelectionRule; 7] = [
    SelectionRule {
        name: "uniform",
        needs_scores: false,
        needs_spreads: false,
        parameter: None,
        growth: None,
        description: "Every candidate alike",
        make: |_| Selection::Uniform,
    },
    SelectionRule {
        name: "greedy",
        needs_scores: true,
        needs_spreads: false,
        parameter: None,
        growth: None,
        description: "The candidate with the best score",
        make: |_| Selection::Greedy,
    },
    SelectionRule {
        name: "epsilon_greedy",
        needs_scores: true,
        needs_spreads: false,
        parameter: Some(Parameter {
            name: "epsilon",
            default: Some(0.05),
            range: ParameterRange::Share,
        }),
        growth: None,
        description: "The candidate with the best score with probability 1 - epsilon, and else every candidate alike",
        make: |epsilon| Selection::EpsilonGreedy { epsilon },
    },
    SelectionRule {
        name: "softmax",
        needs_scores: true,
        needs_spreads: false,
        parameter: Some(Parameter {
            name: "temperature",
            default: Some(1.0),
            range: ParameterRange::Positive,
        }),
        growth: None,
        description: "Probabilities proportional to exp(score / temperature)",
        make: |temperature| Selection::Softmax { temperature },
    },
    SelectionRule {
        name: "thompson",
        needs_scores: true,
        needs_spreads: true,
        parameter: Some(Parameter {
            name: "scale",
            default: Some(1.0),
            range: ParameterRange::Positive,
        }),
        growth: None,
        description: "The probability that the candidate is the largest of independent normals N(score, scale * spread)",
        make: |scale| Selection::Thompson { scale },
    },
    SelectionRule {
        name: "ucb",
        needs_scores: true,
        needs_spreads: true,
        parameter: Some(Parameter {
            name: "gamma",
            default: Some(1.0),
            range: ParameterRange::Finite,
        }),
        growth: None,
        description: "The candidate with the best score + gamma * spread",
        make: |gamma| Selection::Ucb { gamma },
    },
    SelectionRule {
        name: "squarecb",
        needs_scores: true,
        needs_spreads: false,
        parameter: Some(Parameter {
            name: "gamma",
            default: None,
            range: ParameterRange::Positive,
        }),
        growth: Some(&Growth {
            scale: Parameter {
                name: "gamma_scale",
                default: Some(10.0),
                range: ParameterRange::Positive,
            },
            exponent: Parameter {
                name: "gamma_exponent",
                default: Some(0.5),
                range: ParameterRange::Share,
            },
        }),
        description: "Probabilities 1 / (candidates + gamma * gap to the best score), and the rest for the best",
        make: |gamma| Selection::SquareCb { gamma },
    },
];

/// The floor under each probability, which every selection rule takes.
pub const MIN_PROBABILITY: Parameter = Parameter {
    name: "min_probability",
    default: Some(0.0),
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
            Selection::Thompson { scale } => (4, scale),
            Selection::Ucb { gamma } => (5, gamma),
            Selection::SquareCb { gamma } => (6, gamma),
        }
    }

    /// The same rule with its exploration in a measure, from 0 to 1. A γ of ucb below 0 stays: it is caution.
    pub fn exploring(self, share: f64) -> Selection {
        match self {
            Selection::SquareCb { gamma } => Selection::SquareCb {
                gamma: gamma / share,
            },
            Selection::Ucb { gamma } if gamma < 0.0 => self,
            _ => {
                let (rule, parameter) = self.parts();
                SELECTIONS[rule].with(parameter * share)
            }
        }
    }

    /// Whether it is the same rule as another, with no more exploration.
    pub fn explores_no_more_than(self, other: Selection) -> bool {
        let ((rule, own), (others, parameter)) = (self.parts(), other.parts());
        let is_less = match self {
            Selection::SquareCb { .. } => own >= parameter,
            _ => own <= parameter,
        };
        rule == others && is_less
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
            ParameterRange::Finite => value.is_finite(),
        }
    }

    /// Both ends, where it has them; a positive number is above the lower one.
    pub fn ends(self) -> (Option<f64>, Option<f64>) {
        match self {
            ParameterRange::Share => (Some(0.0), Some(1.0)),
            ParameterRange::Positive => (Some(0.0), None),
            ParameterRange::Finite => (None, None),
        }
    }
}

impl fmt::Display for ParameterRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParameterRange::Share => "between 0 and 1",
            ParameterRange::Positive => "above 0",
            ParameterRange::Finite => "a finite number",
        })
    }
}
