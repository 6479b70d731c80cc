//! Second stage: what is known of the user as of now, in one look-up.

use uuid::Uuid;

use super::Desk;
use crate::policy::{Affinities, Bundle};

/// Fills the desk with the vector, in the bundle's order, and with what is kept per key of the
/// surface's actions.
pub fn read(user_key: Uuid, now: i64, bundle: &Bundle, affinities: &Affinities, desk: &mut Desk) {
    if bundle.features.is_empty() {
        return;
    }
    desk.state.read(user_key);
    desk.seen = desk.state.events;
    for (place, (feature, value)) in bundle.vector_of(&desk.state.features, now).enumerate() {
        if value.is_none() {
            desk.missing.push(place as i16 + 1);
        }
        desk.features.push(value.unwrap_or(feature.default_value));
    }
    for affinity in &affinities.kept {
        for (place, value) in bundle.affinity_of(affinity, &desk.state.keyed, now) {
            desk.affinities.extend([place as f64, value]);
        }
    }
}
