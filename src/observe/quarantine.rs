//! The quarantine: invalid events are kept, to be looked at and repaired.

use pgrx::pg_sys::{INT8OID, JSONBOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::contract::{Invalid, treated_in};
use super::refusal::{self, Refused};
use crate::math::identifier::time_ordered;
use crate::pg::attempt::attempt_unless_locked;
use crate::pg::clock::{chance, now, to_unix_micros};
use crate::pg::json::Json;
use crate::pg::{Session, Statement, datum};
use crate::policy;

thread_local! {
    static KEEP: Statement = const { Statement::new(
        "INSERT INTO decide.quarantine (quarantine_id, received_at, user_key, reasons, payload, event_type, treated) \
         VALUES ($1, $2, $3, $4, $5 - 'user_id', $6, $7)",
        &[UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTARRAYOID, JSONBOID, TEXTOID, TEXTARRAYOID]) };
    static KEEP_ROWS: Statement = const { Statement::new(
        "INSERT INTO decide.quarantine (quarantine_id, received_at, reasons, payload) \
         VALUES ($1, $2, ARRAY[$3], pg_catalog.jsonb_build_object('table', $4, 'type', $5, 'rows', $6))",
        &[UUIDOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, INT8OID]) };
    static REPAIR: Statement = const { Statement::new(include_str!("repaired.sql"), &[UUIDOID, JSONBOID]) };
    static UPDATE: Statement = const { Statement::new(
        "UPDATE decide.quarantine AS q \
            SET reasons = ARRAY(SELECT r.reason FROM pg_catalog.unnest(q.reasons) AS r (reason) \
                                 WHERE r.reason LIKE 'mapping_failed: %') || $2, \
                user_key = COALESCE($3, q.user_key), event_type = COALESCE($5, q.event_type), \
                payload = $4 - 'user_id', treated = $6 \
          WHERE q.quarantine_id = $1 AND $4 IS NOT NULL",
        &[UUIDOID, TEXTARRAYOID, UUIDOID, JSONBOID, TEXTOID, TEXTARRAYOID]) };
    static REMOVE: Statement = const { Statement::new(
        "DELETE FROM decide.quarantine AS q WHERE q.quarantine_id = $1", &[UUIDOID]) };
    static WITH_REASON: Statement = const { Statement::new(
        "SELECT q.quarantine_id FROM decide.quarantine AS q \
          WHERE EXISTS (SELECT 1 FROM pg_catalog.unnest(q.reasons) AS r (reason) \
                         WHERE r.reason = $1 OR pg_catalog.split_part(r.reason, ':', 1) = $1) \
          ORDER BY q.user_key, q.quarantine_id", &[TEXTOID]) };
}

/// Keeps an invalid event, without its user_id; false if it must not be kept, and is only counted.
pub fn keep(invalid: &Invalid<'_>, received: i64) -> bool {
    if let Some(refusal) = refusal::of_invalid(invalid) {
        let mut refused = Refused::default();
        refused.note(refusal, invalid.kind.unwrap_or_default());
        refused.write();
        return false;
    }
    let (reasons, treated) = (reasons(invalid), treated(invalid));
    KEEP.with(|statement| {
        let args = [
            datum::uuid(time_ordered(to_unix_micros(received), chance())),
            datum::timestamp(received),
            invalid.user_key.and_then(datum::uuid),
            datum::texts(&reasons),
            invalid.payload.map(|json| json.datum()),
            datum::optional_text(invalid.kind),
            datum::texts(&treated),
        ];
        statement.write(&args, |_| {})
    });
    true
}

/// Keeps that rows of a table could not become events, and the SQLSTATE of the error that prevented it. Warns where that
/// cannot be kept either.
pub fn keep_rows(relation: &str, kind: &str, rows: i64, state: &str) {
    let reason = format!("mapping_failed: {state}");
    let _session = Session::open();
    let kept = attempt_unless_locked(|| {
        let received = now();
        let args = [
            datum::uuid(time_ordered(to_unix_micros(received), chance())),
            datum::timestamp(received),
            datum::text(&reason),
            datum::text(relation),
            datum::text(kind),
            datum::int8(rows),
        ];
        KEEP_ROWS.with(|statement| statement.write(&args, |_| {}))
    });
    if kept.is_err() {
        pgrx::warning!("table {relation}: rows that have not become events: {rows}: {reason}");
    }
}

/// Keeps on an event that is invalid again, with the reasons that are left.
pub fn update(id: Uuid, invalid: &Invalid<'_>) {
    let (reasons, treated) = (reasons(invalid), treated(invalid));
    UPDATE.with(|statement| {
        let args = [
            datum::uuid(id),
            datum::texts(&reasons),
            invalid.user_key.and_then(datum::uuid),
            invalid.payload.map(|json| json.datum()),
            datum::optional_text(invalid.kind),
            datum::texts(&treated),
        ];
        statement.write(&args, |_| {})
    });
}

/// Attributes of its payload that are not what they were.
fn treated(invalid: &Invalid<'_>) -> Vec<Option<String>> {
    let (Some(payload), Ok(bundle)) = (&invalid.payload, policy::live()) else {
        return Vec::new();
    };
    let treated = treated_in(payload, &bundle).into_iter();
    treated.map(|name| Some(name.to_owned())).collect()
}

fn reasons<'a>(invalid: &'a Invalid<'_>) -> Vec<Option<&'a String>> {
    invalid.reasons.iter().map(Some).collect()
}

pub fn remove(id: Uuid) {
    REMOVE.with(|statement| statement.write(&[datum::uuid(id)], |_| {}));
}

/// The events that have a reason, given whole or by its code; those of one user beside each other. Needs an open
/// session.
pub fn with_reason(reason: &str) -> Vec<Uuid> {
    let mut ids = Vec::new();
    WITH_REASON.with(|statement| {
        statement.read(&[datum::text(reason)], |row| ids.extend(row.uuid(1)));
    });
    ids
}

/// A quarantined event with a patch in it.
pub struct Repaired<'a> {
    pub user_key: Option<Uuid>,
    pub received: i64,
    pub event: Json<'a>,
    /// A client has sent it with an event_id that is reserved for rows of tracked tables.
    pub was_reserved: bool,
    /// Attributes that were coarsened or hashed before, and are not in the patch.
    pub done: Vec<String>,
}

/// Locks a quarantined event, if it is there, and hands it to `then` with the patch in it.
pub fn repair(id: Uuid, patch: &Json<'_>, mut then: impl FnMut(Repaired<'_>)) {
    REPAIR.with(|statement| {
        let args = [datum::uuid(id), Some(patch.datum())];
        statement.write(&args, |row| {
            if let (Some(received), Some(event)) = (row.timestamp(2), row.json(3)) {
                then(Repaired {
                    user_key: row.uuid(1),
                    received,
                    event,
                    was_reserved: row.must(4),
                    done: row
                        .get::<Vec<Option<String>>>(5)
                        .into_iter()
                        .flatten()
                        .flatten()
                        .collect(),
                });
            }
        })
    });
}
