//! Reads an event, field by field, and gathers all that is wrong with it.

use uuid::Uuid;

use super::coarsen::coarsened;
use super::event::{Arrival, Event, EventUser, Invalid, Sender};
use super::fields::{self, present};
use super::moment;
use super::reason::Reason;
use crate::govern::pseudonym::{self, Keys};
use crate::math::identifier::moment_of;
use crate::pg::json::{Field, Json};
use crate::policy::{Bundle, Contract, Seen, Unknown, user_key_of};
use crate::settings;

/// How the event_ids of rows begin. Clients may not use it: a client that sent the event_id of a row that is yet to
/// be written would make the row's own event a duplicate.
const OF_ROWS: &str = "row:";

/// Longest identifier or name, in bytes.
const LONGEST: usize = 512;

/// Deepest nesting: deep enough for any event, and far from exhausting a server's stack.
const DEEPEST: usize = 200;

/// The event, or everything that is wrong with it.
pub fn read<'a>(
    json: &Json<'a>,
    arrival: &Arrival<'_>,
    bundle: &'a Bundle,
    keys: &Keys,
    now: i64,
) -> Result<Event<'a>, Invalid<'a>> {
    if !json.is_object() {
        return Err(Invalid::because(Reason::NotAnObject));
    }
    let reader = Reader {
        json,
        reasons: Vec::new(),
    };
    if json.size() > settings::max_context_bytes() {
        return Err(reader.unkept(Reason::TooLarge));
    }
    if json.deeper_than(DEEPEST) {
        return Err(reader.unkept(Reason::TooDeep));
    }
    let known = coarsened(json, arrival.done, bundle, keys);
    let json = known.as_ref().unwrap_or(json);
    let mut reader = Reader {
        json,
        reasons: Vec::new(),
    };
    let user_key = match arrival.user {
        EventUser::ByKey(user_key) => Some(user_key),
        EventUser::ByUserId => reader
            .identifier("user_id", pseudonym::LONGEST)
            .map(|user_id| user_key_of(keys, &user_id, Seen::ToWrite)),
    };
    let event_id = reader.identifier("event_id", LONGEST);
    let of_row = |id: &String| id.starts_with(OF_ROWS);
    if arrival.sender == Sender::Client && event_id.as_ref().is_some_and(of_row) {
        reader.fault(Reason::Reserved, "event_id");
    }
    let kind = reader.required("type");
    let contract = reader.contract(kind, bundle);
    let at = reader.at(contract, arrival.received, now);
    let action = reader.text("action");
    let surface = reader.text("surface");
    let decision_id = reader.decision();
    let value = reader.number();
    let attributes = reader.attributes();
    for rule in &contract.fields {
        let fault = match &rule.attribute {
            Some(name) => fields::fault(rule, attributes.as_ref(), name),
            None => fields::fault(rule, Some(json), &rule.path),
        };
        if let Some(reason) = fault {
            reader.fault(reason, &rule.path);
        }
    }
    let reasons = reader.reasons;
    match (event_id, kind, user_key, at) {
        (Some(event_id), Some(kind), Some(user_key), Some(at)) if reasons.is_empty() => Ok(Event {
            event_id,
            kind,
            user_key,
            at,
            received: arrival.received,
            action,
            surface,
            decision_id,
            value,
            attributes,
            contract,
        }),
        (_, kind, user_key, _) => Err(Invalid {
            reasons,
            kind,
            user_key,
            payload: Some(*json),
        }),
    }
}

/// The event that is being read, and what is wrong with it so far.
struct Reader<'r, 'a> {
    json: &'r Json<'a>,
    reasons: Vec<String>,
}

impl<'a> Reader<'_, 'a> {
    /// An object whose payload must not be kept.
    fn unkept(&self, reason: Reason) -> Invalid<'a> {
        Invalid {
            kind: valid_name(self.field("type")),
            ..Invalid::because(reason)
        }
    }

    fn fault(&mut self, reason: Reason, field: &str) {
        let reason = reason.about(field);
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// A field that is there and not null.
    fn field(&self, name: &str) -> Option<Field<'a>> {
        present(self.json, name)
    }

    /// A text or a bigint, not empty and not too long.
    fn identifier(&mut self, name: &str, longest: usize) -> Option<String> {
        let text = match self.field(name) {
            None => {
                self.fault(Reason::Missing, name);
                return None;
            }
            Some(Field::Text(text)) => Some(text.to_owned()),
            Some(_) => self.json.bigint(name).map(|number| number.to_string()),
        };
        let valid = text.filter(|text| !text.trim().is_empty() && text.len() <= longest);
        if valid.is_none() {
            self.fault(Reason::BadIdentifier, name);
        }
        valid
    }

    fn required(&mut self, name: &str) -> Option<&'a str> {
        if self.field(name).is_none() {
            self.fault(Reason::Missing, name);
        }
        self.text(name)
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let field = self.field(name)?;
        let text = valid_name(Some(field));
        if text.is_none() {
            self.fault(Reason::BadText, name);
        }
        text
    }

    /// The contract of the event's type and version. Where there is none, and that is a fault, the
    /// rest is read as if every type were taken in.
    fn contract(&mut self, kind: Option<&str>, bundle: &'a Bundle) -> &'a Contract {
        let version = match self.field("schema") {
            None => Some(1),
            Some(_) => self.json.bigint("schema"),
        };
        let version = version.and_then(|version| i16::try_from(version).ok());
        let open = bundle.contracts.open();
        let Some(kind) = kind else {
            return open;
        };
        match bundle.contracts.of(kind, version) {
            Ok(contract) => return contract,
            Err(Unknown::Type) => self.fault(Reason::UnknownType, "type"),
            Err(Unknown::Schema) => self.fault(Reason::UnknownSchema, "schema"),
        }
        open
    }

    fn at(&mut self, contract: &Contract, received: i64, now: i64) -> Option<i64> {
        let at = match self.field("at") {
            None => {
                self.fault(Reason::Missing, "at");
                return None;
            }
            Some(Field::Text(text)) => moment::parse(text),
            Some(_) => None,
        };
        match at {
            None => self.fault(Reason::BadTime, "at"),
            Some(at) if at > now.saturating_add(contract.future_tolerance) => {
                self.fault(Reason::Future, "at");
            }
            Some(at) if at < contract.oldest(received, now) => {
                self.fault(Reason::TooLate, "at");
            }
            Some(_) => {}
        }
        at
    }

    fn decision(&mut self) -> Option<Uuid> {
        let id = match self.field("decision_id") {
            None => return None,
            Some(Field::Text(text)) => Uuid::parse_str(text).ok(),
            Some(_) => None,
        };
        let ours = id.filter(|id| moment_of(*id).is_some());
        if ours.is_none() {
            self.fault(Reason::BadDecision, "decision_id");
        }
        ours
    }

    fn number(&mut self) -> Option<f64> {
        match self.field("value") {
            None => None,
            Some(Field::Number(number)) if number.is_finite() => Some(number),
            Some(_) => {
                self.fault(Reason::BadNumber, "value");
                None
            }
        }
    }

    fn attributes(&mut self) -> Option<Json<'a>> {
        match self.field("attributes") {
            None => None,
            Some(Field::Object(object)) => Some(object),
            Some(_) => {
                self.fault(Reason::NotAnObject, "attributes");
                None
            }
        }
    }
}

/// A text that is a valid name: not empty and not too long.
fn valid_name<'a>(field: Option<Field<'a>>) -> Option<&'a str> {
    match field {
        Some(Field::Text(text)) if !text.trim().is_empty() && text.len() <= LONGEST => Some(text),
        _ => None,
    }
}
