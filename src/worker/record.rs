//! When jobs are due, and how each went: decide.job and decide.job_run. All of it needs an open session.

use pgrx::pg_sys::{BOOLOID, INT8OID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID};

use super::{JOBS, Job, named};
use crate::pg::attempt::{Caught, attempt_for};
use crate::pg::{Statement, datum};

thread_local! {
    static TURN: Statement = const { Statement::new(
        "SELECT FROM decide.job AS j WHERE j.job = $1 FOR NO KEY UPDATE", &[TEXTOID]) };
    static DUE: Statement = const { Statement::new(
        "SELECT j.job FROM decide.job AS j LEFT JOIN decide.job_run AS r ON r.job = j.job \
          WHERE j.enabled AND j.job = ANY ($1) AND (r.next_run IS NULL OR r.next_run <= pg_catalog.clock_timestamp()) \
          ORDER BY r.next_run NULLS FIRST, j.job LIMIT 1 FOR NO KEY UPDATE OF j SKIP LOCKED",
        &[TEXTARRAYOID]) };
    static WELL: Statement = const { Statement::new(
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
    static BADLY: Statement = const { Statement::new(
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

/// One run of a job, from its first step to its last.
pub struct Run {
    pub job: &'static Job,
    pub started_at: i64,
    pub rows: i64,
}

impl Run {
    pub fn new(job: &'static Job, started_at: i64) -> Run {
        Run {
            job,
            started_at,
            rows: 0,
        }
    }
}

/// Waits a moment until nobody else does a step of the job, and keeps others from it until the transaction
/// ends; whether it does.
pub fn is_my_turn(job: &Job) -> bool {
    let args = [datum::text(job.name)];
    let take = || TURN.with(|statement| statement.write(&args, |_| {}));
    attempt_for(PATIENCE, take).is_ok()
}

/// How long it waits, in milliseconds.
const PATIENCE: u32 = 1_000;

/// The job that has been due for longest, but those, and those that somebody else is doing.
pub fn due(but: &[&str]) -> Option<&'static Job> {
    let names: Vec<Option<&str>> = JOBS
        .iter()
        .map(|job| job.name)
        .filter(|name| !but.contains(name))
        .map(Some)
        .collect();
    let mut found = None;
    DUE.with(|statement| {
        statement.write(&[datum::texts(&names)], |row| {
            found = named(row.must::<&str>(1));
        })
    });
    found
}

/// Records a run, or the part of it that was done so far; whether the job had failed before.
pub fn went_well(run: &Run, more: bool) -> bool {
    let mut cured = false;
    WELL.with(|statement| {
        let args = [
            datum::text(run.job.name),
            datum::timestamp(run.started_at),
            datum::int8(run.rows),
            datum::bool(more),
            datum::int8((run.job.left)()),
        ];
        statement.write(&args, |row| cured = row.get(1).unwrap_or(false))
    });
    cured
}

/// Whether it is only that other transactions have something that the job needs: it is tried again soon.
pub fn is_held_up(error: &Caught) -> bool {
    use pgrx::PgSqlErrorCode::*;
    matches!(
        error.code,
        ERRCODE_LOCK_NOT_AVAILABLE
            | ERRCODE_T_R_DEADLOCK_DETECTED
            | ERRCODE_T_R_SERIALIZATION_FAILURE
    )
}

/// Records a run that failed and puts the next one off, for longer each time unless others hold it up;
/// whether the error is another than last time.
pub fn went_badly(run: &Run, error: &Caught) -> bool {
    let (mut news, described) = (false, error.describe());
    BADLY.with(|statement| {
        let args = [
            datum::text(run.job.name),
            datum::timestamp(run.started_at),
            datum::int8(run.rows),
            datum::text(&described),
            datum::bool(is_held_up(error)),
        ];
        statement.write(&args, |row| news = row.get(1).unwrap_or(false))
    });
    news
}
