//! What is wrong with policy tables, collected so that a publish can say all of it at once.

use crate::error::Fault;

/// Collects faults.
#[derive(Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub fn add(&mut self, table: &'static str, row: &str, reason: impl Into<String>) {
        self.0.push(Fault {
            table,
            row: row.to_owned(),
            reason: reason.into(),
        });
    }
}
