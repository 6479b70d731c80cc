//! Partitions of days, made ahead.

use super::Step;
use crate::error::Error;
use crate::{policy, settings};

/// Where one table was made partitions of and others hold another, a second step says so.
pub fn step() -> Result<Step, Error> {
    let made = policy::make_partitions();
    Ok(Step {
        rows: made.into(),
        more: made > 0,
    })
}

pub fn says(rows: i64) -> String {
    let ahead = settings::partitions_ahead();
    format!("{rows} partitions made, up to {ahead} days ahead")
}
