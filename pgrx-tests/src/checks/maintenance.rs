//! The server's own maintenance evaluates expressions of whoever owns a table: it gives them no rights through us.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::Client;

use crate::temporary::Database;

/// How long autovacuum may take to come by.
const TIMEOUT: Duration = Duration::from_secs(15);

/// An operator whose index calls every verb that changes something. What they are told is noted, and whose rights the
/// function had that an import reads its source by.
const OPERATOR: &str = r#"
    CREATE ROLE maintained LOGIN;
    SELECT decide.grant('maintained', 'operate'), decide.grant('maintained', 'serve');
    CREATE SCHEMA ops AUTHORIZATION maintained;
    INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'nothing');
    INSERT INTO decide.action (action) VALUES ('nothing'), ('a1');
    INSERT INTO decide.policy (policy, surface, selection) VALUES ('home', 'home', 'uniform');
    SELECT decide.publish('first');
    SET ROLE maintained;
    CREATE TABLE ops.told (verb text, answer text);
    CREATE TABLE ops.ran (as_role text);
    CREATE FUNCTION ops.payload() RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO ops.ran VALUES (current_user);
      EXECUTE 'ALTER ROLE maintained SUPERUSER';
      RETURN 'u1';
    END $$;
    CREATE VIEW ops.src AS SELECT ops.payload() AS user_id, 'home'::text AS surface, '2026-01-01Z'::timestamptz AS decided_at,
                                  'a1'::text AS action, 1.0::float8 AS propensity;
    CREATE FUNCTION ops.call(verb text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
      EXECUTE 'SELECT ' || verb;
      RETURN 'done';
    EXCEPTION WHEN OTHERS THEN
      RETURN SQLSTATE || ' ' || SQLERRM;
    END $$;
    CREATE FUNCTION ops.call_all() RETURNS void LANGUAGE sql AS $$
      INSERT INTO ops.told SELECT v, ops.call(v) FROM pg_catalog.unnest(ARRAY[
        'decide.import_decisions(''ops.src'')', 'decide.publish(''by maintenance'')', 'decide.rollback(1)', 'decide.set_mode(NULL, ''paused'', ''x'')',
        'decide.kill(''action'', ''a1'', ''x'')', 'decide.revive(''action'', ''a1'', ''x'')', 'decide.approve(''m'', 1)',
        'decide.train(''m'', ''home'', ''{1}'', holdout => 0)', 'decide.run_job(''partitions'')', 'decide.backfill(''x'')',
        'decide.release_quarantine(''01920000-0000-7000-8000-000000000000'')', 'decide.release_all(''x'')']) AS v $$;
    -- in a session of the operator it does nothing
    CREATE FUNCTION ops.trap(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
      IF session_user <> 'maintained' THEN PERFORM ops.call_all(); END IF;
      RETURN 1;
    END $$;
    CREATE TABLE ops.t (i int) WITH (autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0);
    CREATE INDEX ON ops.t (ops.trap(i));
    RESET ROLE;
"#;

/// A worker of autovacuum analyses the table, for which it evaluates the expression of its index.
pub fn by_autovacuum_gains_nothing(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    client.batch_execute(OPERATOR)?;
    let found = set_off(database, &mut client);
    client.batch_execute("DROP OWNED BY maintained CASCADE; DROP ROLE maintained")?;
    found
}

fn set_off(database: &Database, client: &mut Client) -> Result<()> {
    for setting in [
        "autovacuum = on",
        "autovacuum_naptime = 1",
        "track_counts = on",
    ] {
        client.batch_execute(&format!("ALTER SYSTEM SET {setting}"))?;
    }
    client.batch_execute("SELECT pg_reload_conf()")?;
    let mut operator = database.connect_as("maintained")?;
    operator.batch_execute("INSERT INTO ops.t SELECT generate_series(1, 9)")?;
    // At its end a session reports what it has counted.
    operator.close()?;
    let begun = Instant::now();
    let told = loop {
        let told = client.query(
            "SELECT t.verb, t.answer FROM ops.told AS t, pg_stat_user_tables AS s \
              WHERE s.relid = 'ops.t'::regclass AND s.autoanalyze_count > 0",
            &[],
        )?;
        if !told.is_empty() {
            break told;
        }
        ensure!(begun.elapsed() < TIMEOUT, "autovacuum has not come by");
        std::thread::sleep(Duration::from_millis(50));
    };
    for row in &told {
        let (verb, answer): (String, String) = (row.get(0), row.get(1));
        ensure!(
            answer.starts_with("42501 cannot execute")
                && answer.ends_with("within a security-restricted operation"),
            "{verb}, set off by autovacuum, answered: {answer}"
        );
    }
    let row = client
        .query_one(
            "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = 'maintained'), (SELECT count(*) FROM ops.ran), \
                    (SELECT count(*) FROM decide.publication), \
                    (SELECT count(*) FROM decide.mode_change) + (SELECT count(*) FROM decide.switch_change)",
            &[],
        )
        .context("what was gained cannot be read")?;
    let gained: (bool, i64, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    ensure!(
        gained == (false, 0, 1, 0),
        "(superuser, payload ran, publications, modes and switches) is {gained:?}"
    );
    Ok(())
}
