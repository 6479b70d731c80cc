//! The inbox, taken in by batches.

use super::job::{Run, Step, Steps};
use crate::error::Error;
use crate::observe::inbox::InboxRun;

/// Events of one transaction: few, so that a session that waits for one of their users does not wait for long.
const BATCH: i32 = 1_000;

pub fn start() -> Steps {
    let mut inbox = InboxRun::default();
    Box::new(move || step(&mut inbox))
}

fn step(inbox: &mut InboxRun) -> Result<Step, Error> {
    let folded = inbox.fold(BATCH)?;
    Ok(Step {
        more: folded.more,
        users_left: folded.users_left as i64,
        ..Step::last(folded.events)
    })
}

pub fn report(run: &Run) -> String {
    let events = run.rows;
    match run.users_left {
        0 => format!("{events} events folded"),
        left => format!("{events} events folded, those of {left} users left"),
    }
}
