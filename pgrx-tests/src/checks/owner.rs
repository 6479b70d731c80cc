//! An owner of the extension that is no superuser.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::Client;

use super::shop;
use crate::temporary::Database;

/// How long a worker may take to come by.
const TIMEOUT: Duration = Duration::from_secs(15);

/// With the one right that docs/servers.md names, everything works: verbs, jobs by hand and by workers, partitions,
/// retention, rights, tracked tables.
pub fn needs_no_superuser(database: &Database) -> Result<()> {
    let mut admin = database.connect()?;
    admin.batch_execute(&format!(
        "DROP EXTENSION pg_decide;
         CREATE ROLE shop_owner LOGIN SUPERUSER;
         GRANT CREATE ON DATABASE {0} TO shop_owner;
         GRANT CREATE ON SCHEMA public TO shop_owner;
         CREATE ROLE owner_rules; CREATE ROLE owner_app;
         ALTER DATABASE {0} SET pg_decide.rule_role = 'owner_rules';
         ALTER DATABASE {0} SET pg_decide.event_retention = 30",
        database.name
    ))?;
    database
        .connect_as("shop_owner")?
        .batch_execute("CREATE EXTENSION pg_decide")?;
    admin.batch_execute(
        "ALTER ROLE shop_owner NOSUPERUSER; GRANT SET ON PARAMETER pg_decide.erasing TO shop_owner",
    )?;
    let outcome = database
        .connect_as("shop_owner")
        .and_then(|mut owner| lives(database, &mut admin, &mut owner));
    admin.batch_execute(
        "DROP EXTENSION pg_decide CASCADE; DROP OWNED BY shop_owner CASCADE; DROP OWNED BY owner_app, owner_rules;
         REVOKE SET ON PARAMETER pg_decide.erasing FROM shop_owner; DROP ROLE shop_owner, owner_app, owner_rules;
         CREATE EXTENSION pg_decide",
    )?;
    outcome
}

fn lives(database: &Database, admin: &mut Client, owner: &mut Client) -> Result<()> {
    shop::open(owner)?;
    owner.batch_execute(
        r#"
        SELECT decide.grant('owner_rules', 'rules'), decide.grant('owner_app', 'serve'), decide.grant('owner_app', 'operate');
        UPDATE decide.action SET eligible_when = 'action.cost > 0' WHERE action <> 'nothing';
        INSERT INTO decide.cap (cap, per, max_count) VALUES ('all', 'all', 1000), ('each', 'user', 100);
        SELECT decide.publish('with a rule and caps');
        SELECT decide('ann', 'home');
        SELECT track('{"event_id": "1", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'::jsonb);
        SELECT decide.make_partitions('2026-01-01', '2026-01-02');
        CREATE TABLE orders (id int PRIMARY KEY, customer text);
        SELECT decide.track_table('orders', '{"type": "order", "user_id": "customer"}');
        INSERT INTO orders VALUES (1, 'ann');
        SELECT decide.set_mode('home', 'paused', 'a test'), decide.set_mode('home', 'normal', 'a test');
        SELECT decide.kill('action', 'a1', 'a test'), decide.revive('action', 'a1', 'a test');
        SELECT decide.revoke('owner_app', 'operate');
        "#,
    )?;
    let jobs = owner.query("SELECT job, decide.run_job(job) FROM decide.job", &[])?;
    ensure!(jobs.len() > 5, "only {} jobs", jobs.len());
    let row = owner.query_one(
        "SELECT to_regclass('decide.event_20260101') IS NULL, (SELECT count(*) FROM decide.event WHERE type = 'order'), \
                (SELECT bool_and(r.agrees) FROM decide.trace AS t, decide.replay(t.decision_id) AS r)",
        &[],
    )?;
    let found: (bool, i64, bool) = (row.get(0), row.get(1), row.get(2));
    ensure!(
        found == (true, 1, true),
        "(expired, orders, replays) is {found:?}"
    );
    owner.batch_execute("DELETE FROM decide.job_run")?;
    admin.batch_execute(&format!(
        "ALTER SYSTEM SET pg_decide.databases = '{}'",
        database.name
    ))?;
    admin.batch_execute("ALTER SYSTEM SET pg_decide.worker_interval = 1")?;
    admin.batch_execute("SELECT pg_reload_conf()")?;
    let begun = Instant::now();
    let states = "SELECT count(*) FILTER (WHERE succeeded_at IS NULL), count(*) FILTER (WHERE error IS NOT NULL) FROM decide.job_status";
    loop {
        let row = owner.query_one(states, &[])?;
        let (left, failed): (i64, i64) = (row.get(0), row.get(1));
        ensure!(failed == 0, "{failed} jobs fail in a worker");
        if left == 0 {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < TIMEOUT,
            "{left} jobs were not run by a worker"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
