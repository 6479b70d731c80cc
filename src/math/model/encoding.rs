//! How one fact becomes a number, or one of several levels.

use crate::hash::fnv32a;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};

/// A fact as it was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// There is none.
    Missing,
    /// A number. NaN and infinities count as missing.
    Number(f64),
    /// A text.
    Text(&'a str),
}

/// How a fact becomes numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As it is. A text counts if it reads as a number, spaces around it aside.
    Number,
    /// One-hot over these levels, which are sorted bytewise and unique. Others contribute nothing.
    Levels(Vec<String>),
    /// One-hot over this many buckets: FNV-1a of the text, modulo the buckets.
    Hashed(u32),
}

impl Encoding {
    /// The number of levels, which is 1 for a number.
    pub fn width(&self) -> usize {
        match self {
            Encoding::Number => 1,
            Encoding::Levels(levels) => levels.len(),
            Encoding::Hashed(buckets) => *buckets as usize,
        }
    }

    /// The level that the value is of, and its number there: 1 but for numbers. None if the value is missing, is not
    /// a finite number where one is needed, or is no known level. Where levels or buckets are given a number they see
    /// its shortest text form. Does not allocate.
    pub fn encode(&self, value: Value<'_>) -> Option<(usize, f64)> {
        match self {
            Encoding::Number => number(value).map(|x| (0, x)),
            Encoding::Levels(levels) => with_text(value, |text| {
                levels
                    .binary_search_by(|level| level.as_str().cmp(text))
                    .ok()
                    .map(|level| (level, 1.0))
            }),
            Encoding::Hashed(buckets) => with_text(value, |text| {
                fnv32a(text)
                    .checked_rem(*buckets)
                    .map(|bucket| (bucket as usize, 1.0))
            }),
        }
    }
}

fn number(value: Value<'_>) -> Option<f64> {
    let x = match value {
        Value::Missing => return None,
        Value::Number(x) => x,
        Value::Text(text) => text.trim().parse().ok()?,
    };
    x.is_finite().then_some(x)
}

/// Calls `f` with the value as a text, unless it is missing.
pub fn with_text<T>(value: Value<'_>, f: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    match value {
        Value::Text(text) => f(text),
        Value::Number(x) if x.is_finite() => {
            let mut buffer = ShortText {
                bytes: [0; 400],
                len: 0,
            };
            write!(buffer, "{}", if x == 0.0 { 0.0 } else { x }).ok()?; // no "-0"
            f(std::str::from_utf8(&buffer.bytes[..buffer.len]).ok()?)
        }
        Value::Missing | Value::Number(_) => None,
    }
}

/// A text on the stack, long enough for any f64 written out.
struct ShortText {
    bytes: [u8; 400],
    len: usize,
}

impl Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self
            .bytes
            .get_mut(self.len..self.len + text.len())
            .ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
