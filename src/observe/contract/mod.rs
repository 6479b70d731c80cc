//! What an event must look like, and everything that is wrong with one that does not.

mod fields;
mod moment;

use uuid::Uuid;

use super::fact::{Fact, Origin};
use crate::govern::pseudonym::{self, Key};
use crate::math::identifier::moment_of;
use crate::pg::json::{Field, Json};
use crate::policy::{Bundle, Contract, Unknown};
use crate::settings;

/// A good event; borrowed from the jsonb that it came in, and from the bundle that it was read by.
pub struct Event<'a> {
    pub event_id: String,
    pub kind: &'a str,
    pub user_key: Uuid,
    /// Microseconds since 2000.
    pub at: i64,
    pub received: i64,
    pub action: Option<&'a str>,
    pub surface: Option<&'a str>,
    pub decision_id: Option<Uuid>,
    pub value: Option<f64>,
    pub attributes: Option<Json<'a>>,
    pub contract: &'a Contract,
}

/// A bad event: the reasons, and what may be kept of it.
pub struct Invalid<'a> {
    pub reasons: Vec<String>,
    pub kind: Option<&'a str>,
    pub user_key: Option<Uuid>,
    pub payload: Option<Json<'a>>,
}

/// Whose event it is.
#[derive(Clone, Copy)]
pub enum Who {
    /// The user whom its user_id names.
    Named,
    /// One whose pseudonym was taken before; a user_id in the event is not looked at.
    Known(Uuid),
}

/// Who tells of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Anybody who may track.
    Client,
    /// The trigger of a tracked table.
    Row,
}

/// How the event_ids of rows begin. Clients may not use it: who sent the event_id of a row that is yet to be
/// written would make the row's own event a duplicate.
const OF_ROWS: &str = "row:";

/// By what an event is read.
pub struct Terms<'a> {
    pub bundle: &'a Bundle,
    pub key: &'a Key,
    /// When it came in, and what time it is.
    pub received: i64,
    pub now: i64,
    pub sender: Sender,
}

/// Longest identifier or name, in bytes.
const LONGEST: usize = 512;

/// Deepest nesting: deep enough for any event, and far from what exhausts a server's stack.
const DEEPEST: usize = 200;

impl<'a> Invalid<'a> {
    /// An event of which nothing can be said but why.
    pub fn unreadable(reason: &str) -> Invalid<'a> {
        Invalid {
            reasons: vec![reason.to_owned()],
            kind: None,
            user_key: None,
            payload: None,
        }
    }
}

impl<'a> Event<'a> {
    /// The event, or everything that is wrong with it.
    pub fn read(json: &Json<'a>, who: Who, terms: &Terms<'a>) -> Result<Event<'a>, Invalid<'a>> {
        if !json.is_object() {
            return Err(Invalid::unreadable("not_an_object"));
        }
        let mut reader = Reader {
            json,
            reasons: Vec::new(),
        };
        if json.size() > settings::max_context_bytes() {
            return Err(reader.unkept("too_large"));
        }
        if json.deeper_than(DEEPEST) {
            return Err(reader.unkept("too_deep"));
        }
        let user_key = match who {
            Who::Known(user_key) => Some(user_key),
            Who::Named => reader
                .identifier("user_id", pseudonym::LONGEST)
                .map(|user_id| terms.key.of(&user_id)),
        };
        let event_id = reader.identifier("event_id", LONGEST);
        let of_row = |id: &String| id.starts_with(OF_ROWS);
        if terms.sender == Sender::Client && event_id.as_ref().is_some_and(of_row) {
            reader.fault("reserved", "event_id");
        }
        let kind = reader.required("type");
        let contract = reader.contract(kind, terms.bundle);
        let at = reader.at(contract, terms);
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
            if let Some(code) = fault {
                reader.fault(code, &rule.path);
            }
        }
        let reasons = reader.reasons;
        match (event_id, kind, user_key, at) {
            (Some(event_id), Some(kind), Some(user_key), Some(at)) if reasons.is_empty() => {
                Ok(Event {
                    event_id,
                    kind,
                    user_key,
                    at,
                    received: terms.received,
                    action,
                    surface,
                    decision_id,
                    value,
                    attributes,
                    contract,
                })
            }
            (_, kind, user_key, _) => Err(Invalid {
                reasons,
                kind,
                user_key,
                payload: Some(*json),
            }),
        }
    }

    /// What features see of it.
    pub fn fact(&self, bundle: &'a Bundle) -> Fact<'a> {
        Fact {
            at: self.at,
            action: self.action,
            surface: self.surface,
            value: self.value,
            attributes: self.attributes,
            origin: Origin::Incoming(bundle),
        }
    }
}

