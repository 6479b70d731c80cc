//! Events that are not kept, whatever they say: those of the past of a person who was erased, and those of a
//! purpose that their user denies. They are counted, without identity.

use std::collections::BTreeMap;

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID};
use uuid::Uuid;

use super::contract::{Event, Invalid, parse_time};
use crate::govern::tombstone;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::json::{Field, Json};
use crate::pg::{Statement, datum, session};
use crate::policy::{self, Bundle, Region, UserRow};

thread_local! {
    static COUNT: Statement = const { Statement::new(
        "INSERT INTO decide.refused_event AS r (day, why, event_type, stripe, events) \
         VALUES ((pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::pg_catalog.date, $1, $2, $3, $4) \
         ON CONFLICT (day, why, event_type, stripe) DO UPDATE SET events = r.events + excluded.events",
        &[TEXTOID, TEXTOID, INT4OID, INT8OID]) };
}

/// Why an event is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It is of the past of a person who was erased, or follows from a decision of that past.
    Erased,
    /// Its user does not consent to the purpose of its type.
    Consent,
}

impl Refusal {
    /// Why the event must not be kept, by the row of its user.
    pub fn of(event: &Event<'_>, row: &UserRow, bundle: &Bundle) -> Option<Refusal> {
        let is_past = row.not_before.is_some_and(|not_before| {
            let decided = event.decision_id.and_then(moment_of).map(from_unix_micros);
            event.at <= not_before
                || event.received <= not_before
                || decided.is_some_and(|decided_at| decided_at <= not_before)
        });
        let is_denied = || {
            let region = region_of(row, event.attributes.as_ref(), bundle);
            event.contract.needs & bundle.denied(row, region) != 0
        };
        match is_past {
            true => Some(Refusal::Erased),
            false if event.contract.needs != 0 && is_denied() => Some(Refusal::Consent),
            false => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Refusal::Erased => "erased",
            Refusal::Consent => "consent",
        }
    }
}

/// How many events were refused, by reason and type; written once for a call.
#[derive(Default)]
pub struct Refused(BTreeMap<(Refusal, String), i64>);

impl Refused {
    pub fn note(&mut self, refusal: Refusal, kind: &str) {
        *self.0.entry((refusal, kind.to_owned())).or_default() += 1;
    }

    /// Adds them to the counts of this process, which no other session changes.
    pub fn write(&mut self) {
        for ((refusal, kind), events) in std::mem::take(&mut self.0) {
            COUNT.with(|statement| {
                let args = [
                    datum::text(refusal.as_str()),
                    datum::text(&kind),
                    datum::int4(session::process()),
                    datum::int8(events),
                ];
                statement.write(&args, |_| {})
            });
        }
    }
}

/// Why an invalid event must not be kept in the quarantine either. What cannot be dated is taken to be of the past.
pub fn of_invalid(invalid: &Invalid<'_>) -> Option<Refusal> {
    let user_key = invalid.user_key?;
    let at = || match invalid.payload?.get("at")? {
        Field::Text(text) => parse_time(text),
        _ => None,
    };
    let decided = || match invalid.payload?.get("decision_id")? {
        Field::Text(text) => moment_of(Uuid::parse_str(text).ok()?).map(from_unix_micros),
        _ => None,
    };
    let is_past = |erased_at| {
        at().is_none_or(|at| at <= erased_at) || decided().is_some_and(|then| then <= erased_at)
    };
    if tombstone::erased_at(user_key).is_some_and(is_past) {
        return Some(Refusal::Erased);
    }
    let bundle = policy::live()
        .ok()
        .filter(|bundle| !bundle.purposes.is_empty())?;
    let needs = bundle.contracts.needs(invalid.kind?);
    let mut row = UserRow::default();
    row.read_living(user_key);
    let attributes = match invalid
        .payload
        .and_then(|payload| payload.get("attributes"))
    {
        Some(Field::Object(attributes)) => Some(attributes),
        _ => None,
    };
    let region = region_of(&row, attributes.as_ref(), &bundle);
    (needs & bundle.denied(&row, region) != 0).then_some(Refusal::Consent)
}

/// The region of a user, by their row, or else by an attribute of the event.
fn region_of<'b>(
    row: &UserRow,
    attributes: Option<&Json<'_>>,
    bundle: &'b Bundle,
) -> Option<&'b Region> {
    if bundle.regions.is_empty() {
        return None;
    }
    let said = bundle.context_fields.of_events.region();
    let said = match attributes.zip(said).and_then(|(all, name)| all.get(name)) {
        Some(Field::Text(region)) => Some(region),
        _ => None,
    };
    bundle.regions.at(bundle.region_of(row, said))
}

/// Whether all events of a user who has no row are refused: then none is made for them.
pub fn refuses_all(
    user_key: Uuid,
    events: &[Event<'_>],
    bundle: &Bundle,
    refused: &mut Refused,
) -> bool {
    let row = UserRow::to_be_made(user_key);
    let refusals = events
        .iter()
        .map(|event| Some((event, Refusal::of(event, &row, bundle)?)));
    let Some(refusals) = refusals.collect::<Option<Vec<_>>>() else {
        return false;
    };
    for (event, refusal) in refusals {
        refused.note(refusal, event.kind);
    }
    true
}
