//! Background workers in a server that preloads the library: they do their jobs, whatever happens around them.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;
use postgres::error::SqlState;

use super::shop;
use crate::server::Stop;
use crate::temporary::{Database, Standby, log_since};

const PATIENCE: Duration = Duration::from_secs(60);

/// 10,000 lines by COPY, some of them bad, are folded in by the worker, each once.
pub fn fold_the_inbox(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    look_after(&mut client, &[&database.name])?;
    let good = copy(&mut client, 10_000)?;
    until(&mut client, INBOX_EMPTY)?;
    counts(&mut client, good, 10_000 - good)?;
    // and what has come before comes to nothing
    copy(&mut client, 10_000)?;
    until(&mut client, INBOX_EMPTY)?;
    counts(&mut client, good, 2 * (10_000 - good))
}

/// The worker is killed, and then the whole server ends, in the middle of it: nothing is lost or doubled.
pub fn lose_and_double_nothing(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let good = copy(&mut client, 40_000)?;
    look_after(&mut client, &[&database.name])?;
    for round in 0..2 {
        let before = shop::count(&mut client, "SELECT count(*) FROM decide.event")?;
        until(
            &mut client,
            &format!("SELECT count(*) > {before} FROM decide.event"),
        )?;
        let worker = worker(&mut client)?;
        match round {
            0 => {
                kill(Pid::from_raw(worker), Signal::SIGKILL)?;
                // until the server ends all sessions
                while client.simple_query("SELECT pg_sleep(0.01)").is_ok() {}
            }
            _ => database.server.restart(Stop::Immediate)?,
        }
        client = database.reconnect(PATIENCE)?;
        let left = shop::count(&mut client, "SELECT count(*) FROM decide.event_inbox")?;
        ensure!(left > 0, "all was folded before crash {round}");
    }
    until(&mut client, INBOX_EMPTY)?;
    counts(&mut client, good, 40_000 - good)
}

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
        "job \"quarantine\" failed: P0001: raise exception",
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

/// While the extension is gone workers find nothing to do; once it is back, they go on.
pub fn outlive_the_extension(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    look_after(&mut client, &[&database.name])?;
    until(&mut client, ALL_WELL)?;
    let logged = database.server.log_length();
    for _ in 0..2 {
        client.batch_execute("DROP EXTENSION pg_decide")?;
        std::thread::sleep(Duration::from_millis(2500));
        client.batch_execute("CREATE EXTENSION pg_decide")?;
        until(&mut client, ALL_WELL)?;
    }
    quiet(database, logged)
}

/// DROP DATABASE finds nobody in it; the name may come back.
pub fn let_a_database_go(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    look_after(&mut client, &[&database.name, "of_workers"])?;
    let logged = database.server.log_length();
    for _ in 0..4 {
        client.batch_execute("CREATE DATABASE of_workers")?;
        let mut other = database.server.connect("of_workers")?;
        other.batch_execute("CREATE EXTENSION pg_decide")?;
        until(&mut other, ALL_WELL)?;
        drop(other);
        client.batch_execute("DROP DATABASE of_workers")?;
    }
    until(&mut client, ALL_WELL)?;
    quiet(database, logged)?;
    // and a worker that is busy gives way to FORCE
    client.batch_execute("CREATE DATABASE of_workers")?;
    let mut other = database.server.connect("of_workers")?;
    other.batch_execute("CREATE EXTENSION pg_decide")?;
    shop::open(&mut other)?;
    copy(&mut other, 40_000)?;
    until(&mut other, "SELECT count(*) > 0 FROM decide.event")?;
    worker(&mut other)?;
    client.batch_execute("DROP DATABASE of_workers WITH (FORCE)")?;
    Ok(())
}

