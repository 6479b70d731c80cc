//! Features whose past is being computed, some users a step.

use super::job::{Run, Step};
use crate::error::Error;
use crate::observe::backfill;

pub fn step() -> Result<Step, Error> {
    let done = backfill::step()?;
    Ok(Step {
        more: done.more,
        users_left: done.users_left,
        ..Step::last(done.users)
    })
}

pub fn report(run: &Run) -> String {
    let users = run.rows;
    match run.users_left {
        0 => format!("features of {users} users computed from their events"),
        left => format!("features of {users} users computed from their events, {left} users left"),
    }
}
