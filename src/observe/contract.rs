//! What an event must look like, and everything that is wrong with one that does not.

use uuid::Uuid;

use crate::govern::pseudonym;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::json::{Field, Json};
use crate::settings;

/// A good event; borrowed from the jsonb that it came in.
pub struct Event<'a> {
    pub event_id: String,
    pub kind: &'a str,
    pub user_id: String,
    /// Microseconds since 2000.
    pub at: i64,
    pub action: Option<&'a str>,
    pub surface: Option<&'a str>,
    pub decision_id: Option<Uuid>,
    pub value: Option<f64>,
    pub attributes: Option<Json<'a>>,
}

/// A bad event: the reasons, and what may be kept of it.
pub struct Bad<'a> {
    pub reasons: Vec<Option<String>>,
    pub user_id: Option<String>,
    pub payload: Option<Json<'a>>,
}

/// How far into the future an event may be dated: clocks differ.
const TOLERANCE: i64 = 300_000_000;

/// Longest identifier or name, in bytes.
const LONGEST: usize = 512;

impl<'a> Event<'a> {
    /// The event, or everything that is wrong with it.
    pub fn read(event: Option<&Json<'a>>, now: i64) -> Result<Event<'a>, Bad<'a>> {
        let reason = |text: &str| vec![Some(text.to_owned())];
        let Some(json) = event else {
            return Err(Bad {
                reasons: reason("not_an_object"),
                user_id: None,
                payload: None,
            });
        };
        if json.size() > settings::max_context_bytes() {
            return Err(Bad {
                reasons: reason("too_large"),
                user_id: None,
                payload: None,
            });
        }
        if !json.is_object() {
            return Err(Bad {
                reasons: reason("not_an_object"),
                user_id: None,
                payload: None,
            });
        }
        let mut reader = Reader {
            json,
            reasons: Vec::new(),
        };
        let user_id = reader.identifier("user_id", pseudonym::LONGEST);
        let event_id = reader.identifier("event_id", LONGEST);
        let kind = reader.required("type");
        let at = reader.moment(now);
        let action = reader.text("action");
        let surface = reader.text("surface");
        let decision_id = reader.decision();
        let value = reader.number();
        let attributes = reader.attributes();
        reader.schema();
        let reasons = reader.reasons;
        match (event_id, kind, user_id, at) {
            (Some(event_id), Some(kind), Some(user_id), Some(at)) if reasons.is_empty() => {
                Ok(Event {
                    event_id,
                    kind,
                    user_id,
                    at,
                    action,
                    surface,
                    decision_id,
                    value,
                    attributes,
                })
            }
            (_, _, user_id, _) => Err(Bad {
                reasons,
                user_id,
                payload: Some(*json),
            }),
        }
    }

    /// A numeric attribute; nothing where it is missing or no ordinary number.
    pub fn attribute(&self, name: &str) -> Option<f64> {
        match self.attributes?.get(name)? {
            Field::Number(number) if number.is_finite() => Some(number),
            _ => None,
        }
    }
}

struct Reader<'r, 'a> {
    json: &'r Json<'a>,
    reasons: Vec<Option<String>>,
}

impl<'a> Reader<'_, 'a> {
    fn fault(&mut self, code: &str, field: &str) {
        self.reasons.push(Some(format!("{code}: {field}")));
    }

    /// A field that is there and not null.
    fn field(&self, name: &str) -> Option<Field<'a>> {
        self.json
            .get(name)
            .filter(|field| !matches!(field, Field::Null))
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
        match self.field(name) {
            None => None,
            Some(Field::Text(text)) if !text.trim().is_empty() && text.len() <= LONGEST => {
                Some(text)
            }
            Some(_) => {
                self.fault("bad_text", name);
                None
            }
        }
    }

    fn moment(&mut self, now: i64) -> Option<i64> {
        let at = match self.field("at") {
            None => {
                self.fault("missing", "at");
                return None;
            }
            Some(Field::Text(text)) => moment(text),
            Some(_) => None,
        };
        match at {
            None => self.fault("bad_time", "at"),
            Some(at) if at > now + TOLERANCE => self.fault("future", "at"),
            Some(_) => return at,
        }
        None
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

    fn schema(&mut self) {
        match self.field("schema") {
            None => {}
            Some(Field::Number(1.0)) => {}
            Some(_) => self.fault("unknown_schema", "schema"),
        }
    }
}

/// A moment with its time zone, as RFC 3339 or as Postgres prints it; in microseconds since 2000.
fn moment(text: &str) -> Option<i64> {
    use chrono::DateTime;
    let parsed = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .ok()?;
    Some(from_unix_micros(parsed.timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn moments_need_a_zone_and_a_real_date() {
        let noon = moment("2026-11-24T12:00:00Z");
        assert_eq!(noon, Some(848_836_800_000_000));
        assert_eq!(moment("2026-11-24T13:00:00.000000+01:00"), noon);
        assert_eq!(moment("2026-11-24 12:00:00+00"), noon);
        for bad in [
            "2026-11-24T12:00:00",
            "2026-02-30T12:00:00Z",
            "now",
            "infinity",
            "",
            "1e400",
        ] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }
}
