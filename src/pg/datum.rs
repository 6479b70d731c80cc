//! Values in: made of what a statement, or a row that is written, takes.

use pgrx::{IntoDatum, pg_sys};
use uuid::Uuid;

use super::array::{self, Element};
pub use super::value::Arg;
use super::value::Value;

pub fn text(value: &str) -> Arg<'_> {
    let build = |text: &str| text.into_datum().expect("a text");
    Some(Value::from_text(value, pg_sys::TEXTOID, build))
}

pub fn optional_text(value: Option<&str>) -> Arg<'_> {
    value.and_then(text)
}

pub fn uuid(value: Uuid) -> Arg<'static> {
    Some(Value::uuid(value))
}

pub fn int8(value: i64) -> Arg<'static> {
    Value::by_value(value.into(), pg_sys::INT8OID)
}

pub fn int4(value: i32) -> Arg<'static> {
    Value::by_value(value.into(), pg_sys::INT4OID)
}

pub fn int2(value: i16) -> Arg<'static> {
    Value::by_value(value.into(), pg_sys::INT2OID)
}

pub fn oid(value: pg_sys::Oid) -> Arg<'static> {
    Value::by_value(value.into(), pg_sys::OIDOID)
}

pub fn float8(value: f64) -> Arg<'static> {
    Value::by_value(value.to_bits().into(), pg_sys::FLOAT8OID)
}

pub fn bool(value: bool) -> Arg<'static> {
    Value::by_value(value.into(), pg_sys::BOOLOID)
}

/// A timestamptz from microseconds since 2000: by value, the same 64 bits.
pub fn timestamp(at: i64) -> Arg<'static> {
    Value::by_value(at.into(), pg_sys::TIMESTAMPTZOID)
}

/// The same, and null for the moments that stand for infinity, which drivers cannot read.
pub fn finite_timestamp(at: i64) -> Arg<'static> {
    match at {
        i64::MIN | i64::MAX => None,
        at => timestamp(at),
    }
}

pub fn array<T: Element>(values: &[T]) -> Arg<'_> {
    Some(array::from_slice(values))
}

pub fn oids(values: &[pg_sys::Oid]) -> Arg<'_> {
    unsafe fn build(first: *const (), length: usize) -> pg_sys::Datum {
        // SAFETY: the slice of oids below.
        let values = unsafe { std::slice::from_raw_parts(first.cast::<pg_sys::Oid>(), length) };
        values.into_datum().expect("an array")
    }
    // SAFETY: `build` makes an oid[] of oids.
    Some(unsafe { Value::slice(values, pg_sys::OIDARRAYOID, build) })
}

pub fn uuids(values: &[Uuid]) -> Arg<'_> {
    unsafe fn build(first: *const (), length: usize) -> pg_sys::Datum {
        // SAFETY: the slice of uuids below.
        let values = unsafe { std::slice::from_raw_parts(first.cast::<Uuid>(), length) };
        let values = values
            .iter()
            .map(|value| pgrx::Uuid::from_bytes(value.into_bytes()));
        values.collect::<Vec<_>>().into_datum().expect("an array")
    }
    // SAFETY: `build` makes a uuid[] of uuids.
    Some(unsafe { Value::slice(values, pg_sys::UUIDARRAYOID, build) })
}

/// A text[] from strings that may be missing.
pub fn texts<S: AsRef<str>>(values: &[Option<S>]) -> Arg<'_> {
    unsafe fn build<S: AsRef<str>>(first: *const (), length: usize) -> pg_sys::Datum {
        // SAFETY: the slice of strings below.
        let values = unsafe { std::slice::from_raw_parts(first.cast::<Option<S>>(), length) };
        let values = values.iter().map(|value| value.as_ref().map(AsRef::as_ref));
        values
            .collect::<Vec<Option<&str>>>()
            .into_datum()
            .expect("an array")
    }
    // SAFETY: `build` makes a text[] of strings.
    Some(unsafe { Value::slice(values, pg_sys::TEXTARRAYOID, build::<S>) })
}
