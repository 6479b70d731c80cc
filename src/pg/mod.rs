//! The glue to Postgres, and the only unsafe code of the house.
//!
//! Every block says why it is sound. What other rooms see of it is safe: kept plans that take and
//! give values, rows by their keys, arrays as slices, jsonb as a reader, a closure that may fail, a role to act as.
//!
//! A row, and what is read from it, lives while it is handed to a closure; a value that a statement takes borrows
//! what it is made of. Types of parameters, columns and arguments, an open session where a statement needs one, and
//! what must not outlive its session or transaction are checked in debug builds, as tests are run in.

#![allow(unsafe_code)]

pub mod admission;
pub mod aggregate;
mod altered;
pub mod append;
pub mod array;
pub mod attempt;
pub mod cached;
pub mod call;
pub mod catalog;
pub mod claim;
pub mod clock;
pub mod column;
pub mod confined;
pub mod daily;
pub mod datum;
pub mod expression;
mod fitness;
mod heap;
pub mod holder;
mod hot_chain;
pub mod identity;
pub mod idle;
pub mod image;
mod image_file;
mod image_mark;
mod index_scan;
pub mod invalidation;
pub mod json;
pub mod lock_timeout;
pub mod locked;
pub mod lookup;
pub mod made;
mod memory;
pub mod numbered;
pub mod partition;
mod plain_partition;
mod plain_table;
pub mod plan;
mod planner;
pub mod pure;
pub mod record;
pub mod row;
pub mod rule_text;
pub mod session;
mod shape;
pub mod small_table;
mod spi;
pub mod texts;
pub mod timeout;
mod unique_read;
mod value;
pub mod version;
mod watched;
pub mod worker;

pub use cached::Cached;
pub use plan::{Plan, Statement};
pub use row::Row;
pub use spi::Session;

/// Once per process, from `_PG_init`, when the settings are defined.
pub fn init() {
    invalidation::init();
    timeout::init();
    confined::init();
    admission::init();
    image::init();
    memory::init();
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
