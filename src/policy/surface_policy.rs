//! How a surface chooses, as it was compiled.

use serde::{Deserialize, Serialize};

use super::tables::ObjectiveKind;
use crate::math::choice::{Choice, LowerBound};

#[derive(Clone, Serialize, Deserialize)]
pub struct Policy {
    pub name: String,
    pub choice: Choice,
    /// What a candidate must be worth at least, or it is not shown.
    pub lower_bound: Option<LowerBound>,
    /// Whether the selection looks at scores.
    pub needs_scores: bool,
    /// Whether selection or lower bound look at their standard deviations.
    pub needs_spreads: bool,
    /// Whether it leaves out what an earlier surface of the same page shows.
    pub unique_on_page: bool,
    pub model: Option<Model>,
    pub objective: Aim,
}

/// What the scores of a policy say, by names.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Aim {
    pub kind: ObjectiveKind,
    pub value_attribute: Option<String>,
    pub cost_attribute: Option<String>,
}

/// A version of a model.
#[derive(Clone, Serialize, Deserialize)]
pub struct Model {
    pub name: String,
    pub version: i32,
    /// As `model:version`.
    pub label: String,
}
