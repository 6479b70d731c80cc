//! The glue to Postgres, and the only unsafe code of the house.
//!
//! Every block says why it is sound. What other rooms see of it is safe: kept plans that take and
//! give datums, arrays as slices, jsonb as a reader, a closure that may fail, a role to act as.

#![allow(unsafe_code)]

pub mod admission;
pub mod append;
pub mod array;
pub mod attempt;
pub mod call;
pub mod claim;
pub mod clock;
pub mod confined;
pub mod daily;
pub mod datum;
pub mod expression;
mod heap;
pub mod holder;
pub mod identity;
pub mod invalidation;
pub mod json;
pub mod lock_limit;
pub mod locked;
pub mod lookup;
pub mod partition;
pub mod plan;
mod planner;
mod root;
pub mod rule_text;
pub mod session;
mod shape;
pub mod timeout;
pub mod version;
pub mod watched;
pub mod worker;

pub use plan::{Plan, Row, Session, Statement};
pub use watched::Watched;

/// Once per process, from `_PG_init`, when the settings are defined.
pub fn init() {
    invalidation::init();
    timeout::init();
    confined::init();
    admission::init();
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
