//! One field against the rule that its contract has for it.

use uuid::Uuid;

use super::moment;
use super::reason::Reason;
use crate::pg::json::{Field, Json};
use crate::policy::{FieldRule, Kind};

/// What is wrong with the field of that name. Without an object there is no field.
pub fn fault(rule: &FieldRule, object: Option<&Json<'_>>, name: &str) -> Option<Reason> {
    match object.and_then(|object| present(object, name)) {
        None => rule.required.then_some(Reason::Missing),
        Some(field) => of_kind(&rule.kind, field, || {
            object.and_then(|object| object.bigint(name))
        }),
    }
}

/// A field that is there and not null.
pub fn present<'a>(json: &Json<'a>, name: &str) -> Option<Field<'a>> {
    json.get(name).filter(|field| !matches!(field, Field::Null))
}

fn of_kind(kind: &Kind, field: Field<'_>, bigint: impl FnOnce() -> Option<i64>) -> Option<Reason> {
    match (kind, field) {
        (Kind::Any, _) | (Kind::Boolean, Field::Bool(_)) => None,
        (Kind::Text { one_of, max_length }, Field::Text(text)) => {
            in_text(text, one_of, *max_length)
        }
        (Kind::Number { min, max }, Field::Number(number)) if number.is_finite() => {
            in_range(number, *min, *max)
        }
        (Kind::Integer { min, max }, Field::Number(_)) => match bigint() {
            Some(number) => in_range(number as f64, *min, *max),
            None => Some(Reason::BadNumber),
        },
        (Kind::Time, Field::Text(text)) if moment::parse(text).is_some() => None,
        (Kind::Uuid, Field::Text(text)) if Uuid::parse_str(text).is_ok() => None,
        (Kind::Text { .. }, _) => Some(Reason::BadText),
        (Kind::Number { .. } | Kind::Integer { .. }, _) => Some(Reason::BadNumber),
        (Kind::Boolean, _) => Some(Reason::BadBoolean),
        (Kind::Time, _) => Some(Reason::BadTime),
        (Kind::Uuid, _) => Some(Reason::BadUuid),
    }
}

fn in_range(number: f64, min: f64, max: f64) -> Option<Reason> {
    (number < min || number > max).then_some(Reason::OutOfRange)
}

fn in_text(text: &str, one_of: &[String], max_length: Option<usize>) -> Option<Reason> {
    // A text of no more bytes has no more characters.
    if max_length.is_some_and(|most| text.len() > most && text.chars().count() > most) {
        Some(Reason::TooLong)
    } else if !one_of.is_empty() && !one_of.iter().any(|one| one == text) {
        Some(Reason::NotAllowed)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(number: Option<i64>) -> Option<Reason> {
        let kind = Kind::Integer {
            min: 0.0,
            max: 10.0,
        };
        of_kind(&kind, Field::Number(1.0), || number)
    }

    fn of_field(kind: &Kind, field: Field<'_>) -> Option<Reason> {
        of_kind(kind, field, || None)
    }

    #[test]
    fn numbers_have_a_range_and_no_infinity() {
        let kind = Kind::Number {
            min: 0.0,
            max: 10.0,
        };
        for (number, fault) in [
            (0.0, None),
            (10.0, None),
            (-0.1, Some(Reason::OutOfRange)),
            (10.1, Some(Reason::OutOfRange)),
            (f64::INFINITY, Some(Reason::BadNumber)),
        ] {
            assert_eq!(of_field(&kind, Field::Number(number)), fault, "{number}");
        }
        assert_eq!(of_field(&kind, Field::Text("1")), Some(Reason::BadNumber));
        assert_eq!(integer(Some(3)), None);
        assert_eq!(integer(Some(11)), Some(Reason::OutOfRange));
        assert_eq!(integer(None), Some(Reason::BadNumber));
    }

    #[test]
    fn texts_are_counted_in_characters() {
        let kind = Kind::Text {
            one_of: vec!["größe".into(), "größenordnung".into()],
            max_length: Some(5),
        };
        for (text, fault) in [
            ("größe", None),
            ("größer", Some(Reason::TooLong)),
            ("grün", Some(Reason::NotAllowed)),
            ("größenordnung", Some(Reason::TooLong)),
        ] {
            assert_eq!(of_field(&kind, Field::Text(text)), fault, "{text}");
        }
        assert_eq!(of_field(&kind, Field::Array), Some(Reason::BadText));
    }

    #[test]
    fn times_uuids_and_booleans_are_what_they_say() {
        let noon = "2026-11-24T12:00:00Z";
        let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        assert_eq!(of_field(&Kind::Time, Field::Text(noon)), None);
        assert_eq!(
            of_field(&Kind::Time, Field::Text("noon")),
            Some(Reason::BadTime)
        );
        assert_eq!(of_field(&Kind::Uuid, Field::Text(uuid)), None);
        assert_eq!(
            of_field(&Kind::Uuid, Field::Text("x")),
            Some(Reason::BadUuid)
        );
        assert_eq!(of_field(&Kind::Boolean, Field::Bool(false)), None);
        assert_eq!(
            of_field(&Kind::Boolean, Field::Number(1.0)),
            Some(Reason::BadBoolean)
        );
        assert_eq!(of_field(&Kind::Any, Field::Array), None);
    }
}
