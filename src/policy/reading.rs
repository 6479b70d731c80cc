//! What a bundle's features say of a user at a moment, from the cells that are kept of them.

use super::feature::Feature;
use crate::math::aggregate::Aggregate;

/// What it takes to read a feature of the vector, and no more: every decision reads all of them.
pub struct Reading {
    /// Its place in the bundle's features.
    pub feature: usize,
    pub slot: usize,
    pub aggregate: Aggregate,
    pub default_value: f64,
}

impl Reading {
    pub fn of(place: usize, feature: &Feature) -> Reading {
        Reading {
            feature: place,
            slot: feature.slot,
            aggregate: feature.aggregate,
            default_value: feature.default_value,
        }
    }
}