/// Reads the fields that every event has, and gathers what is wrong.
struct Reader<'r, 'a> {
    json: &'r Json<'a>,
    reasons: Vec<String>,
}

impl<'a> Reader<'_, 'a> {
    /// An object that must not be kept as it is.
    fn unkept(&self, reason: &str) -> Invalid<'a> {
        Invalid {
            kind: clean(self.field("type")),
            ..Invalid::unreadable(reason)
        }
    }

    fn fault(&mut self, code: &str, field: &str) {
        let reason = format!("{code}: {field}");
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
                self.fault("missing", name);
                return None;
            }
            Some(Field::Text(text)) => Some(text.to_owned()),
            Some(_) => self.json.bigint(name).map(|number| number.to_string()),
        };
        let clean = text.filter(|text| !text.trim().is_empty() && text.len() <= longest);
        if clean.is_none() {
            self.fault("bad_identifier", name);
        }
        clean
    }

    fn required(&mut self, name: &str) -> Option<&'a str> {
        if self.field(name).is_none() {
            self.fault("missing", name);
        }
        self.text(name)
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let field = self.field(name)?;
        let text = clean(Some(field));
        if text.is_none() {
            self.fault("bad_text", name);
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
            Err(Unknown::Type) => self.fault("unknown_type", "type"),
            Err(Unknown::Schema) => self.fault("unknown_schema", "schema"),
        }
        open
    }

    fn at(&mut self, contract: &Contract, terms: &Terms<'_>) -> Option<i64> {
        let at = match self.field("at") {
            None => {
                self.fault("missing", "at");
                return None;
            }
            Some(Field::Text(text)) => moment::parse(text),
            Some(_) => None,
        };
        match at {
            None => self.fault("bad_time", "at"),
            Some(at) if at > terms.now.saturating_add(contract.future_tolerance) => {
                self.fault("future", "at");
            }
            Some(at) if at < contract.oldest(terms.received, terms.now) => {
                self.fault("too_late", "at");
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
            self.fault("bad_decision", "decision_id");
        }
        ours
    }

    fn number(&mut self) -> Option<f64> {
        match self.field("value") {
            None => None,
            Some(Field::Number(number)) if number.is_finite() => Some(number),
            Some(_) => {
                self.fault("bad_number", "value");
                None
            }
        }
    }

    fn attributes(&mut self) -> Option<Json<'a>> {
        match self.field("attributes") {
            None => None,
            Some(Field::Object(object)) => Some(object),
            Some(_) => {
                self.fault("not_an_object", "attributes");
                None
            }
        }
    }
}

/// A field that is there and not null.
fn present<'a>(json: &Json<'a>, name: &str) -> Option<Field<'a>> {
    json.get(name).filter(|field| !matches!(field, Field::Null))
}

/// A text that can be a name: not empty and not too long.
fn clean<'a>(field: Option<Field<'a>>) -> Option<&'a str> {
    match field {
        Some(Field::Text(text)) if !text.trim().is_empty() && text.len() <= LONGEST => Some(text),
        _ => None,
    }
}
