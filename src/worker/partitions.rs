//! Partitions of days, made ahead.

use super::job::{Run, Step};
use crate::error::Error;
use crate::{policy, settings};

/// One step makes the partitions of all tables that are free; the next one fails where a table is locked.
pub fn step() -> Result<Step, Error> {
    let made = policy::make_partitions();
    Ok(match made {
        0 => Step::last(0),
        _ => Step::with_more(made.into()),
    })
}

pub fn report(run: &Run) -> String {
    let ahead = settings::partitions_ahead();
    format!("{} partitions made, up to {ahead} days ahead", run.rows)
}
