//! A clock keeps it all: jobs, each of which is a function too.

use pgrx::pg_sys::INT4OID;
use pgrx::prelude::*;

use crate::error::{Error, OrRaise};
use crate::pg::{Session, Statement, datum};
use crate::settings;

const JOBS: &str = "partitions";

thread_local! {
    static PARTITIONS: Statement = const { Statement::new(
        "SELECT decide.make_partitions($1)", &[INT4OID]) };
}

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
    let ahead = settings::partitions_ahead();
    let mut made = 0;
    let _session = Session::open();
    PARTITIONS
        .with(|statement| statement.write(&[datum::int4(ahead)], |row| made = row.must::<i32>(1)));
    format!("{made} partitions made, up to {ahead} days ahead")
}
