//! Background workers in a server that preloads the library: they do their jobs, whatever happens around them.

mod databases;
mod failures;
mod held;
mod inbox;

pub use databases::{
    follow_the_settings, let_a_database_go, outlive_the_extension, take_over_at_promotion,
};
pub use failures::{come_back_later_where_all_is_broken, go_on_where_a_job_fails, wait_for_room};
pub use held::{come_back_soon_to_what_is_held, hold_nothing, pass_by_what_others_hold};
pub use inbox::{fold_the_inbox, lose_and_double_nothing};

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::Client;

use super::shop;
use crate::temporary::{Database, log_since};

const PATIENCE: Duration = Duration::from_secs(60);

const INBOX_EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM decide.event_inbox)";

/// Every job has run, and none of them failed.
const ALL_WELL: &str =
    "SELECT bool_and(succeeded_at IS NOT NULL AND error IS NULL) FROM decide.job_status";

const PROCESSES: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg\\_decide%'";

/// Lets workers look after these databases, every second.
fn look_after(client: &mut Client, databases: &[&str]) -> Result<()> {
    set(client, "pg_decide.databases", &databases.join(", "))?;
    set(client, "pg_decide.worker_interval", "1")?;
    client.batch_execute("SELECT pg_reload_conf()")?;
    Ok(())
}

fn set(client: &mut Client, setting: &str, value: &str) -> Result<()> {
    client.batch_execute(&format!("ALTER SYSTEM SET {setting} = '{value}'"))?;
    Ok(())
}

/// Puts so many lines into the inbox, the same each time; answers how many are good events.
fn copy(client: &mut Client, lines: i64) -> Result<i64> {
    let mut good = 0;
    let mut inbox = client.copy_in(
        "COPY decide.event_inbox (event) FROM STDIN WITH (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')",
    )?;
    for i in 0..lines {
        match i % 100 {
            0 => writeln!(inbox, "no event at all, {{{i}")?,
            1 => writeln!(inbox, r#"{{"event_id": "{i}", "type": "click"}}"#)?,
            _ => {
                good += 1;
                let user = i % 97;
                writeln!(
                    inbox,
                    r#"{{"event_id": "{i}", "type": "click", "user_id": {user}, "at": "2026-01-01T00:00:00Z"}}"#
                )?;
            }
        }
    }
    inbox.finish()?;
    Ok(good)
}

/// Good events are there once, in the features too, and the bad ones are in quarantine.
fn counts(client: &mut Client, good: i64, bad: i64) -> Result<()> {
    let row = client.query_one(
        "SELECT (SELECT count(*) FROM decide.event), (SELECT count(*) FROM decide.quarantine), \
                (SELECT round(sum(features[2]))::bigint FROM decide.user_state)",
        &[],
    )?;
    let found: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!(
        found == (good, bad, good),
        "(events, quarantined, counted) is {found:?}, not {:?}",
        (good, bad, good)
    );
    Ok(())
}

/// Waits until a query answers true; one that fails or answers null has not yet.
fn until(client: &mut Client, query: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let answer = client.query_one(query, &[]);
        if let Ok(row) = &answer
            && row.get::<_, Option<bool>>(0) == Some(true)
        {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let jobs = client.query(
                "SELECT concat_ws(' ', job, last_run, rows, failures, users_left, error) FROM decide.job_status",
                &[],
            )?;
            let jobs: Vec<String> = jobs.iter().map(|row| row.get(0)).collect();
            anyhow::bail!("in vain: {query}\n{answer:?}\n{}", jobs.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process of a worker, once there is one.
fn worker(client: &mut Client) -> Result<i32> {
    let query = "SELECT max(pid) FROM pg_stat_activity WHERE backend_type = 'pg_decide worker'";
    until(client, &query.replace("max(pid)", "count(*) > 0"))?;
    Ok(client.query_one(query, &[])?.get(0))
}

/// Nothing of ours was logged as going wrong.
fn quiet(database: &Database, logged: u64) -> Result<()> {
    let log = log_since(&database.server.log_file(), logged);
    let said: Vec<&str> = log
        .lines()
        .filter(|line| {
            ["WARNING", "ERROR", "FATAL"]
                .iter()
                .any(|level| line.contains(level))
        })
        .collect();
    ensure!(said.is_empty(), "the log says:\n{}", said.join("\n"));
    Ok(())
}
