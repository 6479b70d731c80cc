//! Rows as structs: a field stands for the column of its name, and its Rust type for the column's type.
//!
//! [`insert_row!`] makes a struct that is written as one row, [`select_row!`] one that is read from a row. Both
//! list their columns once: statements, types and positions follow from the list, and are held against the table
//! when a partition is first written to, and whenever a row is read.

use std::cell::OnceCell;
use std::ffi::CStr;
use std::marker::PhantomData;

use pgrx::pg_sys;

use super::array::{self, Element};
pub use super::column::Timestamp;
use super::datum::{self, Arg};
use super::json;
use super::plan::{Access, Plan};
use super::row::Row;

/// A column that a struct names.
#[derive(Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: pg_sys::Oid,
    /// Whether every row that is written has a value for it.
    pub required: bool,
}

/// The name of the column of a field: `type` for `r#type`.
pub const fn column_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// A value that is written to a column.
pub trait Written {
    const KIND: pg_sys::Oid;
    const REQUIRED: bool = true;
    fn arg(&self) -> Arg<'_>;
}

/// A value that is read from a column.
pub trait Stored: Sized {
    const KIND: pg_sys::Oid;

    fn read(row: &Row<'_>, column: i32) -> Self;
}

/// Declares a struct whose fields are columns, to be written as one row.
macro_rules! insert_row {
    ($(#[$about:meta])* $see:vis struct $name:ident <$life:lifetime> {
        $($(#[$of_field:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$about])*
        $see struct $name<$life> {
            $($(#[$of_field])* pub $field: $kind,)*
        }

        impl<$life> $name<$life> {
            pub const COLUMNS: &'static [$crate::pg::record::Column] = &[
                $($crate::pg::record::Column {
                    name: $crate::pg::record::column_name(stringify!($field)),
                    kind: <$kind as $crate::pg::record::Written>::KIND,
                    required: <$kind as $crate::pg::record::Written>::REQUIRED,
                },)*
            ];

            /// The values, in the order of the columns.
            pub fn args(&self) -> [$crate::pg::datum::Arg<'_>; [$(stringify!($field)),*].len()] {
                [$($crate::pg::record::Written::arg(&self.$field)),*]
            }
        }
    };
}

/// Declares a struct whose fields are columns, to be read from a row.
macro_rules! select_row {
    ($(#[$about:meta])* $see:vis struct $name:ident {
        $($(#[$of_field:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$about])*
        $see struct $name {
            $($(#[$of_field])* pub $field: $kind,)*
        }

        impl $crate::pg::record::SelectRow for $name {
            const COLUMNS: &'static [$crate::pg::record::Column] = &[
                $($crate::pg::record::Column {
                    name: $crate::pg::record::column_name(stringify!($field)),
                    kind: <$kind as $crate::pg::record::Stored>::KIND,
                    required: false,
                },)*
            ];

            fn read(row: &$crate::pg::Row<'_>) -> Option<Self> {
                let mut columns = Self::COLUMNS.iter().enumerate();
                Some($name {
                    $($field: $crate::pg::record::field(row, columns.next()?)?,)*
                })
            }
        }
    };
}

pub(crate) use {insert_row, select_row};

/// A struct that [`select_row!`] has declared.
pub trait SelectRow: Sized {
    const COLUMNS: &'static [Column];

    /// None if the row has no such column of that type.
    fn read(row: &Row<'_>) -> Option<Self>;
}

/// The value of a column of a row, which is looked for at that index first; None if there is no such column.
pub fn field<T: Stored>(row: &Row<'_>, (index, column): (usize, &Column)) -> Option<T> {
    let shape = row.shape();
    // SAFETY: the shape is that of a row that is alive.
    let (natts, fits) = unsafe {
        let fits = move |&i: &usize| {
            let attribute = attribute(shape, i);
            attribute.atttypid == column.kind
                && attribute.attgenerated == 0
                && is_named(attribute, column.name)
        };
        ((*shape).natts as usize, fits)
    };
    let at = Some(index).filter(|&i| i < natts).filter(fits);
    let at = at.or_else(|| (0..natts).find(fits))?;
    Some(T::read(row, at as i32 + 1))
}

/// Where a table has the columns of rows that are written to it.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// The index of each column in the table.
    pub indexes: [u8; Layout::WIDEST],
}

impl Layout {
    /// Most columns that such a table may have, dropped ones included.
    pub const WIDEST: usize = 64;
}

/// Where a table has these columns, in whatever order; or why rows of their values are no rows of it. Other columns of
/// the table must be such that a row without a value for them has null.
///
/// # Safety
/// The shape must be that of an open relation.
pub(super) unsafe fn layout(
    shape: pg_sys::TupleDesc,
    columns: &[Column],
) -> Result<Layout, String> {
    // SAFETY: the caller's promise.
    let natts = unsafe { (*shape).natts as usize };
    if natts > Layout::WIDEST || columns.len() > Layout::WIDEST {
        return Err(format!("it has more than {} columns", Layout::WIDEST));
    }
    let mut indexes = [0; Layout::WIDEST];
    let mut is_written = [false; Layout::WIDEST];
    for (column, found) in columns.iter().zip(&mut indexes) {
        let name = column.name;
        // SAFETY: indexes below natts.
        let index = (0..natts).find(|&i| is_named(unsafe { attribute(shape, i) }, name));
        let index = index.ok_or_else(|| format!("it has no column \"{name}\""))?;
        // SAFETY: the same.
        let attribute = unsafe { attribute(shape, index) };
        if attribute.atttypid != column.kind {
            return Err(format!("its column \"{name}\" has another type"));
        }
        if attribute.attgenerated != 0 || attribute.attnotnull && !column.required {
            return Err(format!(
                "its column \"{name}\" is generated, or must not be null"
            ));
        }
        *found = index as u8;
        is_written[index] = true;
    }
    for index in (0..natts).filter(|&i| !is_written[i]) {
        // SAFETY: the same.
        let other = unsafe { attribute(shape, index) };
        let is_null = other.attgenerated == 0 && other.attidentity == 0;
        if !other.attisdropped && (other.atthasdef || other.attnotnull || !is_null) {
            return Err(format!(
                "it has a column \"{}\" that is not null by default",
                name_of(other)
            ));
        }
    }
    Ok(Layout { indexes })
}

/// # Safety
/// The shape must be alive for `'a` and have that attribute, counted from 0.
pub(super) unsafe fn attribute<'a>(
    shape: pg_sys::TupleDesc,
    index: usize,
) -> &'a pg_sys::FormData_pg_attribute {
    // SAFETY: the caller's promise.
    #[cfg(feature = "pg18")]
    unsafe {
        &*pg_sys::TupleDescAttr(shape, index as i32)
    }
    // SAFETY: the same.
    #[cfg(not(feature = "pg18"))]
    unsafe {
        &*(*shape).attrs.as_ptr().add(index)
    }
}

pub(super) fn is_named(attribute: &pg_sys::FormData_pg_attribute, name: &str) -> bool {
    !attribute.attisdropped && c_name(attribute).to_bytes() == name.as_bytes()
}

fn name_of(attribute: &pg_sys::FormData_pg_attribute) -> String {
    c_name(attribute).to_string_lossy().into_owned()
}

fn c_name(attribute: &pg_sys::FormData_pg_attribute) -> &CStr {
    // SAFETY: a name of the catalog ends with a zero.
    unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) }
}

/// In tests: that a table of the schema decide has these columns, of these types, in this order, and no others.
#[cfg(any(test, feature = "pg_test"))]
pub fn assert_columns_of(table: &str, columns: &[Column]) {
    let _session = super::Session::open();
    let sql = "SELECT a.attname::text, a.atttypid FROM pg_catalog.pg_attribute AS a \
                WHERE a.attrelid = ('decide.' || $1)::pg_catalog.regclass AND a.attnum > 0 ORDER BY a.attnum";
    let plan = Plan::prepare(sql, &[pg_sys::TEXTOID]);
    let mut stored: Vec<(String, pg_sys::Oid)> = Vec::new();
    plan.run(Access::Read, &[datum::text(table)], |row| {
        stored.push((row.must(1), row.must(2)));
    });
    let listed: Vec<_> = columns
        .iter()
        .map(|c| (c.name.to_owned(), c.kind))
        .collect();
    assert_eq!(listed, stored, "the columns of decide.{table}");
}

/// The INSERT of a whole row of a table, by the names of its columns. Lives in a `thread_local!`.
pub struct Insert {
    table: &'static str,
    columns: &'static [Column],
    /// Nothing is added where there is a row with the same key.
    once: bool,
    /// Nor where this query finds a row; its own parameters follow those of the columns.
    unless: Option<(&'static str, &'static [pg_sys::Oid])>,
    plan: OnceCell<Plan>,
}

impl Insert {
    pub const fn new(table: &'static str, columns: &'static [Column]) -> Insert {
        Insert {
            table,
            columns,
            once: false,
            unless: None,
            plan: OnceCell::new(),
        }
    }

    /// Adds nothing where there is a row with the same key.
    pub const fn once(mut self) -> Insert {
        self.once = true;
        self
    }

    /// The same, and nothing where the query finds a row.
    pub const fn unless(
        mut self,
        query: &'static str,
        parameters: &'static [pg_sys::Oid],
    ) -> Insert {
        self.unless = Some((query, parameters));
        self.once()
    }

    /// Runs it and answers how many rows were added.
    pub fn run(&self, args: &[Arg<'_>]) -> u64 {
        let plan = self.plan.get_or_init(|| {
            let columns = names(self.columns, "");
            let values: Vec<String> = (1..=self.columns.len()).map(|i| format!("${i}")).collect();
            let mut types: Vec<pg_sys::Oid> = self.columns.iter().map(|c| c.kind).collect();
            let mut sql = format!(
                "INSERT INTO {} ({columns}) SELECT {}",
                self.table,
                values.join(", ")
            );
            if let Some((query, parameters)) = self.unless {
                sql += &format!(" WHERE NOT EXISTS ({query})");
                types.extend(parameters);
            }
            if self.once {
                sql += " ON CONFLICT DO NOTHING";
            }
            Plan::prepare(&sql, &types)
        });
        plan.run(Access::Write, args, |_| {})
    }
}

/// A query of the columns of a struct. Lives in a `thread_local!`.
pub struct Select<R> {
    /// What follows the list of columns; the table that has them is called `t`.
    rest: &'static str,
    types: &'static [pg_sys::Oid],
    plan: OnceCell<Plan>,
    rows: PhantomData<fn() -> R>,
}

impl<R: SelectRow> Select<R> {
    pub const fn new(rest: &'static str, types: &'static [pg_sys::Oid]) -> Select<R> {
        Select {
            rest,
            types,
            plan: OnceCell::new(),
            rows: PhantomData,
        }
    }

    /// Runs it and hands on each row.
    pub fn read(&self, args: &[Arg<'_>], mut each: impl FnMut(R)) -> u64 {
        let plan = self.plan.get_or_init(|| {
            let sql = format!("SELECT {} {}", names(R::COLUMNS, "t."), self.rest);
            Plan::prepare(&sql, self.types)
        });
        plan.run(Access::Read, args, |row| each(of_row(&row)))
    }
}

/// A row of a statement of ours as the struct that says which columns it has.
pub fn of_row<R: SelectRow>(row: &Row<'_>) -> R {
    R::read(row).expect("the columns of the struct, in their types")
}

fn names(columns: &[Column], prefix: &str) -> String {
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!("{prefix}{}", column.name))
        .collect();
    names.join(", ")
}

/// Types that pgrx reads as they are stored, and how they are written.
macro_rules! plain {
    ($($kind:ty: $oid:ident by $write:path;)*) => { $(
        impl Written for $kind {
            const KIND: pg_sys::Oid = pg_sys::$oid;
            fn arg(&self) -> Arg<'_> {
                $write(*self)
            }
        }

        impl Stored for $kind {
            const KIND: pg_sys::Oid = pg_sys::$oid;
            fn read(row: &Row<'_>, column: i32) -> $kind {
                row.must(column)
            }
        }
    )* };
}

plain! {
    bool: BOOLOID by datum::bool;
    i16: INT2OID by datum::int2;
    i32: INT4OID by datum::int4;
    i64: INT8OID by datum::int8;
    f64: FLOAT8OID by datum::float8;
}

impl Written for Timestamp {
    const KIND: pg_sys::Oid = pg_sys::TIMESTAMPTZOID;
    fn arg(&self) -> Arg<'_> {
        datum::timestamp(self.0)
    }
}

impl Stored for Timestamp {
    const KIND: pg_sys::Oid = pg_sys::TIMESTAMPTZOID;
    fn read(row: &Row<'_>, column: i32) -> Timestamp {
        row.must(column)
    }
}

impl Written for uuid::Uuid {
    const KIND: pg_sys::Oid = pg_sys::UUIDOID;
    fn arg(&self) -> Arg<'_> {
        datum::uuid(*self)
    }
}

impl Stored for uuid::Uuid {
    const KIND: pg_sys::Oid = pg_sys::UUIDOID;
    fn read(row: &Row<'_>, column: i32) -> uuid::Uuid {
        row.must(column)
    }
}

impl Written for &str {
    const KIND: pg_sys::Oid = pg_sys::TEXTOID;
    fn arg(&self) -> Arg<'_> {
        datum::text(self)
    }
}

impl Stored for String {
    const KIND: pg_sys::Oid = pg_sys::TEXTOID;
    fn read(row: &Row<'_>, column: i32) -> String {
        row.must(column)
    }
}

/// A jsonb as its text, which must be JSON.
pub struct JsonText<'a>(pub &'a str);

impl Written for JsonText<'_> {
    const KIND: pg_sys::Oid = pg_sys::JSONBOID;
    fn arg(&self) -> Arg<'_> {
        Some(json::datum(self.0))
    }
}

