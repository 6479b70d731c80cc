//! Aggregates: a state that is a plain struct in the memory of the aggregate, and composites as answers.
//!
//! Only SQL aggregates of ours can call these functions: a state is of the type `internal`, which no value in SQL has.

use std::any::TypeId;
use std::marker::PhantomData;

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

use super::value::{Arg, laid_out};

/// A state as it lies in memory: with its type, which debug builds check.
#[repr(C)]
struct Kept<T> {
    of_type: TypeId,
    state: T,
}

/// What a function of an aggregate answers: its state, a composite or an array of them.
pub struct Answer(Option<pg_sys::Datum>);

impl Answer {
    pub const NULL: Answer = Answer(None);
}

// SAFETY: a datum of the declared type, as who makes an answer promises, or null.
unsafe impl BoxRet for Answer {
    unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        match self.0 {
            // SAFETY: as above.
            Some(datum) => unsafe { call.return_raw_datum(datum) },
            None => call.return_null(),
        }
    }
}

// SAFETY: functions that answer this are declared in sql/, and not by what pgrx makes of this.
unsafe impl SqlTranslatable for Answer {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Answer);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> =
        Ok(SqlMappingRef::literal("internal"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("internal")));
}

/// The running call of a transition, combine or final function. Its first argument is the state.
pub struct Step {
    call: pg_sys::FunctionCallInfo,
}

impl Step {
    /// Wraps the running call.
    #[allow(clippy::not_unsafe_ptr_arg_deref)]
    #[inline]
    pub fn running(call: pg_sys::FunctionCallInfo) -> Step {
        assert!(!call.is_null(), "a call");
        Step { call }
    }

    #[inline]
    fn argument(&self, number: usize) -> Option<pg_sys::Datum> {
        // SAFETY: the call is running, so its arguments are alive; the index is checked.
        unsafe {
            let arguments = (*self.call).args.as_slice((*self.call).nargs as usize);
            let argument = &arguments[number];
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// The arguments after the state, all of them double precision; None if one is null.
    #[inline]
    pub fn float8s<const N: usize>(&self) -> Option<[f64; N]> {
        let mut numbers = [0.0; N];
        for (i, number) in numbers.iter_mut().enumerate() {
            *number = self.float8(i + 1)?;
        }
        Some(numbers)
    }

    /// A double precision argument.
    #[inline]
    pub fn float8(&self, number: usize) -> Option<f64> {
        Some(f64::from_bits(self.argument(number)?.value() as u64))
    }

    /// A boolean argument.
    #[inline]
    pub fn bool(&self, number: usize) -> Option<bool> {
        Some(self.argument(number)?.value() as u8 != 0)
    }

    /// An integer argument.
    #[inline]
    pub fn int4(&self, number: usize) -> Option<i32> {
        Some(self.argument(number)?.value() as i32)
    }

    /// A bigint argument.
    #[inline]
    pub fn int8(&self, number: usize) -> Option<i64> {
        Some(self.argument(number)?.value() as i64)
    }

    /// The bytes of an argument that is declared as text or bytea.
    #[inline]
    pub fn bytes<R>(&self, number: usize, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let datum = self.argument(number)?;
        // SAFETY: declared so, and a varlena; what is detoasted stays in the memory of this call.
        unsafe {
            let plain = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            let length = pgrx::varsize_any_exhdr(plain);
            let bytes = std::slice::from_raw_parts(pgrx::vardata_any(plain).cast::<u8>(), length);
            Some(read(bytes))
        }
    }

    /// The state of argument `number`: 0, or 1 for the other state of a combine function.
    #[inline]
    pub fn state_of<T: Copy + 'static>(&self, number: usize) -> Option<&T> {
        let kept = self.argument(number)?.cast_mut_ptr::<Kept<T>>();
        // SAFETY: a state that `keep` has made, of this type as the SQL declarations pair the functions.
        unsafe {
            debug_assert_eq!(
                (*kept).of_type,
                TypeId::of::<T>(),
                "a state of another type"
            );
            Some(&(*kept).state)
        }
    }

    /// The state, to be changed; made first where there is none.
    #[inline]
    pub fn state<T: Copy + 'static>(&mut self, make: impl FnOnce() -> T) -> &mut T {
        let kept = match self.argument(0) {
            Some(datum) => datum.cast_mut_ptr::<Kept<T>>(),
            None => self.keep(make()),
        };
        // SAFETY: as above; no one else has a reference while this call runs.
        unsafe {
            debug_assert_eq!(
                (*kept).of_type,
                TypeId::of::<T>(),
                "a state of another type"
            );
            &mut (*kept).state
        }
    }

