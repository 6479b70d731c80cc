//! Second stage: what is known of the user as of now, in one look-up.

use uuid::Uuid;

use super::Desk;
use crate::pg::array;
use crate::pg::lookup::Keyed;
use crate::policy::{Affinities, Bundle};

const USER_STATE: Keyed = Keyed {
    schema: c"decide",
    table: c"user_state",
    primary_key: c"user_state_pkey",
};

/// Where they stand among the columns of decide.user_state.
const FEATURES: i32 = 2;
const KEYED: i32 = 4;
const EVENTS: i32 = 5;

/// A user's row as it lies.
#[derive(Default)]
pub struct State {
    pub features: Vec<f64>,
    pub keyed: Vec<f64>,
    pub events: i64,
}

impl State {
    /// Reads the row; what was here before is forgotten.
    pub fn read(&mut self, user_key: Uuid) {
        self.features.clear();
        self.keyed.clear();
        self.events = 0;
        USER_STATE.read(user_key, |row| {
            row.datum(FEATURES)
                .map(|features| array::read_into(features, &mut self.features));
            row.datum(KEYED)
                .map(|keyed| array::read_into(keyed, &mut self.keyed));
            self.events = row.datum(EVENTS).map_or(0, |events| events.value() as i64);
        });
    }
}

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
