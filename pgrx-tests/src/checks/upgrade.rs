//! pg_upgrade from one version of PostgreSQL to another.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::Client;

use super::{restore, shop};
use crate::install::Install;
use crate::run;
use crate::server::{SUPERUSER, Server, Stop};
use crate::temporary::temporary_folder;
use crate::user;

const DATABASE: &str = "shop";

/// How long workers may take to come by once the new server runs.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A server with jobs that are due is upgraded. No job runs before the new server is started for good; then they do,
/// and decisions, replays and publishing go on.
pub fn carries_over(old: &Install, new: &Install) -> Result<()> {
    let folder = temporary_folder()?;
    let server = |install: &Install, name: &str| {
        Server::at(install, &folder.join(name), &folder.join("socket"), 5432)
    };
    let (before, after) = (server(old, "old"), server(new, "new"));
    let outcome = upgrade(&before, &after);
    let log = fs::read_to_string(after.log_file()).unwrap_or_default();
    for server in [&before, &after] {
        let _ = server.stop(Stop::Immediate);
    }
    fs::remove_dir_all(&folder)?;
    outcome.with_context(|| format!("the new server's log ends:\n{}", run::tail(&log, 15)))
}

fn upgrade(before: &Server, after: &Server) -> Result<()> {
    before.create_with(&["--data-checksums"])?;
    after.create_with(&["--data-checksums"])?;
    // Nobody visits the database yet: all its jobs are due.
    before.configure(&settings(""))?;
    before.start()?;
    let contents = fill(before)?;
    before.stop(Stop::Fast)?;
    for server in [before, after] {
        server.configure(&settings(DATABASE))?;
    }
    let work = after.data().with_file_name("upgrade");
    user::create_private_dir(&work)?;
    let mut upgrade = user::command(after.install.program("pg_upgrade"));
    upgrade
        .current_dir(&work)
        .arg("--old-bindir")
        .arg(before.install.program(""))
        .arg("--new-bindir")
        .arg(after.install.program(""))
        .arg("--old-datadir")
        .arg(before.data())
        .arg("--new-datadir")
        .arg(after.data())
        .arg("--socketdir")
        .arg(&work)
        .args(["--username", SUPERUSER]);
    run::output(&mut upgrade).context("pg_upgrade")?;

    after.configure(&settings(""))?;
    after.start()?;
    let mut client = after.connect(DATABASE)?;
    restore::has_all_of(&mut client, &contents).context("after pg_upgrade")?;
    restore::comes_to_life(&mut client)?;
    client.batch_execute("DELETE FROM decide.job_run")?;
    drop(client);
    after.configure(&settings(DATABASE))?;
    after.restart(Stop::Fast)?;
    jobs_run(&mut after.connect(DATABASE)?)
}

/// Makes the database of a shop, with events in the inbox, and answers what is in it.
fn fill(server: &Server) -> Result<restore::Contents> {
    server
        .connect("postgres")?
        .batch_execute(&format!("CREATE DATABASE {DATABASE}"))?;
    let mut client = server.connect(DATABASE)?;
    client.batch_execute("CREATE EXTENSION pg_decide")?;
    restore::live(&mut client)?;
    // Some builds of the old version give this option to every column, and the new version does not know it.
    client.batch_execute(
        "UPDATE pg_catalog.pg_attribute SET attoptions = NULL WHERE attoptions::text LIKE '{pg_attver=%}'",
    )?;
    let contents = restore::contents(&mut client)?;
    let due = "SELECT count(*) FROM decide.job_status WHERE enabled AND next_run <= now()";
    ensure!(shop::count(&mut client, due)? > 5, "no jobs are due");
    Ok(contents)
}

fn jobs_run(client: &mut Client) -> Result<()> {
    let begun = Instant::now();
    let waiting = "SELECT count(*) FROM decide.job_status WHERE enabled AND succeeded_at IS NULL";
    while shop::count(client, waiting)? > 0 {
        ensure!(
            begun.elapsed() < TIMEOUT,
            "jobs do not run on the new server"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn settings(databases: &str) -> Vec<(&'static str, String)> {
    [
        ("shared_preload_libraries", "pg_decide"),
        ("pg_decide.databases", databases),
        ("pg_decide.worker_interval", "1"),
        ("pg_decide.enforce_latency_budget", "off"),
        ("listen_addresses", ""),
        ("fsync", "off"),
        ("timezone", "UTC"),
        ("lc_messages", "C"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}
