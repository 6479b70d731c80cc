//! Logical replication: a warehouse that gets what is added, and a copy of all tables.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::Client;

use super::{restore, shop};
use crate::server::{SUPERUSER, Stop};
use crate::temporary::{Database, log_since};

/// How long rows may take to come over.
const TIMEOUT: Duration = Duration::from_secs(30);

/// As docs/servers.md has them.
const WAREHOUSE: &str = "
    CREATE PUBLICATION warehouse FOR TABLE decide.trace, decide.outcome, decide.event
      WITH (publish = 'insert', publish_via_partition_root = true);
    CREATE PUBLICATION warehouse_policy FOR TABLE decide.bundle, decide.publication, decide.identity, decide.name_change,
      decide.feature_key, decide.entity_snapshot, decide.model_version, decide.cap_slot, decide.feature_slot, decide.bundle_action,
  decide.bundle_surface, decide.action_version;
";
const ALL: &str = "CREATE PUBLICATION everything FOR TABLES IN SCHEMA decide WITH (publish_via_partition_root = true)";

/// What was there, what is added later, and what moves to another partition: each row comes once.
pub fn fills_a_warehouse(database: &Database) -> Result<()> {
    publishing(
        database,
        WAREHOUSE,
        "warehouse, warehouse_policy",
        |source, target| {
            source.batch_execute(
            "SELECT count(*) FROM generate_series(1, 20) AS i, decide(i, 'home', '{\"device\": \"x\"}') AS d, \
               track(jsonb_build_object('event_id', 'r' || i, 'type', 'click', 'user_id', i, 'at', clock_timestamp(), \
                                        'decision_id', d.decision_id));
             SELECT track('{\"event_id\": \"of old\", \"type\": \"click\", \"user_id\": \"ann\", \"at\": \"2001-01-01T00:00:00Z\"}'::jsonb);
             SELECT decide.make_partitions('2001-01-01', '2001-01-01');
             SELECT decide.publish('while replicated');
             SELECT decide('ann', 'home')",
        )?;
            for table in [
                "trace",
                "outcome",
                "event",
                "bundle",
                "publication",
                "identity",
            ] {
                comes_over(source, target, table)?;
            }
            let row = target.query_one(
                "SELECT count(*), count(*) FILTER (WHERE action IS NULL) FROM decide.decision",
                &[],
            )?;
            let (all, unnamed): (i64, i64) = (row.get(0), row.get(1));
            ensure!(
                all > 200 && unnamed == 0,
                "{unnamed} of {all} decisions name no action"
            );
            Ok(())
        },
    )
}

/// The rows that CREATE EXTENSION has made on both sides do not stop the subscription, and the copy replays.
pub fn copies_all_tables(database: &Database) -> Result<()> {
    publishing(database, ALL, "everything", |source, target| {
        source.batch_execute(
            "UPDATE decide.job SET every = '7 minutes' WHERE job = 'freshness';
             SELECT decide.grant('restore_rules', 'analyse');
             SELECT decide('bob', 'home')",
        )?;
        for table in ["job", "trace", "user_state", "publication", "secret"] {
            comes_over(source, target, table)?;
        }
        let known = "SELECT count(*) FROM decide.role_access AS a JOIN pg_roles AS r ON r.oid = a.role_id AND r.rolname = a.role";
        ensure!(shop::count(target, known)? == 2, "roles have no OIDs");
        let replayed = "SELECT count(*) FROM decide.trace AS t, decide.replay(t.decision_id) AS r WHERE r.agrees";
        let agree = shop::count(target, replayed)?;
        ensure!(agree == 202, "{agree} of 202 traces can be replayed");
        Ok(())
    })
}

/// Has a database of the same server subscribe to this one.
fn publishing(
    database: &Database,
    publications: &str,
    names: &str,
    play: impl FnOnce(&mut Client, &mut Client) -> Result<()>,
) -> Result<()> {
    let server = database.server;
    database
        .connect()?
        .batch_execute("ALTER SYSTEM SET wal_level = 'logical'")?;
    server.restart(Stop::Fast)?;
    let copy = server.create_database()?;
    let (mut source, mut target) = (database.connect()?, copy.connect()?);
    restore::live(&mut source)?;
    source.batch_execute("SET pg_decide.rule_role = restore_rules")?;
    source.batch_execute(publications)?;
    // In one server CREATE SUBSCRIPTION cannot make the slot itself: it would wait for its own transaction.
    source.batch_execute("SELECT pg_create_logical_replication_slot('copy', 'pgoutput')")?;
    let logged = server.log_length();
    let outcome = subscribe(database, &mut target, names)
        .and_then(|()| all_are_ready(&mut target))
        .and_then(|()| play(&mut source, &mut target));
    let log = log_since(&server.log_file(), logged);
    let ended = target
        .batch_execute("ALTER SUBSCRIPTION copy DISABLE")
        .and_then(|()| {
            target.batch_execute(
                "ALTER SUBSCRIPTION copy SET (slot_name = NONE); DROP SUBSCRIPTION copy",
            )
        });
    let begun = Instant::now();
    while source
        .batch_execute("SELECT pg_drop_replication_slot('copy')")
        .is_err()
    {
        ensure!(begun.elapsed() < TIMEOUT, "the slot is still in use");
        std::thread::sleep(Duration::from_millis(50));
    }
    outcome?;
    ended?;
    let complaint = log
        .lines()
        .find(|line| line.contains("ERROR") && line.contains(&copy.name));
    ensure!(complaint.is_none(), "the subscriber logged: {complaint:?}");
    Ok(())
}

fn subscribe(database: &Database, target: &mut Client, names: &str) -> Result<()> {
    let server = database.server;
    let connection = format!(
        "host={} port={} user={SUPERUSER} dbname={}",
        server.sockets().display(),
        server.port(),
        database.name
    );
    target.batch_execute(&format!(
        "CREATE SUBSCRIPTION copy CONNECTION '{connection}' PUBLICATION {names} WITH (create_slot = false, slot_name = 'copy')"
    ))?;
    Ok(())
}

/// Waits until the rows that were there have been copied.
fn all_are_ready(target: &mut Client) -> Result<()> {
    let begun = Instant::now();
    let left = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'";
    loop {
        let left = shop::count(target, left)?;
        if left == 0 {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < TIMEOUT,
            "{left} tables are not copied yet"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until a table has the same rows on both sides.
fn comes_over(source: &mut Client, target: &mut Client, table: &str) -> Result<()> {
    let begun = Instant::now();
    let query = format!(
        "SELECT count(*), COALESCE(sum(hashtextextended(t::text, 0)), 0)::text FROM decide.{table} AS t"
    );
    let read = |client: &mut Client| -> Result<(i64, String)> {
        let row = client.query_one(&query, &[])?;
        Ok((row.get(0), row.get(1)))
    };
    let wanted = read(source)?;
    loop {
        let there = read(target)?;
        if there == wanted {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < TIMEOUT,
            "decide.{table} has (rows, sum) {wanted:?}, and the subscriber's {there:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