/// A reload adds a database, and another one takes it away.
pub fn follow_the_settings(database: &Database) -> Result<()> {
    let other = database.server.create_database()?;
    let (mut client, mut second) = (database.connect()?, other.connect()?);
    look_after(&mut client, &[&database.name])?;
    until(&mut client, ALL_WELL)?;
    let visited = "SELECT count(*) FROM decide.job_run";
    ensure!(
        shop::count(&mut second, visited)? == 0,
        "there is a worker in a database that nobody named"
    );
    look_after(&mut client, &[&database.name, &other.name])?;
    until(&mut second, ALL_WELL)?;
    look_after(&mut client, &[&other.name])?;
    std::thread::sleep(Duration::from_millis(2500));
    client.batch_execute("TRUNCATE decide.job_run")?;
    second.batch_execute("TRUNCATE decide.job_run")?;
    until(&mut second, ALL_WELL)?;
    ensure!(
        shop::count(&mut client, visited)? == 0,
        "there is a worker in a database that is no longer named"
    );
    // a setting of the database, and the order to run no more
    second.batch_execute(&format!(
        "ALTER DATABASE {} SET pg_decide.partitions_ahead = 20; \
         UPDATE decide.job SET enabled = false WHERE job <> 'partitions'; TRUNCATE decide.job_run",
        other.name
    ))?;
    until(
        &mut second,
        "SELECT rows = 39 FROM decide.job_run WHERE job = 'partitions'",
    )?;
    let others = shop::count(&mut second, visited)?;
    ensure!(others == 1, "{} disabled jobs have run", others - 1);
    Ok(())
}

/// A standby has no workers; once promoted, it has.
pub fn take_over_at_promotion(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    set(&mut client, "pg_decide.databases", &database.name)?;
    set(&mut client, "pg_decide.worker_interval", "1")?;
    let good = copy(&mut client, 1_000)?;
    let standby = Standby::of(database.server)?;
    let mut follower = standby.connect(&database.name)?;
    std::thread::sleep(Duration::from_millis(2500));
    let waiting = shop::count(&mut follower, "SELECT count(*) FROM decide.event_inbox")?;
    ensure!(
        waiting == 1_000,
        "the standby has {waiting} events in its inbox"
    );
    let processes = shop::count(&mut follower, PROCESSES)?;
    ensure!(
        processes == 0,
        "the standby has {processes} processes of ours"
    );
    follower.batch_execute("SELECT pg_promote()")?;
    until(&mut follower, INBOX_EMPTY)?;
    counts(&mut follower, good, 1_000 - good)
}

