//! The running call of one of our functions: arguments as they lie, and a result of several rows.

use std::marker::PhantomData;

use pgrx::pg_catalog::pg_proc::PgProc;
use pgrx::{AnyElement, FromDatum, pg_sys};
use uuid::Uuid;

use super::array;
use super::column::{self, FromColumn, Name, Timestamp};
use super::heap::debug_check_types;
use super::json::Json;
use super::spi::SessionMark;
use super::value::{Arg, Value, laid_out};

/// The call that is running; pgrx hands it to a `#[pg_extern]` function as its argument.
#[derive(Clone, Copy)]
pub struct Call {
    call: pg_sys::FunctionCallInfo,
    /// What is copied of an argument lies in the memory of the session that was open when the function was called.
    called_in: SessionMark,
}

impl Call {
    /// Wraps the running call.
    #[allow(clippy::not_unsafe_ptr_arg_deref)]
    pub fn running(call: pg_sys::FunctionCallInfo) -> Call {
        assert!(!call.is_null(), "a call");
        Call {
            call,
            called_in: SessionMark::now(),
        }
    }

    /// The function that is called.
    pub fn function(&self) -> pg_sys::Oid {
        // SAFETY: the call is running; those that come through SQL say what they call.
        unsafe {
            let info = (*self.call).flinfo;
            assert!(!info.is_null(), "a call by SQL");
            (*info).fn_oid
        }
    }

    /// An argument, or None where it is null.
    fn raw(&self, number: usize) -> Option<pg_sys::Datum> {
        debug_assert_eq!(
            self.called_in,
            SessionMark::now(),
            "arguments are read before a session is opened"
        );
        // SAFETY: the call is running, so its arguments are alive; the index is checked.
        unsafe {
            let argument = (*self.call).args.as_slice((*self.call).nargs as usize)[number];
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// An argument as a Rust value of the type that the function declares for it.
    fn get<'a, T: FromColumn<'a>>(&'a self, number: usize) -> Option<T> {
        let datum = self.raw(number)?;
        // SAFETY: arguments are there as long as the call runs, and copies of them as long as what was open before.
        unsafe { column::read(datum, || self.declared(number), number) }
    }

    /// The type of an argument.
    fn declared(&self, number: usize) -> pg_sys::Oid {
        let function = PgProc::new(self.function()).expect("the function that is called");
        function.proargtypes()[number]
    }

    /// A text argument, copied only if it was compressed.
    pub fn text(&self, number: usize) -> Option<&str> {
        self.get(number)
    }

    /// An argument of the type name.
    pub fn name(&self, number: usize) -> Option<&str> {
        self.get(number).map(|Name(name)| name)
    }

    pub fn int8(&self, number: usize) -> Option<i64> {
        self.get(number)
    }

    pub fn oid(&self, number: usize) -> Option<pg_sys::Oid> {
        self.get(number)
    }

    pub fn int4(&self, number: usize) -> Option<i32> {
        self.get(number)
    }

    pub fn float8(&self, number: usize) -> Option<f64> {
        self.get(number)
    }

    /// The elements of a double precision[] argument; None if one is null.
    pub fn float8s(&self, number: usize) -> Option<Vec<f64>> {
        let mut numbers = Vec::new();
        // SAFETY: an argument is alive while the call runs.
        let array = unsafe { Value::of(self.raw(number)?, pg_sys::FLOAT8ARRAYOID) };
        let whole = array::read_into(array, &mut numbers);
        whole.then_some(numbers)
    }

    pub fn bool(&self, number: usize) -> Option<bool> {
        self.get(number)
    }

    /// A timestamptz as microseconds since 2000.
    pub fn timestamp(&self, number: usize) -> Option<i64> {
        self.get(number).map(|Timestamp(at)| at)
    }

    pub fn uuid(&self, number: usize) -> Option<Uuid> {
        self.get(number)
    }

    /// The elements of a uuid[] argument; null elements are None.
    pub fn uuids(&self, number: usize) -> Option<Vec<Option<Uuid>>> {
        let elements = self.get::<Vec<Option<pgrx::Uuid>>>(number)?.into_iter();
        let uuid = |of: pgrx::Uuid| Uuid::from_bytes(*of.as_bytes());
        Some(elements.map(|of| of.map(uuid)).collect())
    }

    pub fn json(&self, number: usize) -> Option<Json<'_>> {
        self.get(number)
    }

    /// The elements of a jsonb[] argument, of any shape; null elements are None.
    pub fn jsons(&self, number: usize) -> Option<Vec<Option<Json<'_>>>> {
        // SAFETY: declared as jsonb[]; the elements stay in memory while the call runs.
        unsafe {
            let elements = self.elements(number, pg_sys::JSONBOID)?.into_iter();
            Some(elements.map(|of| of.map(|of| Json::open(of))).collect())
        }
    }

