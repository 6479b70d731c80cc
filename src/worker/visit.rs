//! A worker in its database: does what is due, one step and one transaction after the other, in turns
//! where several jobs have work, and leaves.

use std::cell::Cell;

use pgrx::pg_sys::Oid;

use super::job::{Job, Run};
use super::record;
use crate::error::OrRaise;
use crate::pg::attempt::Caught;
use crate::pg::identity::act_as;
use crate::pg::{Session, Statement, clock, worker};

thread_local! {
    /// The owner, where the extension is there and has the tables that this library knows.
    static OWNER: Statement = const { Statement::new(
        "SELECT x.extowner FROM pg_catalog.pg_extension AS x \
          WHERE x.extname = 'pg_decide' AND pg_catalog.to_regclass('decide.job_run') IS NOT NULL \
            AND pg_catalog.to_regclass('decide.restoring') IS NOT NULL", &[]) };
    static READY: Statement = const { Statement::new(include_str!("visit/ready.sql"), &[]) };
}

pub const WORKER: &str = "pg_decide worker";

/// What a worker remembers while it is in the database.
#[derive(Default)]
struct Visit {
    /// Runs that have begun and have more steps to do.
    unfinished: Vec<Run>,
    /// Jobs that are not looked at again in this visit: their run has ended or failed.
    ended: Vec<&'static str>,
    /// The tables of jobs could not be read or written.
    failed: bool,
    /// The tables of jobs were looked at a second time after an error.
    looked_again: bool,
}

/// Does what is due; whether the tables of jobs could be read and written.
pub fn run(database: Oid) -> bool {
    worker::begin(c"pg_decide worker", Some(database));
    let mut visit = Visit::default();
    while visit.step() {
        worker::show(None);
        worker::reload();
        crate::pg::session::check_interrupts();
    }
    !visit.failed
}

impl Visit {
    /// One step of the job that is due; false if there is none.
    fn step(&mut self) -> bool {
        let begun: Cell<Option<&'static Job>> = Cell::new(None);
        let started_at = clock::now();
        worker::show(Some("due jobs"));
        let done = worker::transaction(|| {
            let _session = Session::open();
            let owner = owner()?;
            // With the rights of the worker, which sees whose sessions there are.
            if READY.with(|statement| statement.read(&[], |_| {})) == 0 {
                return None;
            }
            let _owner = act_as(owner);
            let job = record::lock_due(&self.ended)?;
            begun.set(Some(job));
            worker::show(Some(job.name));
            let mut run = self.go_on_with(job, started_at);
            let more = run.step().or_raise();
            if record::success(&run, more) {
                pgrx::log!("{WORKER}: job \"{}\" works again", job.name);
            }
            Some((run, more))
        });
        match (done, begun.get()) {
            (Ok(None), _) => false,
            (Ok(Some((run, more))), _) => {
                match more {
                    true => self.unfinished.push(run),
                    false => self.ended.push(run.job.name),
                }
                true
            }
            (Err(error), Some(job)) => {
                self.ended.push(job.name);
                self.failed = !record_failure(&Run::new(job, started_at), &error);
                !self.failed
            }
            // Other transactions have locked the tables of jobs: the next visit looks again.
            (Err(error), None) if record::is_held_up(&error) => false,
            // The extension may have been dropped just then: a second look tells.
            (Err(_), None) if !std::mem::replace(&mut self.looked_again, true) => true,
            (Err(error), None) => {
                pgrx::warning!("{WORKER} cannot see what is due: {}", error.message);
                self.failed = true;
                false
            }
        }
    }

    /// The unfinished run of the job, or a new one.
    fn go_on_with(&mut self, job: &'static Job, now: i64) -> Run {
        match self
            .unfinished
            .iter()
            .position(|run| run.job.name == job.name)
        {
            Some(index) => self.unfinished.remove(index),
            None => Run::new(job, now),
        }
    }
}

fn owner() -> Option<Oid> {
    let mut owner = None;
    OWNER.with(|statement| statement.read(&[], |row| owner = row.get(1)));
    owner
}

/// Records the failure, and logs it if it is a new one; false where it cannot be recorded. An extension that was
/// dropped meanwhile has nothing to record.
fn record_failure(run: &Run, error: &Caught) -> bool {
    let recorded = worker::transaction(|| {
        let _session = Session::open();
        let _owner = act_as(owner()?);
        Some(record::failure(run, error))
    });
    let job = run.job.name;
    let is_new = *recorded.as_ref().unwrap_or(&Some(true)) == Some(true);
    match record::is_held_up(error) {
        _ if !is_new => {}
        true => pgrx::log!("{WORKER}: job \"{job}\" is held up: {}", error.in_full()),
        false => pgrx::warning!("{WORKER}: job \"{job}\" failed: {}", error.in_full()),
    }
    recorded.as_ref().err().is_none_or(record::is_held_up)
}
