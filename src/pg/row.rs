//! Rows: of the result of a statement, as a table stores them, and versions of those.

use std::marker::PhantomData;
use std::ops::Deref;

use pgrx::pg_sys;
use uuid::Uuid;

use super::column::{self, FromColumn, Timestamp};
use super::json::Json;
use super::spi::{SessionMark, TransactionMark};
use super::value::{Arg, Value};

/// One row of a result, valid while it is looked at.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    tuple: pg_sys::HeapTuple,
    shape: pg_sys::TupleDesc,
    lives: PhantomData<&'a ()>,
}

impl<'a> Row<'a> {
    /// # Safety
    /// The tuple must be of that shape, and both be alive for `'a`.
    pub(super) unsafe fn new(tuple: pg_sys::HeapTuple, shape: pg_sys::TupleDesc) -> Row<'a> {
        Row {
            tuple,
            shape,
            lives: PhantomData,
        }
    }

    fn raw(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: tuple and shape belong together and are alive.
        let datum = unsafe { pg_sys::SPI_getbinval(self.tuple, self.shape, column, &mut null) };
        (!null).then_some(datum)
    }

    pub(super) fn shape(&self) -> pg_sys::TupleDesc {
        self.shape
    }

    pub(super) fn is_null(&self, column: i32) -> bool {
        self.raw(column).is_none()
    }

    fn type_of(&self, column: i32) -> pg_sys::Oid {
        // SAFETY: the shape is alive; InvalidOid where it has no such column.
        unsafe { pg_sys::SPI_gettypeid(self.shape, column) }
    }

    /// The value in column `column` (from 1), or None where it is null: to be read as an array, or handed on.
    pub fn datum(&self, column: i32) -> Arg<'a> {
        let datum = self.raw(column)?;
        // Only debug builds ask for the type of a value.
        let of_type = match cfg!(debug_assertions) {
            true => self.type_of(column),
            false => pg_sys::InvalidOid,
        };
        // SAFETY: what it points to is alive as long as the row.
        Some(unsafe { Value::of(datum, of_type) })
    }

    /// The same, as a Rust value of the type that the statement or table gives that column.
    pub fn get<T: FromColumn<'a>>(&self, column: i32) -> Option<T> {
        let datum = self.raw(column)?;
        // SAFETY: as above.
        unsafe { column::read(datum, || self.type_of(column), column as usize) }
    }

    /// The same for columns that are never null.
    pub fn must<T: FromColumn<'a>>(&self, column: i32) -> T {
        self.get(column).expect("a column that is not null")
    }

    pub fn uuid(&self, column: i32) -> Option<Uuid> {
        self.get(column)
    }

    /// A jsonb, alive as long as the row.
    pub fn json(&self, column: i32) -> Option<Json<'a>> {
        self.get(column)
    }

    /// A timestamptz as microseconds since 2000.
    pub fn timestamp(&self, column: i32) -> Option<i64> {
        self.get(column).map(|Timestamp(at)| at)
    }
}

/// A row as a table stores it, valid while it is looked at.
pub struct TableRow<'a> {
    row: Row<'a>,
}

impl<'a> Deref for TableRow<'a> {
    type Target = Row<'a>;

    fn deref(&self) -> &Row<'a> {
        &self.row
    }
}

impl TableRow<'_> {
    /// # Safety
    /// The tuple must be one of the relation, and both stay as they are while the row is used.
    pub(super) unsafe fn new<'a>(
        tuple: pg_sys::HeapTuple,
        relation: pg_sys::Relation,
    ) -> TableRow<'a> {
        // SAFETY: the caller's promise.
        let row = unsafe { Row::new(tuple, (*relation).rd_att) };
        TableRow { row }
    }

    /// Which version of the row it is.
    pub fn version(&self) -> Version {
        // SAFETY: the tuple is alive.
        unsafe { Version::new((*self.tuple()).t_tableOid, self.tid()) }
    }

    pub(super) fn tuple(&self) -> pg_sys::HeapTuple {
        self.row.tuple
    }

    pub(super) fn tid(&self) -> pg_sys::ItemPointerData {
        // SAFETY: the tuple is alive.
        unsafe { (*self.tuple()).t_self }
    }

    /// The transaction that has written that version.
    pub fn written_in(&self) -> u32 {
        // SAFETY: the tuple is alive.
        unsafe { (*(*self.tuple()).t_data).t_choice.t_heap.t_xmin.into() }
    }

    /// Whether this transaction has written that version.
    pub(super) fn is_own(&self) -> bool {
        // SAFETY: the tuple is alive; the number in its header does not change.
        unsafe {
            let header = (*self.tuple()).t_data;
            let committed = u32::from((*header).t_infomask) & pg_sys::HEAP_XMIN_COMMITTED != 0;
            !committed
                && pg_sys::TransactionIdIsCurrentTransactionId((*header).t_choice.t_heap.t_xmin)
        }
    }
}

/// A version of a row that this transaction has looked at and not locked. Good for the transaction, and the
/// snapshot, in which it was found: debug builds check the transaction.
#[derive(Clone, Copy)]
pub struct Version {
    pub(super) table: pg_sys::Oid,
    pub(super) tid: pg_sys::ItemPointerData,
    pub(super) found_in: TransactionMark,
}

impl Version {
    pub(super) fn new(table: pg_sys::Oid, tid: pg_sys::ItemPointerData) -> Version {
        Version {
            table,
            tid,
            found_in: TransactionMark::now(),
        }
    }
}

/// A row that this transaction has locked. Good for the session in which it was locked, which debug builds check.
pub struct Locked {
    pub(super) table: pg_sys::Oid,
    pub(super) tid: pg_sys::ItemPointerData,
    /// As it was then, in the memory of that session.
    pub(super) tuple: pg_sys::HeapTuple,
    pub(super) locked_in: SessionMark,
}
