//! The inbox, folded in by batches.

use super::Step;
use crate::error::Error;
use crate::observe::inbox;

/// Events of one transaction: few enough that who waits for one of their users waits only a moment.
const BATCH: i32 = 1_000;

pub fn step() -> Result<Step, Error> {
    let folded = inbox::fold(BATCH)?;
    Ok(Step {
        rows: folded.events,
        more: folded.more,
    })
}

pub fn says(rows: i64) -> String {
    match inbox::left() {
        0 => format!("{rows} events folded"),
        left => format!("{rows} events folded, those of {left} users left"),
    }
}

pub fn left() -> i64 {
    inbox::left() as i64
}
