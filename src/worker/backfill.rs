//! Features whose past is being computed, some users a step.

use super::Step;
use crate::error::Error;
use crate::observe::backfill;

pub fn step() -> Result<Step, Error> {
    let filled = backfill::step()?;
    Ok(Step {
        rows: filled.users,
        more: filled.more,
    })
}

pub fn says(rows: i64) -> String {
    match backfill::left() {
        0 => format!("features of {rows} users computed from their events"),
        left => format!("features of {rows} users computed from their events, {left} users left"),
    }
}

pub fn left() -> i64 {
    backfill::left()
}
