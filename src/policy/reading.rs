//! What a bundle's features say of a user at a moment, from the cells that are kept of them.

use super::feature::Feature;
use crate::math::aggregate::Aggregate;
use serde::{Deserialize, Serialize};

/// What it takes to read a feature of the vector, and no more: every decision reads all of them.
#[derive(Serialize, Deserialize)]
pub struct Reading {
    /// Its index in the bundle's features.
    pub feature: usize,
    pub cell: usize,
    pub aggregate: Aggregate,
    pub default_value: f64,
}

impl Reading {
    pub fn of(index: usize, feature: &Feature) -> Reading {
        Reading {
            feature: index,
            cell: feature.cell,
            aggregate: feature.aggregate,
            default_value: feature.default_value,
        }
    }
}
