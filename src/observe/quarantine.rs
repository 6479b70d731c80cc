//! The quarantine: bad events are kept for somebody to look at, repaired and tracked again.

use pgrx::pg_sys::{JSONBOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::contract::{Invalid, Sender, Who};
use super::{Ingest, Receipt};
use crate::error::Error;
use crate::math::identifier::time_ordered;
use crate::pg::clock::{chance, to_unix_micros};
use crate::pg::json::{Field, Json};
use crate::pg::{Session, Statement, datum, session};

thread_local! {
    static KEEP: Statement = const { Statement::new(
        "INSERT INTO decide.quarantine (quarantine_id, received_at, user_key, reasons, payload, event_type) \
         VALUES ($1, $2, $3, $4, $5 - 'user_id', $6)",
        &[UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTARRAYOID, JSONBOID, TEXTOID]) };
    static REPAIRED: Statement = const { Statement::new(include_str!("repaired.sql"), &[UUIDOID, JSONBOID]) };
    static KEEP_ON: Statement = const { Statement::new(
        "UPDATE decide.quarantine AS q \
            SET reasons = ARRAY(SELECT r.reason FROM pg_catalog.unnest(q.reasons) AS r (reason) \
                                 WHERE r.reason LIKE 'mapping_failed: %') || $2, \
                user_key = COALESCE($3, q.user_key), event_type = COALESCE($5, q.event_type), \
                payload = $4 - 'user_id' \
          WHERE q.quarantine_id = $1 AND $4 IS NOT NULL",
        &[UUIDOID, TEXTARRAYOID, UUIDOID, JSONBOID, TEXTOID]) };
    static REMOVE: Statement = const { Statement::new(
        "DELETE FROM decide.quarantine AS q WHERE q.quarantine_id = $1", &[UUIDOID]) };
    static OF_REASON: Statement = const { Statement::new(
        "SELECT q.quarantine_id FROM decide.quarantine AS q \
          WHERE EXISTS (SELECT 1 FROM pg_catalog.unnest(q.reasons) AS r (reason) \
                         WHERE r.reason = $1 OR pg_catalog.split_part(r.reason, ':', 1) = $1) \
          ORDER BY q.user_key, q.quarantine_id", &[TEXTOID]) };
}

/// Keeps a bad event, without its user_id. Needs an open session.
pub fn keep(bad: &Invalid<'_>, received: i64) {
    let reasons = reasons(bad);
    KEEP.with(|statement| {
        let args = [
            datum::uuid(time_ordered(to_unix_micros(received), chance())),
            datum::timestamp(received),
            bad.user_key.and_then(datum::uuid),
            datum::texts(&reasons),
            bad.payload.map(|json| json.datum()),
            datum::optional_text(bad.kind),
        ];
        statement.write(&args, |_| {})
    });
}

fn reasons<'a>(bad: &'a Invalid<'_>) -> Vec<Option<&'a String>> {
    bad.reasons.iter().map(Some).collect()
}

/// Tracks a quarantined event again, with what `patch` changes in it. It leaves the quarantine
/// unless it is still bad; then it stays, as patched, with the reasons that are left. One that a patch
/// would make too large or too deep stays as it was.
pub fn release(id: Uuid, patch: &Json<'_>) -> Result<Receipt, Error> {
    must_be_object(patch)?;
    let unknown = || Error::UnknownQuarantined(id.to_string());
    release_if_there(&mut Ingest::open(Sender::Row)?, id, patch).ok_or_else(unknown)
}

/// The same for all events that have a reason, given whole or by its code. How many were accepted,
/// were duplicates, and stay.
pub fn release_all(reason: &str, patch: &Json<'_>) -> Result<[i64; 3], Error> {
    must_be_object(patch)?;
    let mut ingest = Ingest::open(Sender::Row)?;
    let _session = Session::open();
    let mut ids = Vec::new();
    OF_REASON.with(|statement| {
        statement.read(&[datum::text(reason)], |row| ids.extend(row.uuid(1)));
    });
    let mut counts = [0; 3];
    for id in ids {
        // Another session may have released it meanwhile.
        if let Some(taken) = release_if_there(&mut ingest, id, patch) {
            counts[taken.place()] += 1;
        }
        session::check_interrupts();
    }
    Ok(counts)
}

fn release_if_there(ingest: &mut Ingest, id: Uuid, patch: &Json<'_>) -> Option<Receipt> {
    let _session = Session::open();
    let mut answer = None;
    REPAIRED.with(|statement| {
        let args = [datum::uuid(id), Some(patch.datum())];
        statement.write(&args, |row| {
            let (user_key, received) = (row.uuid(1), row.timestamp(2));
            // One that has come from a client does not become one of a row.
            ingest.sender = match row.must(4) {
                true => Sender::Client,
                false => Sender::Row,
            };
            if let (Some(received), Some(event)) = (received, row.json(3)) {
                answer = Some(again(ingest, id, &event, user_key, received));
            }
        })
    });
    answer
}

fn must_be_object(patch: &Json<'_>) -> Result<(), Error> {
    match patch.is_object() {
        true => Ok(()),
        false => Err(Error::PatchNotObject),
    }
}

/// Its lateness is judged by when it was received: it is not too late for having been looked at.
fn again(
    ingest: &Ingest,
    id: Uuid,
    event: &Json<'_>,
    user_key: Option<Uuid>,
    received: i64,
) -> Receipt {
    let who = match (user_key, event.get("user_id")) {
        (Some(user_key), None | Some(Field::Null)) => Who::Known(user_key),
        _ => Who::Named,
    };
    match ingest.take(event, who, received) {
        Ok(taken) => {
            REMOVE.with(|statement| statement.write(&[datum::uuid(id)], |_| {}));
            taken
        }
        Err(bad) => {
            let reasons = reasons(&bad);
            KEEP_ON.with(|statement| {
                let args = [
                    datum::uuid(id),
                    datum::texts(&reasons),
                    bad.user_key.and_then(datum::uuid),
                    bad.payload.map(|json| json.datum()),
                    datum::optional_text(bad.kind),
                ];
                statement.write(&args, |_| {})
            });
            Receipt::Quarantined
        }
    }
}
