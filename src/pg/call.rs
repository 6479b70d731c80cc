//! The running call of one of our functions: arguments as they lie, and a result of several rows.

use pgrx::{FromDatum, pg_sys};

use super::array;
use super::datum::Arg;
use super::json::Json;

/// The call that is running; pgrx hands it to a `#[pg_extern]` function as its argument.
#[derive(Clone, Copy)]
pub struct Call(pg_sys::FunctionCallInfo);

impl Call {
    /// Wraps the running call.
    #[allow(clippy::not_unsafe_ptr_arg_deref)]
    pub fn running(call: pg_sys::FunctionCallInfo) -> Call {
        assert!(!call.is_null(), "a call");
        Call(call)
    }

    /// The function that is called.
    pub fn function(&self) -> pg_sys::Oid {
        // SAFETY: the call is running; those that come through SQL say what they call.
        unsafe {
            let info = (*self.0).flinfo;
            assert!(!info.is_null(), "a call by SQL");
            (*info).fn_oid
        }
    }

    /// An argument, or None where it is null.
    pub fn argument(&self, number: usize) -> Arg {
        // SAFETY: the call is running, so its arguments are alive; the index is checked.
        unsafe {
            let argument = (*self.0).args.as_slice((*self.0).nargs as usize)[number];
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// An argument as a Rust value; `T` must be what the function is declared with.
    fn get<T: FromDatum>(&self, number: usize) -> Option<T> {
        // SAFETY: functions are declared in sql/ with the types that they read here.
        self.argument(number)
            .and_then(|datum| unsafe { T::from_datum(datum, false) })
    }

    /// A text argument, copied only if it was compressed.
    pub fn text(&self, number: usize) -> Option<&str> {
        self.get(number)
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
        let whole = array::read_into(self.argument(number)?, &mut numbers);
        whole.then_some(numbers)
    }

    pub fn bool(&self, number: usize) -> Option<bool> {
        self.get(number)
    }

    /// A timestamptz as microseconds since 2000.
    pub fn timestamp(&self, number: usize) -> Option<i64> {
        self.argument(number).map(|datum| datum.value() as i64)
    }

    pub fn uuid(&self, number: usize) -> Option<uuid::Uuid> {
        self.get::<pgrx::Uuid>(number)
            .map(|value| uuid::Uuid::from_bytes(*value.as_bytes()))
    }

    pub fn json(&self, number: usize) -> Option<Json<'_>> {
        // SAFETY: declared as jsonb, and alive while the call runs.
        self.argument(number)
            .map(|datum| unsafe { Json::open(datum) })
    }

    /// The elements of a jsonb[] argument, of any shape; null elements are None.
    pub fn jsons(&self, number: usize) -> Option<Vec<Option<Json<'_>>>> {
        let datum = self.argument(number)?;
        // SAFETY: declared as jsonb[]; deconstruct_array points into the detoasted array, which
        // stays in memory while the call runs, as do the elements.
        unsafe {
            let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
            let (mut elements, mut nulls, mut count) =
                (std::ptr::null_mut(), std::ptr::null_mut(), 0);
            pg_sys::deconstruct_array(
                array,
                pg_sys::JSONBOID,
                -1,
                false,
                b'i' as std::ffi::c_char,
                &mut elements,
                &mut nulls,
                &mut count,
            );
            let open = |i| (!*nulls.add(i)).then(|| Json::open(*elements.add(i)));
            Some((0..count as usize).map(open).collect())
        }
    }

    /// The result of a `RETURNS TABLE` function.
    pub fn rows(&self) -> Rows {
        // SAFETY: the call is running; Postgres refuses callers that cannot take a whole set.
        unsafe {
            let result = (*self.0).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            // The caller's description of the row is the declared one, and spares a look-up.
            let known = !result.is_null() && !(*result).expectedDesc.is_null();
            let flags = if known {
                pg_sys::MAT_SRF_USE_EXPECTED_DESC
            } else {
                0
            };
            pg_sys::InitMaterializedSRF(self.0, flags);
            Rows {
                store: (*result).setResult,
                shape: (*result).setDesc,
            }
        }
    }
}

/// The rows that the running function answers; what is pushed is copied.
pub struct Rows {
    store: *mut pg_sys::Tuplestorestate,
    shape: pg_sys::TupleDesc,
}

impl Rows {
    /// Adds a row; `N` must be the number of columns.
    pub fn push<const N: usize>(&mut self, row: [Arg; N]) {
        let mut values = row.map(|value| value.unwrap_or(pg_sys::Datum::from(0)));
        let mut nulls = row.map(|value| value.is_none());
        // SAFETY: as many values as the shape has attributes, checked here; they are copied.
        unsafe {
            assert!((*self.shape).natts as usize == N, "a row of {N} columns");
            pg_sys::tuplestore_putvalues(
                self.store,
                self.shape,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
    }
}
