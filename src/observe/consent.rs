//! What a person decides about a purpose: noted in their row, which each decision and each event of theirs reads, and
//! recorded in decide.consent_log. Events tell of it where their contract says so.

use pgrx::pg_sys::{BOOLOID, INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::contract::Event;
use crate::pg::json::Field;
use crate::pg::{Statement, datum, identity};
use crate::policy::{Bundle, UserRow};

thread_local! {
    static RECORD: Statement = const { Statement::new(
        "INSERT INTO decide.consent_log (user_key, purpose, at, granted, source, held, acting_as) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        &[UUIDOID, INT4OID, TIMESTAMPTZOID, BOOLOID, TEXTOID, BOOLOID, TEXTOID]) };
}

/// A decision about a purpose, by its number.
pub struct Consent<'a> {
    pub purpose: i32,
    pub granted: bool,
    pub at: i64,
    pub source: Option<&'a str>,
}

impl Consent<'_> {
    /// Notes it in the row, which must be locked, and records it; whether it is in force, since no newer one is known.
    /// Needs an open session.
    pub fn note(&self, user_key: Uuid, row: &mut UserRow, caller: &str) -> bool {
        let held = row.consents.decide(self.purpose, self.granted, self.at);
        RECORD.with(|statement| {
            let args = [
                datum::uuid(user_key),
                datum::int4(self.purpose),
                datum::timestamp(self.at),
                datum::bool(self.granted),
                datum::optional_text(self.source),
                datum::bool(held),
                datum::text(caller),
            ];
            statement.write(&args, |_| {})
        });
        held
    }
}

/// Notes what an event tells, if its contract says that it tells of a consent.
pub fn of_event(event: &Event<'_>, bundle: &Bundle, row: &mut UserRow) {
    if !event.contract.sets_consent {
        return;
    }
    let attribute = |name| event.attributes.and_then(|all| all.get(name));
    let (Some(Field::Text(purpose)), Some(Field::Bool(granted))) =
        (attribute("purpose"), attribute("granted"))
    else {
        return;
    };
    if let Some(purpose) = bundle.purposes.number(purpose) {
        let consent = Consent {
            purpose,
            granted,
            at: event.at,
            source: Some(event.kind),
        };
        consent.note(event.user_key, row, &identity::current_name());
    }
}