    /// Puts a state into the memory of the aggregate, and into the first argument.
    #[cold]
    fn keep<T: Copy + 'static>(&mut self, state: T) -> *mut Kept<T> {
        let kept = allocate(self.memory(), state);
        // SAFETY: the call is running, and has a first argument.
        unsafe {
            let arguments = (*self.call).args.as_mut_slice((*self.call).nargs as usize);
            arguments[0] = pg_sys::NullableDatum {
                value: kept.into(),
                isnull: false,
            };
        }
        kept
    }

    /// The memory that lives as long as the states of the aggregate.
    fn memory(&self) -> pg_sys::MemoryContext {
        let mut memory = std::ptr::null_mut();
        // SAFETY: the call is running; the server says whether it is that of an aggregate.
        let kind = unsafe { pg_sys::AggCheckCallContext(self.call, &mut memory) };
        assert!(kind != 0, "a function of an aggregate, called otherwise");
        memory
    }

    /// An empty list in the memory of the aggregate.
    pub fn list<T: Copy + 'static>(&self) -> List<T> {
        List::new(self.memory())
    }

    /// The state as the answer; null where there is none.
    #[inline]
    pub fn kept(self) -> Answer {
        Answer(self.argument(0))
    }

    /// A row of the composite type that the function is declared to answer.
    pub fn composite<const N: usize>(&self, row: [Arg<'_>; N]) -> Answer {
        // SAFETY: the description is of a type that the server knows.
        unsafe {
            let (mut of_type, mut shape) = (pg_sys::InvalidOid, std::ptr::null_mut());
            let class = pg_sys::get_call_result_type(self.call, &mut of_type, &mut shape);
            assert!(
                class == pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE,
                "a composite"
            );
            Answer(Some(formed(pg_sys::BlessTupleDesc(shape), row)))
        }
    }

    /// An array of rows of the composite type that is the element of what the function is declared to answer.
    pub fn composites<const N: usize>(
        &self,
        count: usize,
        mut row: impl FnMut(usize) -> [Arg<'static>; N],
    ) -> Answer {
        // SAFETY: the element's description is pinned meanwhile; the rows that the array copies are alive.
        unsafe {
            let array = pg_sys::get_func_rettype((*(*self.call).flinfo).fn_oid);
            let element = pg_sys::get_element_type(array);
            let shape = pg_sys::lookup_rowtype_tupdesc_copy(element, -1);
            let mut datums = list_here::<pg_sys::Datum>();
            for i in 0..count {
                if i % 1024 == 0 {
                    super::session::check_interrupts();
                }
                datums.push(formed(shape, row(i)));
            }
            let array = pg_sys::construct_array(
                datums.first,
                count as i32,
                element,
                -1,
                false,
                b'd' as std::ffi::c_char,
            );
            Answer(Some(array.into()))
        }
    }
}

/// A state that is handed on as it is: the answer of a deserialize function.
pub fn handed<T: Copy + 'static>(state: T) -> Answer {
    // SAFETY: the memory of this call, in which the server expects it.
    let kept = allocate(unsafe { pg_sys::CurrentMemoryContext }, state);
    Answer(Some(kept.into()))
}

/// The most bytes of a bytea.
pub const MOST_BYTES: usize = 0x3fff_ffff - pg_sys::VARHDRSZ;

/// A bytea of so many bytes, which `fill` writes: the answer of a serialize function.
pub fn bytea(size: usize, fill: impl FnOnce(&mut [u8])) -> Answer {
    assert!(size <= MOST_BYTES, "a bytea of {size} bytes");
    // SAFETY: header and bytes are allocated and written, the bytes with zeros first.
    unsafe {
        let whole = pg_sys::palloc0(size + pg_sys::VARHDRSZ).cast::<pg_sys::varlena>();
        pgrx::set_varsize_4b(whole, (size + pg_sys::VARHDRSZ) as i32);
        let bytes = pgrx::vardata_4b(whole).cast::<u8>().cast_mut();
        fill(std::slice::from_raw_parts_mut(bytes, size));
        Answer(Some(whole.into()))
    }
}

