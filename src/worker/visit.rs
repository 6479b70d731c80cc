//! A worker in its database: does what is due, one step and one transaction after the other, in turns
//! where several jobs have work, and leaves.

use std::cell::Cell;

use pgrx::pg_sys::Oid;

use super::record::{self, Run};
use super::{Job, WORKER};
use crate::error::OrRaise;
use crate::pg::attempt::Caught;
use crate::pg::identity::act_as;
use crate::pg::{Session, Statement, clock, worker};

thread_local! {
    /// The owner, where the extension is there and has the tables that this library knows.
    static OWNER: Statement = const { Statement::new(
        "SELECT x.extowner FROM pg_catalog.pg_extension AS x \
          WHERE x.extname = 'pg_decide' AND pg_catalog.to_regclass('decide.job_run') IS NOT NULL", &[]) };
}

/// What a worker remembers while it is in the database.
#[derive(Default)]
struct Visit {
    /// Runs that have begun and have more steps to do.
    open: Vec<Run>,
    /// Jobs that are done with until the next visit.
    over: Vec<&'static str>,
    /// What is due cannot be seen, or what failed not be recorded.
    blind: bool,
    /// What is due could not be seen once.
    puzzled: bool,
}

/// Whether the worker could see what was due, and record what failed.
pub fn run(database: Oid) -> bool {
    worker::begin(c"pg_decide worker", Some(database));
    let mut visit = Visit::default();
    while visit.step() {
        worker::show(None);
        worker::reload();
        crate::pg::session::check_interrupts();
    }
    !visit.blind
}

impl Visit {
    /// One step of the job that is due; false if there is none.
    fn step(&mut self) -> bool {
        let begun: Cell<Option<&'static Job>> = Cell::new(None);
        let started_at = clock::now();
        worker::show(Some("due jobs"));
        let done = worker::transaction(|| {
            let _session = Session::open();
            let _owner = act_as(owner()?);
            let job = record::due(&self.over)?;
            begun.set(Some(job));
            worker::show(Some(job.name));
            let mut run = self.take_up(job, started_at);
            let step = (job.step)().or_raise();
            run.rows += step.rows;
            if record::went_well(&run, step.more) {
                pgrx::log!("{WORKER}: job \"{}\" works again", job.name);
            }
            Some((run, step.more))
        });
        match (done, begun.get()) {
            (Ok(None), _) => false,
            (Ok(Some((run, more))), _) => {
                match more {
                    true => self.open.push(run),
                    false => self.over.push(run.job.name),
                }
                true
            }
            (Err(error), Some(job)) => {
                self.over.push(job.name);
                self.blind = !put_off(&Run::new(job, started_at), &error);
                !self.blind
            }
            // Others hold the tables of jobs: the next visit looks again.
            (Err(error), None) if record::is_held_up(&error) => false,
            // The extension may have gone just then: a second look tells.
            (Err(_), None) if !std::mem::replace(&mut self.puzzled, true) => true,
            (Err(error), None) => {
                pgrx::warning!("{WORKER} cannot see what is due: {}", error.message);
                self.blind = true;
                false
            }
        }
    }

    /// The run that goes on, or a new one.
    fn take_up(&mut self, job: &'static Job, now: i64) -> Run {
        match self.open.iter().position(|run| run.job.name == job.name) {
            Some(place) => self.open.remove(place),
            None => Run::new(job, now),
        }
    }
}

fn owner() -> Option<Oid> {
    let mut owner = None;
    OWNER.with(|statement| statement.read(&[], |row| owner = row.get(1)));
    owner
}

/// Records the failure, and logs it if it is a new one. Where the extension has gone meanwhile there
/// is nothing to tell. False where it cannot be recorded.
fn put_off(run: &Run, error: &Caught) -> bool {
    let told = worker::transaction(|| {
        let _session = Session::open();
        let _owner = act_as(owner()?);
        Some(record::went_badly(run, error))
    });
    let job = run.job.name;
    let is_news = *told.as_ref().unwrap_or(&Some(true)) == Some(true);
    match record::is_held_up(error) {
        _ if !is_news => {}
        true => pgrx::log!("{WORKER}: job \"{job}\" is held up: {}", error.in_full()),
        false => pgrx::warning!("{WORKER}: job \"{job}\" failed: {}", error.in_full()),
    }
    told.as_ref().err().is_none_or(record::is_held_up)
}
