//! Arrays without nulls: slices in, slices out, by one copy at most.

use pgrx::pg_sys;

use super::value::Value;

/// An element type of fixed width that is stored by value, as it lies in memory.
pub trait Element: Copy {
    const OID: pg_sys::Oid;
    /// The type of arrays of it.
    const ARRAY: pg_sys::Oid;
}

impl Element for f64 {
    const OID: pg_sys::Oid = pg_sys::FLOAT8OID;
    const ARRAY: pg_sys::Oid = pg_sys::FLOAT8ARRAYOID;
}
impl Element for f32 {
    const OID: pg_sys::Oid = pg_sys::FLOAT4OID;
    const ARRAY: pg_sys::Oid = pg_sys::FLOAT4ARRAYOID;
}
impl Element for i16 {
    const OID: pg_sys::Oid = pg_sys::INT2OID;
    const ARRAY: pg_sys::Oid = pg_sys::INT2ARRAYOID;
}
impl Element for i32 {
    const OID: pg_sys::Oid = pg_sys::INT4OID;
    const ARRAY: pg_sys::Oid = pg_sys::INT4ARRAYOID;
}
impl Element for i64 {
    const OID: pg_sys::Oid = pg_sys::INT8OID;
    const ARRAY: pg_sys::Oid = pg_sys::INT8ARRAYOID;
}

/// An array of the slice; the empty array for none.
pub fn from_slice<T: Element>(values: &[T]) -> Value<'_> {
    unsafe fn build<T: Element>(first: *const (), length: usize) -> pg_sys::Datum {
        // SAFETY: the slice below.
        built(unsafe { std::slice::from_raw_parts(first.cast::<T>(), length) })
    }
    // SAFETY: `build` makes an array of such elements.
    unsafe { Value::slice(values, T::ARRAY, build::<T>) }
}

/// A Postgres array of the slice, in the current memory context.
fn built<T: Element>(values: &[T]) -> pg_sys::Datum {
    let dimensions = usize::from(!values.is_empty());
    let header = (size_of::<pg_sys::ArrayType>() + 8 * dimensions).next_multiple_of(8);
    let size = header + size_of_val(values);
    // SAFETY: `size` bytes are allocated, and exactly header, dimensions, lower bounds and elements
    // are written into them, in the layout of array.h; elements of 8 bytes lie at an offset that is
    // a multiple of 8 since the header is padded to that.
    unsafe {
        let array = pg_sys::palloc0(size).cast::<pg_sys::ArrayType>();
        pgrx::set_varsize_4b(array.cast(), size as i32);
        (*array).ndim = dimensions as i32;
        (*array).dataoffset = 0;
        (*array).elemtype = T::OID;
        let numbers = array.add(1).cast::<i32>();
        if dimensions > 0 {
            *numbers = values.len() as i32;
            *numbers.add(1) = 1;
        }
        let data = array.cast::<u8>().add(header).cast::<T>();
        std::ptr::copy_nonoverlapping(values.as_ptr(), data, values.len());
        pg_sys::Datum::from(array)
    }
}

/// Appends the elements of a Postgres array, of any shape, to `out`. An array of another type or
/// with nulls appends nothing and answers false.
pub fn read_into<T: Element>(value: Value<'_>, out: &mut Vec<T>) -> bool {
    debug_assert!(
        // SAFETY: a look-up in the system cache.
        unsafe { pg_sys::get_element_type(value.of_type()) } != pg_sys::InvalidOid,
        "a value of type {}, read as an array",
        value.of_type()
    );
    // SAFETY: the value is an array, since it comes from a column or parameter declared so; it is
    // detoasted before it is looked at; the number of elements is bounded by the array's own size.
    unsafe {
        let raw = value.datum().cast_mut_ptr::<pg_sys::varlena>();
        let plain = pg_sys::pg_detoast_datum(raw).cast::<pg_sys::ArrayType>();
        let ok = (*plain).elemtype == T::OID && (*plain).dataoffset == 0;
        if ok && (*plain).ndim > 0 {
            let shape = plain.add(1).cast::<i32>();
            let dimensions = (*plain).ndim as usize;
            let count: usize = (0..dimensions).map(|i| *shape.add(i) as usize).product();
            let header = (size_of::<pg_sys::ArrayType>() + 8 * dimensions).next_multiple_of(8);
            let data = plain.cast::<u8>().add(header).cast::<T>();
            out.extend_from_slice(std::slice::from_raw_parts(data, count));
        }
        if plain.cast::<pg_sys::varlena>() != raw {
            pg_sys::pfree(plain.cast());
        }
        ok
    }
}
