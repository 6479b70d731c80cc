//! The columns that tables must have whose rows are read and changed without the executor, which would look them up
//! by their names.

use pgrx::pg_sys::{
    FLOAT8ARRAYOID, FLOAT8OID, INT4OID, INT8ARRAYOID, INT8OID, Oid, TIMESTAMPTZOID, UUIDARRAYOID,
    UUIDOID,
};

/// What a table begins with.
pub(super) struct Shape {
    pub table: &'static str,
    pub columns: &'static [(&'static str, Oid)],
    /// How many of them are its primary key.
    pub keys: i32,
}

/// Every table that is found by its key. More columns may follow, which stay as they are.
const SHAPES: [Shape; 3] = [
    Shape {
        table: "user_state",
        columns: &[
            ("user_key", UUIDOID),
            ("features", FLOAT8ARRAYOID),
            ("updated_at", TIMESTAMPTZOID),
            ("keyed", FLOAT8ARRAYOID),
            ("events", INT8OID),
            ("exposures", INT8ARRAYOID),
            ("not_before", TIMESTAMPTZOID),
            ("consents", INT8ARRAYOID),
            ("merged_into", UUIDOID),
            ("merged_from", UUIDARRAYOID),
        ],
        keys: 1,
    },
    Shape {
        table: "tombstone",
        columns: &[("person", UUIDOID), ("erased_at", TIMESTAMPTZOID)],
        keys: 1,
    },
    Shape {
        table: "budget_stripe",
        columns: &[
            ("slot", INT4OID),
            ("stripe", INT4OID),
            ("quota", INT8OID),
            ("ledger", INT8ARRAYOID),
            ("paced_at", TIMESTAMPTZOID),
            ("allowed", FLOAT8OID),
        ],
        keys: 2,
    },
];

/// That of a table.
pub(super) fn of(table: &str) -> &'static Shape {
    SHAPES
        .iter()
        .find(|shape| shape.table == table)
        .expect("a table of a known shape")
}
