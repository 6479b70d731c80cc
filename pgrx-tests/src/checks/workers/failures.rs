//! Jobs that fail, and servers on which workers cannot do their work.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{INBOX_EMPTY, PATIENCE, PROCESSES, copy, look_after, set, shop, until};
use crate::server::Stop;
use crate::temporary::{Database, log_since};

/// A job that fails says so in the view and once in the log, is tried less and less often, and keeps
/// no other from its work.
pub fn go_on_where_a_job_fails(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$; \
         CREATE TRIGGER refuse BEFORE DELETE ON decide.quarantine FOR EACH ROW EXECUTE FUNCTION public.refuse(); \
         SELECT track('{}'::jsonb); \
         UPDATE decide.quarantine SET received_at = now() - interval '1 year'; \
         UPDATE decide.job SET every = '1 second' WHERE job = 'quarantine'",
    )?;
    let logged = database.server.log_length();
    look_after(&mut client, &[&database.name])?;
    until(
        &mut client,
        "SELECT count(*) = 1 FROM decide.job_status WHERE job = 'quarantine' AND failures >= 3 \
            AND error = 'P0001: raise exception' AND succeeded_at IS NULL AND next_run > last_run + interval '3 seconds'",
    )?;
    copy(&mut client, 100)?;
    until(&mut client, INBOX_EMPTY)?;
    until(
        &mut client,
        "SELECT count(*) = (SELECT count(*) - 1 FROM decide.job) FROM decide.job_status WHERE succeeded_at IS NOT NULL AND error IS NULL AND failures = 0",
    )?;
    client.batch_execute("DROP TRIGGER refuse ON decide.quarantine")?;
    until(
        &mut client,
        "SELECT count(*) = 1 FROM decide.job_status WHERE job = 'quarantine' AND failures = 0 \
            AND error IS NULL AND rows = 1 AND succeeded_at IS NOT NULL",
    )?;
    let log = log_since(&database.server.log_file(), logged);
    for line in [
        "job \"quarantine\" failed: P0001: not now",
        "job \"quarantine\" works again",
    ] {
        let times = log.matches(line).count();
        ensure!(times == 1, "{line:?} was logged {times} times");
    }
    Ok(())
}

/// Where a worker cannot even record what failed it does not come back at every visit only to say so.
pub fn come_back_later_where_all_is_broken(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute("ALTER TABLE decide.job RENAME every TO often")?;
    let logged = database.server.log_length();
    look_after(&mut client, &[&database.name])?;
    std::thread::sleep(Duration::from_millis(4500));
    let log = log_since(&database.server.log_file(), logged);
    let times = log.matches("WARNING").count();
    ensure!(times == 1, "in four visits there were {times} warnings");
    Ok(())
}

/// A server without a free process for workers goes on, and says so once.
pub fn wait_for_room(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    look_after(&mut client, &[&database.name])?;
    // room for the launcher and for the one of logical replication
    set(&mut client, "max_worker_processes", "2")?;
    let logged = database.server.log_length();
    database.server.restart(Stop::Fast)?;
    client = database.reconnect(PATIENCE)?;
    std::thread::sleep(Duration::from_millis(3500));
    let log = log_since(&database.server.log_file(), logged);
    let times = log
        .matches("cannot be started: max_worker_processes")
        .count();
    ensure!(times == 1, "it was said {times} times");
    let launchers = shop::count(&mut client, PROCESSES)?;
    ensure!(launchers == 1, "there are {launchers} processes of ours");
    Ok(())
}
