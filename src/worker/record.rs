//! Which job is due, and how each run went: decide.job and decide.job_run.

use pgrx::pg_sys::{BOOLOID, INT8OID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID};

use super::job::{Job, Run};
use super::{JOBS, find};
use crate::pg::attempt::{Caught, attempt_for};
use crate::pg::{Statement, datum};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "SELECT FROM decide.job AS j WHERE j.job = $1 FOR NO KEY UPDATE", &[TEXTOID]) };
    static DUE: Statement = const { Statement::new(
        "SELECT j.job FROM decide.job AS j LEFT JOIN decide.job_run AS r ON r.job = j.job \
          WHERE j.enabled AND j.job = ANY ($1) AND (r.next_run IS NULL OR r.next_run <= pg_catalog.clock_timestamp()) \
          ORDER BY r.next_run NULLS FIRST, j.job LIMIT 1 FOR NO KEY UPDATE OF j SKIP LOCKED",
        &[TEXTARRAYOID]) };
    static SUCCESS: Statement = const { Statement::new(
        "WITH before AS (SELECT b.failures FROM decide.job_run AS b WHERE b.job = $1) \
         INSERT INTO decide.job_run AS r (job, started_at, duration, rows, succeeded_at, users_left, next_run) \
         SELECT j.job, $2, pg_catalog.clock_timestamp() - $2, $3, CASE WHEN NOT $4 THEN $2 END, $5, \
                CASE WHEN $4 THEN pg_catalog.clock_timestamp() ELSE $2 + j.every END \
           FROM decide.job AS j WHERE j.job = $1 \
         ON CONFLICT (job) DO UPDATE \
            SET started_at = excluded.started_at, duration = excluded.duration, rows = excluded.rows, \
                succeeded_at = COALESCE(excluded.succeeded_at, r.succeeded_at), \
                error = NULL, failures = 0, users_left = excluded.users_left, next_run = excluded.next_run \
         RETURNING (SELECT b.failures FROM before AS b) > 0",
        &[TEXTOID, TIMESTAMPTZOID, INT8OID, BOOLOID, INT8OID]) };
    static FAILURE: Statement = const { Statement::new(
        "WITH before AS (SELECT b.error FROM decide.job_run AS b WHERE b.job = $1) \
         INSERT INTO decide.job_run AS r (job, started_at, duration, rows, error, failures, next_run) \
         SELECT j.job, $2, pg_catalog.clock_timestamp() - $2, $3, $4, CASE WHEN $5 THEN 0 ELSE 1 END, \
                pg_catalog.clock_timestamp() + CASE WHEN $5 THEN LEAST(j.every, interval '10 seconds') ELSE j.every END \
           FROM decide.job AS j WHERE j.job = $1 \
         ON CONFLICT (job) DO UPDATE \
            SET started_at = excluded.started_at, duration = excluded.duration, rows = excluded.rows, \
                error = excluded.error, failures = r.failures + excluded.failures, \
                next_run = CASE WHEN $5 THEN excluded.next_run ELSE pg_catalog.clock_timestamp() + (SELECT LEAST( \
                  j.every * (2 ^ LEAST(r.failures, 12)), GREATEST(j.every, interval '1 hour')) \
                  FROM decide.job AS j WHERE j.job = r.job) END \
         RETURNING (SELECT b.error FROM before AS b) IS DISTINCT FROM $4",
        &[TEXTOID, TIMESTAMPTZOID, INT8OID, TEXTOID, BOOLOID]) };
}

/// Locks the job until the transaction ends, so that no other session does a step of it; false where another
/// session does not end its own within [`LOCK_TIMEOUT`].
pub fn lock_job(job: &Job) -> bool {
    let args = [datum::text(job.name)];
    let lock = || LOCK.with(|statement| statement.write(&args, |_| {}));
    attempt_for(LOCK_TIMEOUT, lock).is_ok()
}

/// In milliseconds.
const LOCK_TIMEOUT: u32 = 1_000;

/// Locks the job that has been due for longest, without those named and those that another session is doing.
pub fn lock_due(but: &[&str]) -> Option<&'static Job> {
    let names: Vec<Option<&str>> = JOBS
        .iter()
        .map(|job| job.name)
        .filter(|name| !but.contains(name))
        .map(Some)
        .collect();
    let mut found = None;
    DUE.with(|statement| {
        statement.write(&[datum::texts(&names)], |row| {
            found = find(row.must::<&str>(1));
        })
    });
    found
}

/// Records a run, or what it has done so far; whether the run before it had failed.
pub fn success(run: &Run, more: bool) -> bool {
    let mut recovered = false;
    SUCCESS.with(|statement| {
        let args = [
            datum::text(run.job.name),
            datum::timestamp(run.started_at),
            datum::int8(run.rows),
            datum::bool(more),
            datum::int8(run.users_left),
        ];
        statement.write(&args, |row| recovered = row.get(1).unwrap_or(false))
    });
    recovered
}

/// Whether the error is that other transactions hold a lock that the job needs: it is tried again soon.
pub fn is_held_up(error: &Caught) -> bool {
    use pgrx::PgSqlErrorCode::*;
    matches!(
        error.code,
        ERRCODE_LOCK_NOT_AVAILABLE
            | ERRCODE_T_R_DEADLOCK_DETECTED
            | ERRCODE_T_R_SERIALIZATION_FAILURE
    )
}

/// Records a run that failed, and when the next one is due: later each time, unless other transactions hold it up.
/// Whether the error is another one than last time.
pub fn failure(run: &Run, error: &Caught) -> bool {
    let (mut is_new, described) = (false, error.describe());
    FAILURE.with(|statement| {
        let args = [
            datum::text(run.job.name),
            datum::timestamp(run.started_at),
            datum::int8(run.rows),
            datum::text(&described),
            datum::bool(is_held_up(error)),
        ];
        statement.write(&args, |row| is_new = row.get(1).unwrap_or(false))
    });
    is_new
}
