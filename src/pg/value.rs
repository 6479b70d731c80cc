//! A value on its way into a statement, or into a row that is written.
//!
//! A value borrows what it is made of, and becomes a datum only where it is handed over, in the memory of that
//! moment. So it needs no open session, and cannot outlive what it points to.

use std::marker::PhantomData;

use pgrx::{IntoDatum, pg_sys};
use uuid::Uuid;

/// A parameter or the value of a column, or null.
pub type Arg<'a> = Option<Value<'a>>;

/// A value that is not null.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    of_type: pg_sys::Oid,
    form: Form<'a>,
}

#[derive(Clone, Copy)]
enum Form<'a> {
    /// Passed by value, or in memory of the server's that stays as it is for `'a`.
    Datum(pg_sys::Datum, PhantomData<&'a ()>),
    /// A text, and what makes a datum of it.
    Text(&'a str, fn(&str) -> pg_sys::Datum),
    Uuid(Uuid),
    Array(Slice<'a>),
}

/// A slice that is alive for `'a`, and what makes an array of it.
#[derive(Clone, Copy)]
struct Slice<'a> {
    first: *const (),
    length: usize,
    build: unsafe fn(*const (), usize) -> pg_sys::Datum,
    lives: PhantomData<&'a ()>,
}

impl<'a> Value<'a> {
    pub(super) fn uuid(uuid: Uuid) -> Value<'a> {
        Value {
            of_type: pg_sys::UUIDOID,
            form: Form::Uuid(uuid),
        }
    }

    /// # Safety
    /// The datum must be of that type, and stay as it is for `'a`.
    pub(super) unsafe fn of(datum: pg_sys::Datum, of_type: pg_sys::Oid) -> Value<'a> {
        Value {
            of_type,
            form: Form::Datum(datum, PhantomData),
        }
    }

    pub(super) fn by_value(datum: pg_sys::Datum, of_type: pg_sys::Oid) -> Arg<'a> {
        // SAFETY: the bits of the datum are the value.
        Some(unsafe { Value::of(datum, of_type) })
    }

    /// # Safety
    /// `build` must make an array of that type of the slice.
    pub(super) unsafe fn slice<T>(
        values: &'a [T],
        of_type: pg_sys::Oid,
        build: unsafe fn(*const (), usize) -> pg_sys::Datum,
    ) -> Value<'a> {
        Value {
            of_type,
            form: Form::Array(Slice {
                first: values.as_ptr().cast(),
                length: values.len(),
                build,
                lives: PhantomData,
            }),
        }
    }

    /// `build` must make a datum of that type of the text.
    pub(super) fn from_text(
        text: &'a str,
        of_type: pg_sys::Oid,
        build: fn(&str) -> pg_sys::Datum,
    ) -> Value<'a> {
        Value {
            of_type,
            form: Form::Text(text, build),
        }
    }

    pub(super) fn of_type(&self) -> pg_sys::Oid {
        self.of_type
    }

    /// The value as a datum: what is not passed by value is allocated in the current memory context.
    pub(super) fn datum(self) -> pg_sys::Datum {
        match self.form {
            Form::Datum(datum, _) => datum,
            Form::Text(text, build) => build(text),
            Form::Uuid(uuid) => uuid_datum(uuid),
            // SAFETY: the slice that it was made of, which is borrowed.
            Form::Array(slice) => unsafe { (slice.build)(slice.first, slice.length) },
        }
    }
}

/// A uuid in the current memory context.
pub(super) fn uuid_datum(uuid: Uuid) -> pg_sys::Datum {
    let uuid = pgrx::Uuid::from_bytes(uuid.into_bytes());
    uuid.into_datum().expect("a uuid")
}

/// A row, or arguments, as the server takes them: datums, and which of them are null.
pub(super) fn laid_out<const N: usize>(row: &[Arg<'_>; N]) -> ([pg_sys::Datum; N], [bool; N]) {
    let datum = |i: usize| row[i].map_or(pg_sys::Datum::from(0), Value::datum);
    let values = std::array::from_fn(datum);
    (values, std::array::from_fn(|i| row[i].is_none()))
}

/// In debug builds: that a value is of the type that it is taken for. Null is of any.
#[track_caller]
pub(super) fn debug_check_type(arg: &Arg<'_>, taken_for: pg_sys::Oid, number: usize) {
    if let Some(value) = arg {
        debug_assert!(
            value.of_type == taken_for,
            "value {number} is of type {}, and taken for one of type {taken_for}",
            value.of_type
        );
    }
}
