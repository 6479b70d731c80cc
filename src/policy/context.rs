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

/// The text that a trace keeps of a field.
pub fn context_text(field: Option<Field<'_>>) -> Option<String> {
    value_text(&context_value(field))
}

/// A kept text as models are trained on it: what is the shortest form of a number is a number.
pub fn kept_value(text: Option<&str>) -> Value<'_> {
    let Some(text) = text else {
        return Value::Missing;
    };
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number.to_string() == text => Value::Number(number),
        _ => Value::Text(text),
    }
}
