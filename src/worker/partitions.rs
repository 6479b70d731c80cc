//! Partitions of days, made ahead.

use super::Step;
use crate::error::Error;
use crate::pg::plan::impatient;
use crate::pg::worker::is_worker;
use crate::{policy, settings};

/// A worker can come again, so it does not queue for the lock: all who come later would queue behind.
pub fn step() -> Result<Step, Error> {
    let made = match is_worker() {
        true => impatient(policy::make_partitions),
        false => policy::make_partitions(),
    };
    Ok(Step {
        rows: made.into(),
        more: false,
    })
}

pub fn says(rows: i64) -> String {
    let ahead = settings::partitions_ahead();
    format!("{rows} partitions made, up to {ahead} days ahead")
}