    /// The texts of the elements of a json[] argument, of any shape; null elements are None.
    pub fn json_texts(&self, number: usize) -> Option<Vec<Option<&str>>> {
        // SAFETY: declared as json[]; as above.
        unsafe {
            let elements = self.elements(number, pg_sys::JSONOID)?.into_iter();
            let read = |of| column::read(of, || pg_sys::JSONOID, number);
            Some(elements.map(|of| of.and_then(read)).collect())
        }
    }

    /// The elements of a text[] argument, of any shape; null elements are None.
    pub fn texts(&self, number: usize) -> Option<Vec<Option<&str>>> {
        // SAFETY: declared as text[]; as above.
        unsafe {
            let elements = self.elements(number, pg_sys::TEXTOID)?.into_iter();
            let read = |of| column::read(of, || pg_sys::TEXTOID, number);
            Some(elements.map(|of| of.and_then(read)).collect())
        }
    }

    /// The elements of an array argument of a type of variable length.
    ///
    /// # Safety
    /// The argument must be declared as an array of that type, whose alignment is that of integers.
    unsafe fn elements(
        &self,
        number: usize,
        of_type: pg_sys::Oid,
    ) -> Option<Vec<Option<pg_sys::Datum>>> {
        let datum = self.raw(number)?;
        // SAFETY: the caller's promise; deconstruct_array points into the detoasted array, which
        // stays in memory while the call runs.
        unsafe {
            let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
            let (mut elements, mut nulls, mut count) =
                (std::ptr::null_mut(), std::ptr::null_mut(), 0);
            pg_sys::deconstruct_array(
                array,
                of_type,
                -1,
                false,
                b'i' as std::ffi::c_char,
                &mut elements,
                &mut nulls,
                &mut count,
            );
            let element = |i| (!*nulls.add(i)).then(|| *elements.add(i));
            Some((0..count as usize).map(element).collect())
        }
    }

    /// The elements of an integer[] argument, of any shape; null elements are None.
    pub fn optional_int4s(&self, number: usize) -> Option<Vec<Option<i32>>> {
        let mut numbers = Vec::new();
        // SAFETY: an argument is alive while the call runs, and is declared as integer[].
        unsafe {
            let raw = self.raw(number)?;
            if array::read_into(Value::of(raw, pg_sys::INT4ARRAYOID), &mut numbers) {
                return Some(numbers.into_iter().map(Some).collect());
            }
            Vec::<Option<i32>>::from_datum(raw, false)
        }
    }

    /// What the function answers: a value of the type that it declares.
    pub fn answer(&self, value: Arg<'_>) -> Option<AnyElement> {
        let value = value?;
        let of_type = value.of_type();
        // SAFETY: a value of that type, made in the memory of the call.
        unsafe { AnyElement::from_polymorphic_datum(value.datum(), false, of_type) }
    }

    /// The owner of the function that is called.
    pub fn owner(&self) -> pg_sys::Oid {
        let function = PgProc::new(self.function()).expect("the function that is called");
        function.proowner()
    }

    /// The result of a `RETURNS TABLE` function.
    pub fn rows(&self) -> Rows<'_> {
        // SAFETY: the call is running; Postgres refuses callers that cannot take a whole set.
        unsafe {
            let result = (*self.call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            // The caller's description of the row is the declared one, and spares a look-up.
            let known = !result.is_null() && !(*result).expectedDesc.is_null();
            let flags = if known {
                pg_sys::MAT_SRF_USE_EXPECTED_DESC
            } else {
                0
            };
            pg_sys::InitMaterializedSRF(self.call, flags);
            Rows {
                store: (*result).setResult,
                shape: (*result).setDesc,
                lives: PhantomData,
            }
        }
    }
}

/// The rows that the running function answers; what is pushed is copied.
pub struct Rows<'a> {
    store: *mut pg_sys::Tuplestorestate,
    shape: pg_sys::TupleDesc,
    lives: PhantomData<&'a ()>,
}

impl Rows<'_> {
    /// Adds a row; `N` must be the number of columns.
    pub fn push<const N: usize>(&mut self, row: [Arg<'_>; N]) {
        // SAFETY: as many values as the shape has attributes, checked here; they are copied.
        unsafe {
            assert!((*self.shape).natts as usize == N, "a row of {N} columns");
            debug_check_types(self.shape, &row);
            let (mut values, mut nulls) = laid_out(&row);
            pg_sys::tuplestore_putvalues(
                self.store,
                self.shape,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
    }
}
