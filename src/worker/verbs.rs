//! The SQL functions of this room.

use pgrx::prelude::*;

use super::job::Run;
use super::{JOBS, find, record};
use crate::error::{Error, OrRaise, printable};
use crate::govern::acting::{refuse_read_only, refuse_restricted};
use crate::govern::waiting::Waiting;
use crate::pg::attempt::attempt;
use crate::pg::call::Call;
use crate::pg::{Session, clock, datum, session};

/// run_job(job): does it now, to its end, and answers in words what it did.
#[pg_extern(sql = false)]
fn run_job(job: Option<&str>) -> String {
    refuse_restricted("run_job");
    refuse_read_only("run_job");
    run(job).or_raise()
}

fn run(name: Option<&str>) -> Result<String, Error> {
    let name = name.ok_or(Error::Null("job"))?;
    let job = find(name).ok_or_else(|| unknown(name))?;
    let _session = Session::open();
    let mut run = Run::new(job, clock::now());
    if !record::lock_job(job) {
        return Err(Error::JobTaken(job.name));
    }
    let mut rest = "";
    Waiting::of_job(job.name).run_short(|| {
        loop {
            // What a step has allocated goes with it.
            let _step = Session::open();
            let step = match run.rows {
                0 => Ok(run.step()),
                _ => attempt(|| run.step()),
            };
            match step {
                Ok(more) => {
                    if !more? {
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
        record::success(&run, false);
        Ok((job.report)(&run) + rest)
    })
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
    Error::UnknownJob {
        job: printable(name),
        jobs: names.join(", "),
    }
}

/// default_jobs(): every job of this version, how often it runs by default, and what it does.
#[pg_extern(sql = false)]
fn default_jobs(call: pg_sys::FunctionCallInfo) {
    let call = Call::running(call);
    let mut rows = call.rows();
    for job in JOBS {
        rows.push([job.name, job.every, job.comment].map(datum::text));
    }
}
