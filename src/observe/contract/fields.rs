//! One field against what the contract says of it.

use uuid::Uuid;

use super::{moment, present};
use crate::pg::json::{Field, Json};
use crate::policy::{FieldRule, Kind};

/// The code of what is wrong with the field of that name, if anything is. Without an object there
/// is no field.
pub fn fault(rule: &FieldRule, object: Option<&Json<'_>>, name: &str) -> Option<&'static str> {
    match object.and_then(|object| present(object, name)) {
        None => rule.required.then_some("missing"),
        Some(field) => of_kind(&rule.kind, field, || {
            object.and_then(|object| object.bigint(name))
        }),
    }
}

fn of_kind(
    kind: &Kind,
    field: Field<'_>,
    bigint: impl FnOnce() -> Option<i64>,
) -> Option<&'static str> {
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
            None => Some("bad_number"),
        },
        (Kind::Time, Field::Text(text)) if moment::parse(text).is_some() => None,
        (Kind::Uuid, Field::Text(text)) if Uuid::parse_str(text).is_ok() => None,
        (Kind::Text { .. }, _) => Some("bad_text"),
        (Kind::Number { .. } | Kind::Integer { .. }, _) => Some("bad_number"),
        (Kind::Boolean, _) => Some("bad_boolean"),
        (Kind::Time, _) => Some("bad_time"),
        (Kind::Uuid, _) => Some("bad_uuid"),
    }
}

fn in_range(number: f64, min: f64, max: f64) -> Option<&'static str> {
    (number < min || number > max).then_some("out_of_range")
}

fn in_text(text: &str, one_of: &[String], max_length: Option<usize>) -> Option<&'static str> {
    // A text of no more bytes has no more characters.
    if max_length.is_some_and(|most| text.len() > most && text.chars().count() > most) {
        Some("too_long")
    } else if !one_of.is_empty() && !one_of.iter().any(|one| one == text) {
        Some("not_allowed")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(number: Option<i64>) -> Option<&'static str> {
        let kind = Kind::Integer {
            min: 0.0,
            max: 10.0,
        };
        of_kind(&kind, Field::Number(1.0), || number)
    }

    fn told(kind: &Kind, field: Field<'_>) -> Option<&'static str> {
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
            (-0.1, Some("out_of_range")),
            (10.1, Some("out_of_range")),
            (f64::INFINITY, Some("bad_number")),
        ] {
            assert_eq!(told(&kind, Field::Number(number)), fault, "{number}");
        }
        assert_eq!(told(&kind, Field::Text("1")), Some("bad_number"));
        assert_eq!(integer(Some(3)), None);
        assert_eq!(integer(Some(11)), Some("out_of_range"));
        assert_eq!(integer(None), Some("bad_number"));
    }

    #[test]
    fn texts_are_counted_in_characters() {
        let kind = Kind::Text {
            one_of: vec!["größe".into(), "größenordnung".into()],
            max_length: Some(5),
        };
        for (text, fault) in [
            ("größe", None),
            ("größer", Some("too_long")),
            ("grün", Some("not_allowed")),
            ("größenordnung", Some("too_long")),
        ] {
            assert_eq!(told(&kind, Field::Text(text)), fault, "{text}");
        }
        assert_eq!(told(&kind, Field::Array), Some("bad_text"));
    }

    #[test]
    fn times_uuids_and_truths_are_what_they_say() {
        let noon = "2026-11-24T12:00:00Z";
        let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        assert_eq!(told(&Kind::Time, Field::Text(noon)), None);
        assert_eq!(told(&Kind::Time, Field::Text("noon")), Some("bad_time"));
        assert_eq!(told(&Kind::Uuid, Field::Text(uuid)), None);
        assert_eq!(told(&Kind::Uuid, Field::Text("x")), Some("bad_uuid"));
        assert_eq!(told(&Kind::Boolean, Field::Bool(false)), None);
        assert_eq!(
            told(&Kind::Boolean, Field::Number(1.0)),
            Some("bad_boolean")
        );
        assert_eq!(told(&Kind::Any, Field::Array), None);
    }
}
