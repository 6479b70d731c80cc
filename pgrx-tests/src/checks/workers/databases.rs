//! Databases come and go, and become those of a primary.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    ALL_WELL, INBOX_EMPTY, PROCESSES, copy, counts, look_after, quiet, set, shop, until, worker,
};
use crate::temporary::{Database, Standby};

/// While the extension is gone workers find nothing to do; once it is back, they go on.
pub fn outlive_the_extension(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    look_after(&mut client, &[&database.name])?;
    until(&mut client, ALL_WELL)?;
    let logged = database.server.log_length();
    for _ in 0..2 {
        client.batch_execute("DROP EXTENSION pg_decide")?;
        std::thread::sleep(Duration::from_millis(2500));
        client.batch_execute("CREATE EXTENSION pg_decide")?;
        shop::open(&mut client)?;
        until(&mut client, ALL_WELL)?;
    }
    quiet(database, logged)
}

/// DROP DATABASE finds nobody in it; the name may come back.
pub fn let_a_database_go(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    look_after(&mut client, &[&database.name, "of_workers"])?;
    let logged = database.server.log_length();
    for _ in 0..4 {
        client.batch_execute("CREATE DATABASE of_workers")?;
        let mut other = database.server.connect("of_workers")?;
        other.batch_execute("CREATE EXTENSION pg_decide")?;
        shop::open(&mut other)?;
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
    shop::open(&mut client)?;
    shop::open(&mut second)?;
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
    // a new interval, at the next visit and not only after the next run
    second.batch_execute("UPDATE decide.job SET every = '1 second' WHERE job = 'partitions'")?;
    until(
        &mut second,
        "SELECT rows = 0 FROM decide.job_run WHERE job = 'partitions'",
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
