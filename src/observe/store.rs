//! Events and outcomes in their tables. All of it needs an open session.

use pgrx::pg_sys::{FLOAT8OID, INT2OID, INT8OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::contract::Event;
use super::fact::Fact;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::json::Field;
use crate::pg::{Statement, datum};
use crate::policy::Bundle;

thread_local! {
    static EVENT: Statement = const { Statement::new(
        "INSERT INTO decide.event (user_key, event_id, at, received_at, type, action, surface, \
                                   decision_id, value, attributes, schema_version, ordinal) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $13, $14 \
          WHERE NOT EXISTS (SELECT 1 FROM decide.event AS e \
                             WHERE e.user_key = $1 AND e.event_id = $2 AND e.at >= $11 AND e.at <= $12) \
         ON CONFLICT DO NOTHING",
        &[UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID,
          FLOAT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT2OID, INT8OID]) };
    static OUTCOME: Statement = const { Statement::new(
        "INSERT INTO decide.outcome (user_key, decision_id, event_id, decided_at, at, type, action, value) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        &[UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, FLOAT8OID]) };
}

/// Stores the event unless it is there already; whether it did.
pub fn event(
    event: &Event<'_>,
    fact: &Fact<'_>,
    bundle: &Bundle,
    received: i64,
    ordinal: i64,
) -> bool {
    let attributes = kept_attributes(event, fact, bundle).map(|kept| kept.to_string());
    let horizon = event.contract.dedup_horizon;
    EVENT.with(|statement| {
        let args = [
            datum::uuid(event.user_key),
            datum::text(&event.event_id),
            datum::timestamp(event.at),
            datum::timestamp(received),
            datum::text(event.kind),
            datum::optional_text(event.action),
            datum::optional_text(event.surface),
            event.decision_id.and_then(datum::uuid),
            event.value.and_then(datum::float8),
            datum::optional_text(attributes.as_deref()),
            datum::timestamp(event.at - horizon),
            datum::timestamp(event.at + horizon),
            datum::int2(event.contract.version),
            datum::int8(ordinal),
        ];
        statement.write(&args, |_| {}) == 1
    })
}

/// Only the attributes that features look at, and those that the contract keeps; the rest is not kept.
fn kept_attributes(event: &Event<'_>, fact: &Fact<'_>, bundle: &Bundle) -> Option<Value> {
    let mut kept = Map::new();
    for name in &event.contract.keep {
        if let Some(value) = event.attributes.and_then(|all| plain(all.get(name)?)) {
            kept.insert(name.clone(), value);
        }
    }
    for moved in bundle.moved_by.get(event.kind).into_iter().flatten() {
        for (path, number) in bundle.features[moved.feature].paths() {
            fact.keep(path, number, &mut kept);
        }
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}

/// A text, a number or a truth; what is nested is not kept.
fn plain(field: Field<'_>) -> Option<Value> {
    match field {
        Field::Text(text) => Some(text.into()),
        Field::Number(number) if number.is_finite() => Some(number.into()),
        Field::Bool(truth) => Some(truth.into()),
        _ => None,
    }
}

/// Joins the event to the decision that it follows from.
pub fn outcome(event: &Event<'_>, decision_id: Uuid) {
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
        ];
        statement.write(&args, |_| {})
    });
}
