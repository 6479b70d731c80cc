//! Decisions that are cut short: by a timeout, a cancel, an error of the caller or a rollback.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::shop;
use crate::temporary::Database;

/// A statement timeout ends a decision whose rule is slow; nothing is left, and the session goes on.
pub fn by_a_timeout(database: &Database) -> Result<()> {
    let mut client = slow_shop(database)?;
    client.batch_execute("SET statement_timeout = '300ms'")?;
    let begun = Instant::now();
    ends_with(
        &mut client,
        "SELECT * FROM decide('ann', 'home')",
        &SqlState::QUERY_CANCELED,
    )?;
    ensure!(
        begun.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        begun.elapsed()
    );
    nothing_is_left(&mut client)
}

/// So does a cancel from elsewhere, also while the rules are asked one by one after a failure.
pub fn by_a_cancel(database: &Database) -> Result<()> {
    let mut client = slow_shop(database)?;
    for context in ["{}", r#"{"n": "no number"}"#] {
        let token = client.cancel_token();
        let canceller = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            token.cancel_query(NoTls)
        });
        let sql = format!("SELECT * FROM decide('ann', 'home', '{context}')");
        ends_with(&mut client, &sql, &SqlState::QUERY_CANCELED)?;
        canceller.join().expect("the canceller panicked")?;
        nothing_is_left(&mut client)?;
    }
    Ok(())
}

/// A cancel at each stage: while it waits for the user's row, for a table of a rule, for the trace.
pub fn at_every_stage(database: &Database) -> Result<()> {
    let mut client = slow_shop(database)?;
    let mut other = database.connect()?;
    let day = "decide.trace_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD";
    let partition: String = other.query_one(&format!("SELECT '{day}')"), &[])?.get(0);
    client.batch_execute("SET statement_timeout = '300ms'")?;
    for (table, surface) in [
        ("decide.user_state", "elsewhere"),
        ("public.stock", "stocked"),
        ("decide.bundle_action", "stocked"),
        (partition.as_str(), "elsewhere"),
    ] {
        other.batch_execute(&format!("BEGIN; LOCK TABLE {table}"))?;
        let sql = format!("SELECT * FROM decide('ann', '{surface}')");
        ends_with(&mut client, &sql, &SqlState::QUERY_CANCELED)?;
        other.batch_execute("ROLLBACK")?;
        nothing_is_left(&mut client)?;
    }
    Ok(())
}

/// The caller's own error after a decision takes the decision along, alone or behind a savepoint.
pub fn by_the_caller(database: &Database) -> Result<()> {
    let mut client = slow_shop(database)?;
    ends_with(
        &mut client,
        "SELECT 1 / (count(*) - 1) FROM decide('ann', 'elsewhere')",
        &SqlState::DIVISION_BY_ZERO,
    )?;
    nothing_is_left(&mut client)?;
    client.batch_execute(
        "BEGIN; SELECT * FROM decide('ann', 'elsewhere'); \
         SELECT track('{\"event_id\": \"1\", \"type\": \"click\", \"user_id\": \"ann\", \"at\": \"2026-01-01T00:00:00Z\"}'::jsonb)",
    )?;
    client.batch_execute("ROLLBACK")?;
    nothing_is_left(&mut client)?;
    client.batch_execute(
        "DO $$ BEGIN
           PERFORM decide('ann', 'elsewhere');
           PERFORM 1 / 0;
         EXCEPTION WHEN division_by_zero THEN NULL;
         END $$",
    )?;
    nothing_is_left(&mut client)?;
    client.batch_execute(
        "BEGIN; SELECT * FROM decide('ann', 'elsewhere'); PREPARE TRANSACTION 'later'",
    )?;
    nothing_is_left(&mut client)?;
    client.batch_execute("ROLLBACK PREPARED 'later'")?;
    nothing_is_left(&mut client)
}

