//! The inbox, folded in by batches.

use super::Step;
use crate::error::Error;
use crate::observe::inbox;

/// Events of one transaction: few enough that who waits for one of their users waits only a moment.
const BATCH: i32 = 1_000;

pub fn step() -> Result<Step, Error> {
    let rows = inbox::fold(BATCH)?;
    Ok(Step {
        rows,
        more: rows == i64::from(BATCH),
    })
}

pub fn says(rows: i64) -> String {
    format!("{rows} events folded")
}
