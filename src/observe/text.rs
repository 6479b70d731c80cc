//! Events as text: a text that is no JSON is an invalid event, not an error.

use pgrx::PgSqlErrorCode::{self, *};

use super::contract::Reason;
use crate::pg::attempt::attempt;
use crate::pg::json::Document;
use crate::settings;

/// The longest text of an array of events, in bytes: the largest jsonb.
pub const LARGEST_ARRAY: usize = 256 << 20;

/// Whether it is several texts as drivers write them where they are not told a type: an array such as
/// `{"{\"event_id\": …}"}`, or a row such as `("{\"event_id\": …}","{…}")`.
pub fn is_array_literal(text: &str) -> bool {
    let text = text.trim_ascii_start();
    let inside = text.strip_prefix(['{', '(']);
    inside.is_some_and(|inside| inside.trim_ascii_start().starts_with("\"{"))
}

/// The most that is kept of a text that cannot be read, in bytes.
const MOST_UNREADABLE: usize = 1024;

/// What is kept of it: how it begins.
pub fn unreadable(text: &str) -> Document {
    let text = &text[..text.floor_char_boundary(MOST_UNREADABLE)];
    Document::parse(&serde_json::json!({ "unreadable": text }).to_string())
}

/// Whether it is an array of events that cannot be taken in at once.
pub fn is_too_large_an_array(text: &str) -> bool {
    text.len() > LARGEST_ARRAY && text.trim_ascii_start().starts_with('[')
}

/// The document, or the reason why there is none.
pub fn parse(text: &str) -> Result<Document, Reason> {
    // Of an array each element is looked at by itself.
    let most = match text.trim_ascii_start().starts_with('[') {
        true => LARGEST_ARRAY,
        false => settings::max_context_bytes(),
    };
    if text.len() > most {
        return Err(Reason::TooLarge);
    }
    attempt(|| Document::parse(text)).map_err(|caught| reason(caught.code, text))
}

/// Why Postgres refuses the text.
fn reason(code: PgSqlErrorCode, text: &str) -> Reason {
    match code {
        // \u0000, which no text can hold.
        ERRCODE_UNTRANSLATABLE_CHARACTER => Reason::BadEncoding,
        ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE => Reason::BadNumber,
        ERRCODE_STATEMENT_TOO_COMPLEX => Reason::TooDeep,
        ERRCODE_PROGRAM_LIMIT_EXCEEDED => Reason::TooLarge,
        _ if has_lone_surrogate(text) => Reason::BadEncoding,
        _ => Reason::NotJson,
    }
}

/// Whether an escape stands for half a character: \ud83d without \ude00 after it, or the reverse.
fn has_lone_surrogate(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut at, mut high) = (0, false);
    while at < bytes.len() {
        let (unit, length) = match (bytes[at], bytes.get(at + 1)) {
            (b'\\', Some(b'u')) => (escaped(&bytes[at + 2..]), 6),
            (b'\\', _) => (None, 2),
            _ => (None, 1),
        };
        let low = matches!(unit, Some(0xdc00..=0xdfff));
        if low != high {
            return true;
        }
        high = matches!(unit, Some(0xd800..=0xdbff));
        at += length;
    }
    high
}

/// The number that four hexadecimal digits say.
fn escaped(digits: &[u8]) -> Option<u16> {
    let digits = digits.get(..4)?;
    let hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| hex)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{has_lone_surrogate, is_array_literal};

    #[test]
    fn an_array_literal_is_told_from_an_object() {
        for literal in [
            r#"{"{\"event_id\": 1}"}"#,
            r#" { "{}","{}"}"#,
            r#"("{""event_id"": 1}","{}")"#,
        ] {
            assert!(is_array_literal(literal), "{literal}");
        }
        for other in [
            "",
            "{}",
            r#"{"event_id": "{"}"#,
            r#"[{"a": 1}]"#,
            "{{}",
            r#""{""#,
            r#"("a")"#,
        ] {
            assert!(!is_array_literal(other), "{other}");
        }
    }

    #[test]
    fn half_a_character_is_told_from_a_whole_one() {
        for whole in [
            "",
            r#""\ud83d\ude00""#,
            r#""\\ud83d""#,
            r#""a\u00e9""#,
            r#""\u12"#,
            r#""\"#,
            r#""\uzzzz""#,
        ] {
            assert!(!has_lone_surrogate(whole), "{whole}");
        }
        for half in [
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83dx\ude00""#,
            r#""\ud83d\ud83d\ude00""#,
            r"\ud83d",
            r#""\\\ud83d""#,
        ] {
            assert!(has_lone_surrogate(half), "{half}");
        }
    }
}