impl<T: Element> Written for &[T] {
    const KIND: pg_sys::Oid = T::ARRAY;
    fn arg(&self) -> Arg<'_> {
        datum::array(self)
    }
}

/// Nothing where the column is null.
impl<T: Element> Stored for Vec<T> {
    const KIND: pg_sys::Oid = T::ARRAY;
    fn read(row: &Row<'_>, column: i32) -> Vec<T> {
        let mut values = Vec::new();
        if let Some(array) = row.datum(column) {
            array::read_into(array, &mut values);
        }
        values
    }
}

impl Written for &[Option<String>] {
    const KIND: pg_sys::Oid = pg_sys::TEXTARRAYOID;
    fn arg(&self) -> Arg<'_> {
        datum::texts(self)
    }
}

/// Nothing where the column is null.
impl Stored for Vec<Option<String>> {
    const KIND: pg_sys::Oid = pg_sys::TEXTARRAYOID;
    fn read(row: &Row<'_>, column: i32) -> Vec<Option<String>> {
        row.get(column).unwrap_or_default()
    }
}

impl<T: Written> Written for Option<T> {
    const KIND: pg_sys::Oid = T::KIND;
    const REQUIRED: bool = false;
    fn arg(&self) -> Arg<'_> {
        self.as_ref().and_then(T::arg)
    }
}

impl<T: Stored> Stored for Option<T> {
    const KIND: pg_sys::Oid = T::KIND;
    fn read(row: &Row<'_>, column: i32) -> Option<T> {
        (!row.is_null(column)).then(|| T::read(row, column))
    }
}
