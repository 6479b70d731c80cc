//! A restore into a database that workers visit already: they wait until it is done.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

use super::{live, replays};
use crate::run;
use crate::temporary::Database;

/// How long after a restore the first job may take to run.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How much earlier than the end of the restore, as we see it, its session may have ended.
const TOLERANCE: Duration = Duration::from_millis(700);

/// A table of the shop that takes long to load, and long to index: workers come by meanwhile.
const SLOW: &str = r#"
    CREATE FUNCTION nap(i int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
    CREATE TABLE slow (i int);
    INSERT INTO slow SELECT generate_series(1, 15);
    CREATE INDEX ON slow (nap(i));
    ALTER TABLE slow ADD CHECK (nap(i));
    CREATE OR REPLACE FUNCTION nap(i int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_catalog.pg_sleep(0.1); RETURN true; END';
"#;

/// No job runs before the restore is done, by psql or by pg_restore; and then they do.
pub fn while_workers_come_by(database: &Database) -> Result<()> {
    let mut source = database.connect()?;
    live(&mut source)?;
    source.batch_execute(SLOW)?;
    let folder = database.server.scratch("while workers come by")?;
    let (plain, custom) = (folder.join("dump.sql"), folder.join("dump"));
    run::output(database.client("pg_dump").arg("--file").arg(&plain))?;
    run::output(
        database
            .client("pg_dump")
            .args(["-Fc", "--file"])
            .arg(&custom),
    )?;
    restores(database, "psql", |psql, _| {
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]);
        psql.stdin(File::open(&plain)?);
        Ok(())
    })?;
    restores(database, "pg_restore", |restore, name| {
        restore.args(["--exit-on-error", "--jobs=4", "--dbname", name]);
        restore.arg(&custom);
        Ok(())
    })
}

fn restores(
    database: &Database,
    program: &str,
    prepare: impl Fn(&mut Command, &str) -> Result<()>,
) -> Result<()> {
    let copy = database.server.create_database()?;
    let mut target = copy.connect()?;
    target.batch_execute("DROP EXTENSION pg_decide")?;
    target.batch_execute(&format!(
        "ALTER SYSTEM SET pg_decide.databases = '{}'",
        copy.name
    ))?;
    target.batch_execute("ALTER SYSTEM SET pg_decide.worker_interval = 1")?;
    target.batch_execute("SELECT pg_reload_conf()")?;
    let mut command = copy.client(program);
    prepare(&mut command, &copy.name)?;
    run::output(&mut command).with_context(|| format!("restored by {program}"))?;
    let ended = SystemTime::now();
    let begun = Instant::now();
    loop {
        let first = target
            .query_one("SELECT min(started_at) FROM decide.job_run", &[])?
            .get::<_, Option<SystemTime>>(0);
        if let Some(first) = first {
            let early = ended.duration_since(first).unwrap_or_default();
            ensure!(
                early < TOLERANCE,
                "a job has run {early:?} before the restore by {program} was done"
            );
            break;
        }
        ensure!(
            begun.elapsed() < TIMEOUT,
            "no job has run after the restore by {program}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    replays(&mut target).with_context(|| format!("restored by {program}"))
}
