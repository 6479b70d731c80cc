//! Events, outcomes and the quarantine in their tables. All of it needs an open session.

use pgrx::pg_sys::{FLOAT8OID, JSONBOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::contract::{Bad, Event};
use crate::math::identifier::{moment_of, time_ordered};
use crate::pg::clock::{self, chance, from_unix_micros, to_unix_micros};
use crate::pg::{Statement, datum};
use crate::policy::{Amount, Bundle};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "INSERT INTO decide.user_state AS s (user_key) VALUES ($1) \
         ON CONFLICT (user_key) DO UPDATE SET updated_at = s.updated_at WHERE false",
        &[UUIDOID]) };
    static EVENT: Statement = const { Statement::new(
        "INSERT INTO decide.event (user_key, event_id, at, received_at, type, action, surface, \
                                   decision_id, value, attributes) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb \
          WHERE NOT EXISTS (SELECT 1 FROM decide.event AS e \
                             WHERE e.user_key = $1 AND e.event_id = $2 AND e.at >= $11 AND e.at <= $12) \
         ON CONFLICT DO NOTHING",
        &[UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID,
          FLOAT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID]) };
    static OUTCOME: Statement = const { Statement::new(
        "INSERT INTO decide.outcome (user_key, decision_id, event_id, decided_at, at, type, action, value) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        &[UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, FLOAT8OID]) };
    static QUARANTINE: Statement = const { Statement::new(
        "INSERT INTO decide.quarantine (quarantine_id, received_at, user_key, reasons, payload) \
         VALUES ($1, $2, $3, $4, $5 - 'user_id')",
        &[UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTARRAYOID, JSONBOID]) };
}

/// Locks the row of the user, or makes one, until the transaction ends.
pub fn lock_user(user_key: Uuid) {
    LOCK.with(|statement| statement.write(&[datum::uuid(user_key)], |_| {}));
}

/// How far apart in time two events of one identifier are still the same event.
const DEDUP_HORIZON: i64 = clock::DAY;

/// Stores the event unless it is there already; whether it did.
pub fn event(event: &Event<'_>, user_key: Uuid, bundle: &Bundle, now: i64) -> bool {
    let attributes = kept_attributes(event, bundle).map(|kept| kept.to_string());
    EVENT.with(|statement| {
        let args = [
            datum::uuid(user_key),
            datum::text(&event.event_id),
            datum::timestamp(event.at),
            datum::timestamp(now),
            datum::text(event.kind),
            datum::optional_text(event.action),
            datum::optional_text(event.surface),
            event.decision_id.and_then(datum::uuid),
            event.value.and_then(datum::float8),
            datum::optional_text(attributes.as_deref()),
            datum::timestamp(event.at - DEDUP_HORIZON),
            datum::timestamp(event.at + DEDUP_HORIZON),
        ];
        statement.write(&args, |_| {}) == 1
    })
}

/// Only the attributes that a feature adds up; the rest is not kept.
fn kept_attributes(event: &Event<'_>, bundle: &Bundle) -> Option<Value> {
    let mut kept = Map::new();
    for &i in bundle.features_of.get(event.kind)? {
        if let Amount::Attribute(name) = &bundle.features[i].amount
            && let Some(number) = event.attribute(name)
        {
            kept.insert(name.clone(), number.into());
        }
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}

/// Joins the event to the decision that it follows from.
pub fn outcome(event: &Event<'_>, user_key: Uuid, decision_id: Uuid) {
    let decided_at = moment_of(decision_id).map_or(0, from_unix_micros);
    OUTCOME.with(|statement| {
        let args = [
            datum::uuid(user_key),
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

/// Keeps a bad event, without its user_id, for somebody to look at.
pub fn quarantine(bad: &Bad<'_>, user_key: Option<Uuid>, now: i64) {
    QUARANTINE.with(|statement| {
        let args = [
            datum::uuid(time_ordered(to_unix_micros(now), chance())),
            datum::timestamp(now),
            user_key.and_then(datum::uuid),
            datum::texts(&bad.reasons),
            bad.payload.map(|json| json.datum()),
        ];
        statement.write(&args, |_| {})
    });
}
