//! Values in: what a kept plan takes.

use pgrx::{IntoDatum, pg_sys};

use super::array::{self, Element};

/// A parameter, or null.
pub type Arg = Option<pg_sys::Datum>;

pub fn text(value: &str) -> Arg {
    value.into_datum()
}

pub fn optional_text(value: Option<&str>) -> Arg {
    value.and_then(text)
}

pub fn uuid(value: uuid::Uuid) -> Arg {
    pgrx::Uuid::from_bytes(*value.as_bytes()).into_datum()
}

pub fn int8(value: i64) -> Arg {
    value.into_datum()
}

pub fn int4(value: i32) -> Arg {
    value.into_datum()
}

pub fn int2(value: i16) -> Arg {
    value.into_datum()
}

pub fn oid(value: pg_sys::Oid) -> Arg {
    value.into_datum()
}

pub fn float8(value: f64) -> Arg {
    value.into_datum()
}

pub fn bool(value: bool) -> Arg {
    value.into_datum()
}

/// A timestamptz from microseconds since 2000: by value, the same 64 bits.
pub fn timestamp(at: i64) -> Arg {
    Some(pg_sys::Datum::from(at))
}

pub fn array<T: Element>(values: &[T]) -> Arg {
    Some(array::from_slice(values))
}

pub fn oids(values: &[pg_sys::Oid]) -> Arg {
    values.to_vec().into_datum()
}

pub fn uuids(values: &[uuid::Uuid]) -> Arg {
    let values: Vec<pgrx::Uuid> = values
        .iter()
        .map(|value| pgrx::Uuid::from_bytes(*value.as_bytes()))
        .collect();
    values.into_datum()
}

/// A text[] from strings that may be missing.
pub fn texts<S: AsRef<str>>(values: &[Option<S>]) -> Arg {
    let owned: Vec<Option<&str>> = values
        .iter()
        .map(|v| v.as_ref().map(AsRef::as_ref))
        .collect();
    owned.into_datum()
}
