//! Second stage: the user's features as of now, in one look-up.

use uuid::Uuid;

use crate::math::state::at_slot;
use crate::pg::array;
use crate::pg::lookup::Keyed;
use crate::policy::Feature;

const USER_STATE: Keyed = Keyed {
    schema: c"decide",
    table: c"user_state",
    primary_key: c"user_state_pkey",
};

/// Where `features` stands among the columns of decide.user_state.
const FEATURES: i32 = 2;

/// Fills `values` with the features in the bundle's order; `state` is a buffer for the user's row.
pub fn read(
    user_key: Uuid,
    now: i64,
    features: &[Feature],
    state: &mut Vec<f64>,
    values: &mut Vec<f64>,
) {
    values.clear();
    if features.is_empty() {
        return;
    }
    state.clear();
    USER_STATE.read(user_key, FEATURES, |row| {
        array::read_into(row, state);
    });
    values.extend(
        features
            .iter()
            .map(|feature| match at_slot(state, feature.slot) {
                kept if kept.is_empty() => feature.default_value,
                kept => kept.read(now, feature.half_life),
            }),
    );
}