/// Idle processes hold no snapshot that would keep vacuum from its work, and workers do not stay.
pub fn hold_nothing(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    look_after(&mut client, &[&database.name])?;
    until(&mut client, ALL_WELL)?;
    let (mut there, mut holding, mut samples) = (0, 0, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let row = client.query_one(
            "SELECT count(*) FILTER (WHERE backend_type = 'pg_decide launcher' AND datid IS NULL), \
                    count(*) FILTER (WHERE backend_type = 'pg_decide worker') > 0, \
                    COALESCE(bool_or(backend_xmin IS NOT NULL), false) \
               FROM pg_stat_activity WHERE backend_type LIKE 'pg\\_decide%'",
            &[],
        )?;
        let launchers: i64 = row.get(0);
        ensure!(launchers == 1, "there are {launchers} launchers");
        there += u32::from(row.get::<_, bool>(1));
        holding += u32::from(row.get::<_, bool>(2));
        samples += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    // with a visit a second, each of a few transactions of a few milliseconds
    ensure!(
        there * 2 < samples && holding * 4 < samples,
        "of {samples} samples workers were there in {there}, and snapshots in {holding}"
    );
    Ok(())
}

/// Transactions of an application that stay open hold up what they have touched and nothing else: everything else
/// is done within seconds, and what was held once they end, each event once.
pub fn pass_by_what_others_hold(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let other_database = database.server.create_database()?;
    client.batch_execute(
        "CREATE ROLE holder LOGIN; SELECT decide.grant('holder', 'serve'); \
         UPDATE decide.job SET every = '1 second' WHERE job <> 'partitions'; \
         SELECT track(jsonb_build_object('event_id', 'first', 'type', 'click', 'user_id', 'u' || i, 'at', '2026-01-01T00:00:00Z')) \
           FROM generate_series(1, 50) AS i; \
         INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('all', 'click', 'decayed_count'); \
         SELECT decide.backfill('all')",
    )?;
    // a user who is there, one who is being made, and all that a decision takes
    let mut holder = database.connect_as("holder")?;
    let at = "\"at\": \"2026-01-01T00:00:00Z\"";
    let click = |id: &str, user: &str| {
        format!("'{{\"event_id\": \"{id}\", \"type\": \"click\", \"user_id\": \"{user}\", {at}}}'")
    };
    holder.batch_execute(&format!(
        "BEGIN; SELECT track({}::jsonb), track({}::jsonb); SELECT * FROM decide('u2', 'home')",
        click("held", "u1"),
        click("held", "made")
    ))?;
    for user in ["u1", "made", "u3", "u4"] {
        client.batch_execute(&format!(
            "INSERT INTO decide.event_inbox (event) VALUES ({}), ({})",
            click("a", user),
            click("b", user)
        ))?;
    }
    // a row of the inbox, a job, and what an analyst reads
    let mut owner = database.connect()?;
    owner.batch_execute(&format!(
        "INSERT INTO decide.event_inbox (event) VALUES ({})",
        click("last", "u5")
    ))?;
    owner.batch_execute(
        "BEGIN; SELECT count(*) FROM decide.decision; SELECT count(*) FROM decide.outcome; \
         SELECT FROM decide.event_inbox WHERE event LIKE '%last%' FOR UPDATE; \
         SELECT FROM decide.job WHERE job = 'freshness' FOR UPDATE",
    )?;
    look_after(&mut client, &[&database.name, &other_database.name])?;
    let began = Instant::now();
    until(
        &mut client,
        "SELECT bool_and(succeeded_at IS NOT NULL AND error IS NULL) FROM decide.job_status \
          WHERE job NOT IN ('freshness', 'partitions')",
    )?;
    until(&mut other_database.connect()?, ALL_WELL)?;
    let waited = began.elapsed();
    ensure!(
        waited < Duration::from_secs(20),
        "beside open transactions the jobs took {waited:?}"
    );
    // five events of three users stay, and the other jobs know nothing of it
    until(
        &mut client,
        "SELECT (SELECT count(*) FROM decide.event_inbox) = 5 \
            AND (SELECT users_left FROM decide.job_status WHERE job = 'fold') = 2",
    )?;
    until(
        &mut client,
        "SELECT cardinality(backfill_left) = 1 AND backfilled_at IS NULL FROM decide.feature_slot WHERE feature = 'all'",
    )?;
    holder.batch_execute("COMMIT")?;
    owner.batch_execute("COMMIT")?;
    until(&mut client, INBOX_EMPTY)?;
    until(&mut client, ALL_WELL)?;
    until(
        &mut client,
        "SELECT backfilled_at IS NOT NULL FROM decide.feature_slot WHERE feature = 'all'",
    )?;
    let row = client.query_one(
        "SELECT (SELECT count(*) FROM decide.event), (SELECT sum(events)::bigint FROM decide.user_state), \
                (SELECT round(sum(features[l.slot + 2]))::bigint FROM decide.user_state, decide.feature_slot AS l \
                  WHERE l.feature = 'all'), \
                (SELECT count(*) FROM decide.quarantine)",
        &[],
    )?;
    let found: (i64, i64, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    ensure!(
        found == (61, 61, 61, 0),
        "(events, counted, computed, quarantined) is {found:?}"
    );
    client.batch_execute("DROP OWNED BY holder; DROP ROLE holder")?;
    Ok(())
}

/// A job that cannot have a table says so and is tried again soon, not less and less often; run by hand it waits
/// for a moment only.
pub fn come_back_soon_to_what_is_held(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let mut holder = database.connect()?;
    holder.batch_execute("BEGIN; SELECT count(*) FROM decide.trace; SELECT FROM decide.job WHERE job = 'quarantine' FOR UPDATE")?;
    client.batch_execute(&format!(
        "ALTER DATABASE {} SET pg_decide.partitions_ahead = 20; SET pg_decide.partitions_ahead = 20",
        database.name
    ))?;
    let began = Instant::now();
    let made: String = client
        .query_one("SELECT decide.run_job('partitions')", &[])?
        .get(0);
    ensure!(
        made.starts_with("26 partitions") && made.ends_with("hold the rest"),
        "{made}"
    );
    for job in ["partitions", "quarantine"] {
        let error = client
            .query_one("SELECT decide.run_job($1)", &[&job])
            .err()
            .and_then(|error| error.code().cloned());
        ensure!(
            error == Some(SqlState::LOCK_NOT_AVAILABLE),
            "{job}: {error:?}"
        );
    }
    ensure!(
        began.elapsed() < Duration::from_secs(30),
        "jobs by hand took {:?}",
        began.elapsed()
    );
    client.batch_execute("TRUNCATE decide.job_run")?;
    look_after(&mut client, &[&database.name])?;
    until(
        &mut client,
        "SELECT error LIKE '55P03%' AND failures = 0 AND next_run < clock_timestamp() + interval '11 seconds' \
           FROM decide.job_status WHERE job = 'partitions'",
    )?;
    holder.batch_execute("COMMIT")?;
    until(&mut client, ALL_WELL)?;
    Ok(())
}

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
