//! A clock keeps it all: jobs, each of which is a function too, and the workers that run them.
//!
//! | file | what |
//! | --- | --- |
//! | here | the jobs there are, and `decide.run_job` |
//! | `record` | which job is due, and how each went |
//! | `launcher` | one process that sends a worker into each named database |
//! | `visit` | a worker: does in its database what is due, and leaves |
//! | the others | one job each |

mod action_features;
mod backfill;
mod budgets;
mod fold;
mod freshness;
mod launcher;
mod pacing;
mod partitions;
mod quarantine;
mod record;
mod retention;
mod visit;

use pgrx::prelude::*;

use crate::error::{Error, OrRaise, printable};
use crate::govern::acting::{refuse_read_only, refuse_restricted};
use crate::govern::waiting::Waiting;
use crate::pg::attempt::attempt;
use crate::pg::call::Call;
use crate::pg::{Session, clock, datum, session, worker};

/// A job: done in steps, each short and by itself a whole.
pub struct Job {
    name: &'static str,
    /// How often, unless decide.job says otherwise.
    every: &'static str,
    step: fn() -> Result<Step, Error>,
    /// What so many rows of its work are, in words.
    says: fn(i64) -> String,
    /// How many users the run was done without, since other transactions have their rows.
    left: fn() -> i64,
}

/// What a step did, and whether there is more to do.
pub struct Step {
    rows: i64,
    more: bool,
}

/// Every job. One more is a line here and a file beside this one.
const JOBS: &[Job] = &[
    job("fold", "1 second", fold::step, fold::says).leaving(fold::left),
    job("partitions", "1 hour", partitions::step, partitions::says),
    job("retention", "1 hour", retention::step, retention::says),
    job("quarantine", "1 hour", quarantine::step, quarantine::says),
    job("backfill", "1 minute", backfill::step, backfill::says).leaving(backfill::left),
    job("budgets", "10 seconds", budgets::step, budgets::says),
    job("freshness", "1 hour", freshness::step, freshness::says),
    job(
        "action_features",
        "1 minute",
        action_features::step,
        action_features::says,
    ),
    job("pacing", "10 seconds", pacing::step, pacing::says),
];

const fn job(
    name: &'static str,
    every: &'static str,
    step: fn() -> Result<Step, Error>,
    says: fn(i64) -> String,
) -> Job {
    Job {
        name,
        every,
        step,
        says,
        left: || 0,
    }
}

impl Job {
    /// One that goes on without users whose rows other transactions have.
    const fn leaving(self, left: fn() -> i64) -> Job {
        Job { left, ..self }
    }
}

fn named(name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.name == name)
}

/// Does a job now, to its end, and answers in words what it did.
#[pg_extern(sql = false)]
fn run_job(job: Option<&str>) -> String {
    refuse_restricted("run_job");
    refuse_read_only("run_job");
    run(job).or_raise()
}

fn run(name: Option<&str>) -> Result<String, Error> {
    let name = name.ok_or(Error::Null("job"))?;
    let job = named(name).ok_or_else(|| Error::UnknownJob {
        job: printable(name),
        jobs: JOBS
            .iter()
            .map(|job| job.name)
            .collect::<Vec<_>>()
            .join(", "),
    })?;
    let _session = Session::open();
    let mut run = record::Run::new(job, clock::now());
    if !record::is_my_turn(job) {
        return Err(Error::JobTaken(job.name));
    }
    let mut rest = "";
    let waiting = Waiting {
        who: format!("job \"{}\"", job.name).into(),
        ..Waiting::of_verb("run_job")
    };
    waiting.for_at_most(1_000, || {
        loop {
            // What a step has allocated goes with it.
            let _step = Session::open();
            let step = match run.rows {
                0 => Ok((job.step)()),
                _ => attempt(job.step),
            };
            match step {
                Ok(step) => {
                    let step = step?;
                    run.rows += step.rows;
                    if !step.more {
                        break;
                    }
                }
                // What was done is done.
                Err(error) if run.rows > 0 && record::is_held_up(&error) => {
                    rest = "; other transactions hold the rest";
                    break;
                }
                Err(error) => error.raise(),
            }
            session::check_interrupts();
        }
        record::went_well(&run, false);
        Ok((job.says)(run.rows) + rest)
    })
}

/// default_jobs(): what the table of jobs begins with.
#[pg_extern(sql = false)]
fn default_jobs(call: pg_sys::FunctionCallInfo) {
    let mut rows = Call::running(call).rows();
    for job in JOBS {
        rows.push([datum::text(job.name), datum::text(job.every)]);
    }
}

const LAUNCHER: &str = "pg_decide launcher";
const WORKER: &str = "pg_decide worker";

/// Registers the launcher where the library is preloaded. Once per process, from `_PG_init`.
pub fn init() {
    worker::init(LAUNCHER, launcher::run, visit::run);
}