/// A list that a deserialize function fills.
pub fn list_here<T: Copy + 'static>() -> List<T> {
    // SAFETY: as above.
    List::new(unsafe { pg_sys::CurrentMemoryContext })
}

fn allocate<T: Copy + 'static>(memory: pg_sys::MemoryContext, state: T) -> *mut Kept<T> {
    const { assert!(align_of::<Kept<T>>() <= 8) };
    // SAFETY: so many bytes, aligned to 8, are allocated and written.
    unsafe {
        let kept = pg_sys::MemoryContextAlloc(memory, size_of::<Kept<T>>()).cast::<Kept<T>>();
        kept.write(Kept {
            of_type: TypeId::of::<T>(),
            state,
        });
        kept
    }
}

/// # Safety
/// The shape must be alive, and of a type that the server can look up.
unsafe fn formed<const N: usize>(shape: pg_sys::TupleDesc, row: [Arg<'_>; N]) -> pg_sys::Datum {
    // SAFETY: as many values as attributes, which is checked, as are their types in debug builds.
    unsafe {
        assert!((*shape).natts as usize == N, "a row of {N} columns");
        super::heap::debug_check_types(shape, &row);
        let (mut values, mut nulls) = laid_out(&row);
        let tuple = pg_sys::heap_form_tuple(shape, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
    }
}

/// A list in the memory of the server, which frees it with that memory. It may be copied with the state that it is part of:
/// the copy is of the same elements, and only one of them may be added to.
#[derive(Clone, Copy)]
pub struct List<T: Copy> {
    memory: pg_sys::MemoryContext,
    first: *mut T,
    length: usize,
    room: usize,
    of: PhantomData<T>,
}

impl<T: Copy + 'static> List<T> {
    fn new(memory: pg_sys::MemoryContext) -> List<T> {
        List {
            memory,
            first: std::ptr::null_mut(),
            length: 0,
            room: 0,
            of: PhantomData,
        }
    }

    /// Adds an element; running out of memory is an error of the statement.
    #[inline]
    pub fn push(&mut self, element: T) {
        if self.length == self.room {
            self.grow(self.room.max(32) * 2);
        }
        // SAFETY: there is room for one more.
        unsafe { self.first.add(self.length).write(element) };
        self.length += 1;
    }

    pub fn extend(&mut self, elements: &[T]) {
        if self.room - self.length < elements.len() {
            self.grow((self.length + elements.len()).max(self.room * 2));
        }
        // SAFETY: there is room, and a list that grows shares no memory with the elements.
        unsafe {
            let end = self.first.add(self.length);
            std::ptr::copy_nonoverlapping(elements.as_ptr(), end, elements.len());
        }
        self.length += elements.len();
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        const { assert!(align_of::<T>() <= 8) };
        // SAFETY: memory that this list has allocated, or the first; both raise an error where there is none.
        unsafe {
            let bytes = room * size_of::<T>();
            self.first = if self.first.is_null() {
                pg_sys::MemoryContextAllocHuge(self.memory, bytes).cast()
            } else {
                pg_sys::repalloc_huge(self.first.cast(), bytes).cast()
            };
        }
        self.room = room;
    }

    pub fn as_slice(&self) -> &[T] {
        if self.first.is_null() {
            return &[];
        }
        // SAFETY: so many elements were written.
        unsafe { std::slice::from_raw_parts(self.first, self.length) }
    }

    /// Hands out a copy of the elements and as much memory again, both in the memory of this call and freed at the end.
    pub fn with_copy<R>(&self, work: impl FnOnce(&mut [T], &mut [T]) -> R) -> R {
        if self.length == 0 {
            return work(&mut [], &mut []);
        }
        // SAFETY: two halves that do not overlap, both written before they are read; an error frees the memory with its context.
        unsafe {
            let bytes = 2 * self.length * size_of::<T>();
            let memory = pg_sys::MemoryContextAllocHuge(pg_sys::CurrentMemoryContext, bytes);
            let copy = memory.cast::<T>();
            let spare = copy.add(self.length);
            std::ptr::copy_nonoverlapping(self.first, copy, self.length);
            std::ptr::copy_nonoverlapping(self.first, spare, self.length);
            let answer = work(
                std::slice::from_raw_parts_mut(copy, self.length),
                std::slice::from_raw_parts_mut(spare, self.length),
            );
            pg_sys::pfree(memory);
            answer
        }
    }
}
