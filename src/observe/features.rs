//! Features: what an event adds to the row of its user, in whatever order events arrive.

use pgrx::pg_sys::{FLOAT8ARRAYOID, FLOAT8OID, INT4ARRAYOID, UUIDOID};

use super::contract::Event;
use crate::math::state::{at_slot, put_slot};
use crate::pg::{Statement, datum};
use crate::policy::{Amount, Bundle};

thread_local! {
    static ADD: Statement = const { Statement::new(
        "INSERT INTO decide.user_state AS s (user_key, features) \
         VALUES ($1, decide.add_to_state('{}', $2, $3, $4, $5)) \
         ON CONFLICT (user_key) DO UPDATE \
            SET features = decide.add_to_state(s.features, $2, $3, $4, $5), \
                updated_at = pg_catalog.now()",
        &[UUIDOID, INT4ARRAYOID, FLOAT8ARRAYOID, FLOAT8OID, FLOAT8ARRAYOID]) };
}

/// Adds the event to all features of its type. Needs an open session.
pub fn fold(event: &Event<'_>, bundle: &Bundle) {
    let Some(moved) = bundle.features_of.get(event.kind) else {
        return;
    };
    let (mut slots, mut amounts, mut half_lives) = (Vec::new(), Vec::new(), Vec::new());
    for feature in moved.iter().map(|&i| &bundle.features[i]) {
        let Some(amount) = amount(event, &feature.amount) else {
            continue;
        };
        slots.push(feature.slot as i32);
        amounts.push(amount);
        half_lives.push(feature.half_life);
    }
    if slots.is_empty() {
        return;
    }
    ADD.with(|statement| {
        let args = [
            datum::uuid(event.user_key),
            datum::array(&slots),
            datum::array(&amounts),
            datum::float8(event.at as f64),
            datum::array(&half_lives),
        ];
        statement.write(&args, |_| {})
    });
}

/// What the event adds; nothing where it does not say.
pub fn amount(event: &Event<'_>, amount: &Amount) -> Option<f64> {
    match amount {
        Amount::One => Some(1.0),
        Amount::Value => event.value,
        Amount::Attribute(name) => event.attribute(name),
    }
}

/// The row with one event more: z(t) = z(t₀)·2^(−(t−t₀)/half_life) + x (paper, section 3).
pub fn add(
    mut state: Vec<f64>,
    slots: &[i32],
    amounts: &[f64],
    at: i64,
    half_lives: &[f64],
) -> Vec<f64> {
    for ((&slot, &amount), &half_life) in slots.iter().zip(amounts).zip(half_lives) {
        let Ok(slot) = usize::try_from(slot) else {
            continue;
        };
        let kept = at_slot(&state, slot).add(amount, at, half_life);
        put_slot(&mut state, slot, kept);
    }
    state
}