/// A rule that needs more than its lock_timeout fails alone: the decision is made.
pub fn by_a_lock_timeout_of_a_rule(database: &Database) -> Result<()> {
    let mut client = slow_shop(database)?;
    let mut other = database.connect()?;
    other.batch_execute("BEGIN; LOCK TABLE public.stock")?;
    client.batch_execute("SET lock_timeout = '100ms'")?;
    let rows = client.query("SELECT action, reason FROM decide('ann', 'stocked')", &[])?;
    ensure!(rows.len() == 1, "{} rows", rows.len());
    let errors: Option<Vec<String>> = client
        .query_one("SELECT errors FROM decide.trace", &[])?
        .get(0);
    ensure!(
        errors.iter().flatten().any(|error| error.contains("55P03")),
        "the trace says {errors:?}"
    );
    Ok(())
}

/// The shop with a surface whose rules are slow, and one whose rule reads a table.
fn slow_shop(database: &Database) -> Result<Client> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        r#"
        DO $$ BEGIN
          IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'slow_rules') THEN CREATE ROLE slow_rules; END IF;
        END $$;
        SELECT decide.grant('slow_rules', 'rules');
        SET pg_decide.rule_role = slow_rules;
        CREATE FUNCTION public.slow() RETURNS boolean LANGUAGE plpgsql STABLE AS
          $$ BEGIN PERFORM pg_sleep(20); RETURN true; END $$;
        CREATE TABLE public.stock AS SELECT 1 AS on_hand;
        GRANT SELECT ON public.stock TO slow_rules;
        UPDATE decide.action SET eligible_when = $$(context->>'n')::int IS NULL$$ WHERE action = 'a1';
        UPDATE decide.action SET eligible_when = 'public.slow()' WHERE action = 'a2';
        UPDATE decide.action SET eligible_when = 'public.slow() AND action.cost = 1' WHERE action = 'a3';
        INSERT INTO decide.surface (surface, fallback_action) VALUES ('stocked', 'nothing');
        INSERT INTO decide.action (action, surfaces, eligible_when) VALUES
          ('in stock', '{stocked}', 'EXISTS (SELECT 1 FROM public.stock WHERE on_hand > 0)'),
          ('in stock too', '{stocked}', 'EXISTS (SELECT 1 FROM public.stock WHERE on_hand >= action.cost)');
        INSERT INTO decide.action (action, surfaces, eligible_when)
        SELECT a.action || ' ' || n, a.surfaces, a.eligible_when
          FROM decide.action AS a, generate_series(1, 3) AS n WHERE a.action = 'in stock too';
        INSERT INTO decide.policy (policy, surface, selection)
          VALUES ('elsewhere', 'elsewhere', 'uniform'), ('stocked', 'stocked', 'uniform');
        SELECT decide.publish('slow');
        "#,
    )?;
    Ok(client)
}

fn ends_with(client: &mut Client, sql: &str, state: &SqlState) -> Result<()> {
    match client.simple_query(sql) {
        Ok(_) => anyhow::bail!("{sql} came to an end"),
        Err(error) => ensure!(error.code() == Some(state), "{sql} ended with {error}"),
    }
    Ok(())
}

/// No trace, no event, no state, no lock; and the same session decides at once.
fn nothing_is_left(client: &mut Client) -> Result<()> {
    let left = "SELECT (SELECT count(*) FROM decide.trace) + (SELECT count(*) FROM decide.event) \
                     + (SELECT count(*) FROM decide.outcome) + (SELECT count(*) FROM decide.user_state)";
    let left = shop::count(client, left)?;
    ensure!(left == 0, "{left} rows are left");
    let identity: bool = client
        .query_one(
            "SELECT current_user = session_user AND current_setting('role') = 'none'",
            &[],
        )?
        .get(0);
    ensure!(identity, "the session is somebody else now");
    client.batch_execute("BEGIN")?;
    for surface in ["elsewhere", "stocked"] {
        let row = client.query_one("SELECT reason FROM decide('ann', $1::text)", &[&surface])?;
        let reason: Option<String> = row.get(0);
        ensure!(
            reason.is_none(),
            "afterwards {surface} is decided by fallback: {reason:?}"
        );
    }
    let agree = shop::replay_all(client)?;
    ensure!(agree == 2, "{agree} decisions can be replayed");
    client.batch_execute("ROLLBACK")?;
    Ok(())
}
