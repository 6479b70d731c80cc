//! What a bundle's features say of a user at a moment, from the cells that are kept of them.

use super::bundle::{Affinity, Bundle};
use super::feature::Feature;
use crate::math::aggregate::cells_at;
use crate::math::keyed;

impl Bundle {
    /// The features of the vector, in its order, and what each says; nothing where it is missing.
    pub fn vector_of(
        &self,
        cells: &[f64],
        now: i64,
    ) -> impl Iterator<Item = (&Feature, Option<f64>)> {
        self.vector.iter().map(move |&i| {
            let feature = &self.features[i];
            let state = cells_at(cells, feature.slot, &feature.aggregate);
            let state = state.filter(|_| !feature.killed);
            let value = state.and_then(|state| feature.aggregate.read(state, now));
            (feature, value)
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
