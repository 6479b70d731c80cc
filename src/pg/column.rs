//! Values out: what columns of rows, and arguments of functions, can be read as.

use std::ffi::CStr;

use pgrx::{FromDatum, pg_sys};
use uuid::Uuid;

use super::json::Json;

/// A Rust value that a column, or an argument, of certain types can be read as. What it borrows lives as long as
/// the row or the call.
pub trait FromColumn<'a>: Sized {
    const TYPES: &'static [pg_sys::Oid];

    /// None only where the array or text is not one that `Self` can hold.
    ///
    /// # Safety
    /// The datum must not be null, be of one of the types, and stay as it is for `'a`.
    unsafe fn read(datum: pg_sys::Datum) -> Option<Self>;
}

/// Reads a datum that is not null; in debug builds, it must be of a type that `T` is read from.
///
/// # Safety
/// The datum must be of that type, and stay as it is for `'a`.
pub(super) unsafe fn read<'a, T: FromColumn<'a>>(
    datum: pg_sys::Datum,
    of_type: impl FnOnce() -> pg_sys::Oid,
    number: usize,
) -> Option<T> {
    debug_check::<T>(of_type, number);
    // SAFETY: the caller's promise; statements, tables and functions stand beside what reads them, so that
    // release builds rely on what debug builds have checked in tests.
    unsafe { T::read(datum) }
}

fn debug_check<'a, T: FromColumn<'a>>(of_type: impl FnOnce() -> pg_sys::Oid, number: usize) {
    if cfg!(debug_assertions) {
        let of_type = of_type();
        assert!(
            T::TYPES.contains(&of_type),
            "value {number} is of type {of_type}, and read as a {}",
            std::any::type_name::<T>()
        );
    }
}

/// By the conversions of pgrx.
macro_rules! by_pgrx {
    ($($rust:ty: $($oid:ident)|+;)+) => { $(
        impl<'a> FromColumn<'a> for $rust {
            const TYPES: &'static [pg_sys::Oid] = &[$(pg_sys::$oid),+];

            unsafe fn read(datum: pg_sys::Datum) -> Option<$rust> {
                // SAFETY: the caller's promise.
                unsafe { <$rust>::from_datum(datum, false) }
            }
        }
    )+ };
}

by_pgrx! {
    bool: BOOLOID;
    i16: INT2OID;
    i32: INT4OID;
    i64: INT8OID;
    f64: FLOAT8OID;
    pg_sys::Oid: OIDOID | REGCLASSOID;
    &'a str: TEXTOID | VARCHAROID | JSONOID;
    String: TEXTOID | VARCHAROID;
    pgrx::Uuid: UUIDOID;
    Vec<u8>: BYTEAOID;
    Vec<bool>: BOOLARRAYOID;
    Vec<f32>: FLOAT4ARRAYOID;
    Vec<f64>: FLOAT8ARRAYOID;
    Vec<Option<String>>: TEXTARRAYOID;
    Vec<pgrx::Uuid>: UUIDARRAYOID;
    Vec<Option<pgrx::Uuid>>: UUIDARRAYOID;
}

impl FromColumn<'_> for Uuid {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::UUIDOID];

    unsafe fn read(datum: pg_sys::Datum) -> Option<Uuid> {
        // SAFETY: the caller's promise.
        let uuid = unsafe { pgrx::Uuid::from_datum(datum, false) };
        uuid.map(|uuid| Uuid::from_bytes(*uuid.as_bytes()))
    }
}

/// A timestamptz: microseconds since 2000.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Timestamp(pub i64);

impl FromColumn<'_> for Timestamp {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::TIMESTAMPTZOID];

    unsafe fn read(datum: pg_sys::Datum) -> Option<Timestamp> {
        Some(Timestamp(datum.value() as i64))
    }
}

/// A value of the type name.
pub struct Name<'a>(pub &'a str);

impl<'a> FromColumn<'a> for Name<'a> {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::NAMEOID];

    unsafe fn read(datum: pg_sys::Datum) -> Option<Name<'a>> {
        // SAFETY: the caller's promise; a name ends with a zero.
        let name = unsafe { CStr::from_ptr(datum.cast_mut_ptr()) };
        name.to_str().ok().map(Name)
    }
}

impl<'a> FromColumn<'a> for Json<'a> {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::JSONBOID];

    unsafe fn read(datum: pg_sys::Datum) -> Option<Json<'a>> {
        // SAFETY: the caller's promise.
        Some(unsafe { Json::open(datum) })
    }
}
