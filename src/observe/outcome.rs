//! Outcomes: events joined to the decisions that they follow from.

use pgrx::pg_sys::{FLOAT8OID, INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use super::action;
use super::contract::Event;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::{Statement, datum};
use crate::policy::Bundle;

thread_local! {
    static OUTCOME: Statement = const { Statement::new(
        "INSERT INTO decide.outcome (user_key, decision_id, event_id, decided_at, at, type, action, value, number) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        &[UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, FLOAT8OID, INT4OID]) };
}

/// Stores the outcome of the decision that the event names, if it names one. Needs an open session.
pub fn store(event: &Event<'_>, bundle: &Bundle) {
    let Some(decision_id) = event.decision_id else {
        return;
    };
    let number = action::number(event, decision_id, bundle);
    let decided_at = moment_of(decision_id).map_or(0, from_unix_micros);
    OUTCOME.with(|statement| {
        let args = [
            datum::uuid(event.user_key),
            datum::uuid(decision_id),
            datum::text(&event.event_id),
            datum::timestamp(decided_at),
            datum::timestamp(event.at),
            datum::text(event.kind),
            datum::optional_text(event.action),
            event.value.and_then(datum::float8),
            number.and_then(datum::int4),
        ];
        statement.write(&args, |_| {})
    });
}
