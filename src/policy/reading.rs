//! What a bundle's features say of a user at a moment, from the cells that are kept of them.

use super::bundle::{Affinity, Bundle};
use super::feature::Feature;
use crate::math::aggregate::{Aggregate, cells_at};
use crate::math::keyed;

/// What it takes to read a feature of the vector, and no more: every decision reads all of them.
pub struct Reading {
    /// Its place in the bundle's features.
    pub feature: usize,
    slot: usize,
    aggregate: Aggregate,
    killed: bool,
    pub default_value: f64,
}

impl Reading {
    pub fn of(place: usize, feature: &Feature) -> Reading {
        Reading {
            feature: place,
            slot: feature.slot,
            aggregate: feature.aggregate,
            killed: feature.killed,
            default_value: feature.default_value,
        }
    }
}

impl Bundle {
    /// The features of the vector, in its order, and what each says; nothing where it is missing.
    pub fn vector_of(
        &self,
        cells: &[f64],
        now: i64,
    ) -> impl Iterator<Item = (&Reading, Option<f64>)> {
        self.vector.iter().map(move |reading| {
            let state = cells_at(cells, reading.slot, &reading.aggregate);
            let state = state.filter(|_| !reading.killed);
            let value = state.and_then(|state| reading.aggregate.read(state, now));
            (reading, value)
        })
    }

    /// What a feature that is kept per key says of the surface's keys: places and values.
    pub fn affinity_of(
        &self,
        affinity: &Affinity,
        keyed: &[f64],
        now: i64,
    ) -> impl Iterator<Item = (usize, f64)> {
        let feature = &self.features[affinity.feature];
        let served = feature.key.as_ref().filter(|_| !feature.killed);
        let limit = served.map_or(0, |key| key.limit);
        let slot = feature.slot as u32;
        keyed::entries(keyed, slot, &feature.aggregate, now, limit)
            .filter_map(|(key, value)| Some((*affinity.places.get(&key)?, value)))
    }
}
