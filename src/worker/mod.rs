//! A clock keeps it all: jobs, each of which is a function too.

use pgrx::prelude::*;

use crate::error::{Error, OrRaise};
use crate::pg::Session;
use crate::{policy, settings};

const JOBS: &str = "partitions";

/// Does a job now and answers, in words, what it did.
#[pg_extern(sql = false)]
fn run_job(job: Option<&str>) -> String {
    run(job).or_raise()
}

fn run(job: Option<&str>) -> Result<String, Error> {
    match job.ok_or(Error::Null("job"))? {
        "partitions" => Ok(make_partitions()),
        other => Err(Error::UnknownJob {
            job: other.to_owned(),
            jobs: JOBS,
        }),
    }
}

fn make_partitions() -> String {
    let _session = Session::open();
    let made = policy::make_partitions();
    let ahead = settings::partitions_ahead();
    format!("{made} partitions made, up to {ahead} days ahead")
}
