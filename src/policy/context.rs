//! Context fields: what models see of them, and the text form in which traces keep them.

use crate::math::model::Value;
use crate::pg::json::Field;

/// A field as models see it: numbers and texts as they are, booleans as 1 or 0.
pub fn context_value(field: Option<Field<'_>>) -> Value<'_> {
    match field {
        Some(Field::Number(number)) if number.is_finite() => Value::Number(number),
        Some(Field::Bool(flag)) => Value::Number(f64::from(u8::from(flag))),
        Some(Field::Text(text)) => Value::Text(text),
        _ => Value::Missing,
    }
}

/// The text that a trace keeps of a value: numbers in their shortest form, nothing for missing ones.
pub fn value_text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Missing => None,
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) => Some((*text).to_owned()),
    }
}

/// The text that a trace keeps of a value, of which [`kept_value`] is the inverse: texts as they are, but for those that
/// would be taken for something else, which get a quotation mark before and behind.
pub fn kept_text(value: &Value<'_>) -> Option<String> {
    let text = value_text(value)?;
    let is_text = matches!(value, Value::Text(_));
    let is_mistaken = text.starts_with(QUOTE) || as_number(&text).is_some();
    Some(match is_text && is_mistaken {
        true => format!("{QUOTE}{text}{QUOTE}"),
        false => text,
    })
}

/// The same of a field.
pub fn context_text(field: Option<Field<'_>>) -> Option<String> {
    kept_text(&context_value(field))
}

/// The value of which a trace has that text.
pub fn kept_value(text: Option<&str>) -> Value<'_> {
    let Some(text) = text else {
        return Value::Missing;
    };
    if let Some(number) = as_number(text) {
        return Value::Number(number);
    }
    let quoted = text.strip_prefix(QUOTE);
    let quoted = quoted.and_then(|text| text.strip_suffix(QUOTE));
    Value::Text(quoted.unwrap_or(text))
}

const QUOTE: char = '"';

/// The number of which a text is the shortest form.
fn as_number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_as_it_was() {
        let texts = [
            "10", "-0", "1e3", "red", "", "\"", "\"10\"", "\"a", "a\"", "10\"", " 10", "NaN", "inf",
        ];
        for text in texts {
            let kept = kept_text(&Value::Text(text));
            assert_eq!(kept_value(kept.as_deref()), Value::Text(text), "{kept:?}");
        }
        for number in [10.0, -0.5, 0.0, 1e300, f64::MIN_POSITIVE] {
            let kept = kept_text(&Value::Number(number));
            assert_eq!(
                kept_value(kept.as_deref()),
                Value::Number(number),
                "{kept:?}"
            );
        }
        assert_eq!(kept_text(&Value::Missing), None);
        // ordinary texts and numbers stand as they are
        assert_eq!(kept_text(&Value::Text("red")).as_deref(), Some("red"));
        assert_eq!(kept_text(&Value::Number(10.0)).as_deref(), Some("10"));
        assert_eq!(kept_text(&Value::Text("10")).as_deref(), Some("\"10\""));
    }
}
