//! Second stage: the user's features as of now, in one look-up.

use pgrx::pg_sys::UUIDOID;
use uuid::Uuid;

use crate::math::state::at_slot;
use crate::pg::{Statement, array, datum};
use crate::policy::Feature;

thread_local! {
    static STATE: Statement = const { Statement::new(
        "SELECT s.features FROM decide.user_state AS s WHERE s.user_key = $1", &[UUIDOID]) };
}

/// Fills `values` with the features in the bundle's order; `state` is a buffer for the user's row.
/// Needs an open session.
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
    load(user_key, state);
    values.extend(
        features
            .iter()
            .map(|feature| match at_slot(state, feature.slot) {
                kept if kept.is_empty() => feature.default_value,
                kept => kept.read(now, feature.half_life),
            }),
    );
}

/// The user's row as it lies in the table; empty for a user without one.
pub fn load(user_key: Uuid, state: &mut Vec<f64>) {
    state.clear();
    STATE.with(|statement| {
        statement.read(&[datum::uuid(user_key)], |row| {
            if let Some(features) = row.datum(1) {
                array::read_into(features, state);
            }
        })
    });
}
