//! Sessions that go on while the world around them changes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postgres::Client;

use super::shop;
use crate::temporary::Database;

/// DROP EXTENSION and CREATE EXTENSION, in a session that has decided before, and in another one.
pub fn outlive_the_extension(database: &Database) -> Result<()> {
    let (mut one, mut other) = (database.connect()?, database.connect()?);
    shop::open(&mut one)?;
    for client in [&mut one, &mut other] {
        decides(client, None)?;
        tracks(client, "before")?;
    }
    for round in 0..2 {
        one.batch_execute("DROP EXTENSION pg_decide")?;
        let refused = other.simple_query("SELECT * FROM decide('ann', 'home')");
        ensure!(refused.is_err(), "decide() works without its extension");
        one.batch_execute("CREATE EXTENSION pg_decide")?;
        let refused = other.simple_query("SELECT * FROM decide('ann', 'home')");
        ensure!(
            refused
                .as_ref()
                .err()
                .and_then(|error| error.code())
                .map(|code| code.code())
                == Some("55000"),
            "with nothing published it says {refused:?}"
        );
        shop::open(&mut other)?;
        for client in [&mut one, &mut other] {
            decides(client, None)?;
            tracks(client, &format!("event {round}"))?;
        }
        let traces = shop::replay_all(&mut one)?;
        ensure!(traces == 2, "{traces} traces in round {round}");
    }
    Ok(())
}

/// The table of a rule is altered, replaced and taken away by one session while another decides.
pub fn outlive_changes_of_a_shops_table(database: &Database) -> Result<()> {
    let (mut decider, mut owner) = (database.connect()?, database.connect()?);
    shop::open(&mut owner)?;
    owner.batch_execute(
        r#"
        DO $$ BEGIN
          IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'session_rules') THEN CREATE ROLE session_rules; END IF;
        END $$;
        SELECT decide.grant('session_rules', 'rules');
        SET pg_decide.rule_role = session_rules;
        CREATE TABLE stock (action text, on_hand int);
        INSERT INTO stock SELECT 'a' || i, i FROM generate_series(1, 6) AS i;
        GRANT SELECT ON stock TO session_rules;
        UPDATE decide.action SET eligible_when =
          'EXISTS (SELECT 1 FROM public.stock AS s WHERE s.action = action.action AND s.on_hand > 0)' WHERE action <> 'nothing';
        SELECT decide.publish('rules');
        "#,
    )?;
    decider.batch_execute("SET pg_decide.rule_role = session_rules")?;
    decides(&mut decider, None)?;
    let gone = Some("no_candidate");
    for (change, reason) in [
        ("ALTER TABLE stock ALTER COLUMN on_hand TYPE numeric", None),
        ("ALTER TABLE stock ADD COLUMN note text", None),
        ("CREATE INDEX ON stock (action)", None),
        ("ALTER TABLE stock RENAME COLUMN on_hand TO left_over", gone),
        ("ALTER TABLE stock RENAME COLUMN left_over TO on_hand", None),
        ("ALTER TABLE stock ALTER COLUMN on_hand TYPE text", gone),
        ("DROP TABLE stock", gone),
        (
            "CREATE VIEW stock AS SELECT 'a1'::text AS action, 1 AS on_hand",
            gone,
        ),
        ("GRANT SELECT ON stock TO session_rules", None),
        ("BEGIN; DROP VIEW stock; ROLLBACK", None),
        ("DELETE FROM decide.bundle_action", gone),
    ] {
        owner.batch_execute(change)?;
        decides(&mut decider, reason).map_err(|error| error.context(change))?;
    }
    shop::replay_all(&mut decider)?;
    Ok(())
}

/// Without preload the first call of a session loads the library, with its settings and their rules.
pub fn need_no_preload(database: &Database) -> Result<()> {
    shop::open(&mut database.connect()?)?;
    database.server.restart_with_preload("")?;
    let mut client = database.connect()?;
    client.batch_execute("SET pg_decide.seed = 7")?;
    decides(&mut client, None)?;
    let seed = shop::count(&mut client, "SELECT seed FROM decide.trace")?;
    ensure!(
        seed == 7,
        "the seed that was set before the library came is {seed}"
    );
    tracks(&mut client, "e")?;
    shop::replay_all(&mut client)?;
    client
        .batch_execute("SELECT decide.run_job('partitions'), decide.publish('without preload')")?;
    client.batch_execute(
        "CREATE ROLE preload_caller; SELECT decide.grant('preload_caller', 'serve')",
    )?;
    // In this session nothing of ours has run yet, so the library is not loaded.
    let mut plain = database.connect()?;
    plain.batch_execute("SET SESSION AUTHORIZATION preload_caller; SET pg_decide.seed = 8")?;
    // A placeholder that its user had no right to set does not survive the loading of the library.
    decides(&mut plain, None)?;
    plain.batch_execute("RESET SESSION AUTHORIZATION")?;
    let forced = shop::count(
        &mut plain,
        "SELECT count(*) FROM decide.trace WHERE seed = 8",
    )?;
    plain.batch_execute("DROP OWNED BY preload_caller; DROP ROLE preload_caller")?;
    ensure!(forced == 0, "a plain role has set the seed");
    Ok(())
}

/// One decision, by the policy or by the fallback with that reason.
fn decides(client: &mut Client, reason: Option<&str>) -> Result<()> {
    let row = client.query_one("SELECT reason FROM decide('ann', 'home')", &[])?;
    let found: Option<String> = row.get(0);
    ensure!(
        found.as_deref() == reason,
        "decided with reason {found:?}, not {reason:?}"
    );
    Ok(())
}

fn tracks(client: &mut Client, event: &str) -> Result<()> {
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let row = client.query_one(
        "SELECT track(jsonb_build_object('event_id', $1::text || $2::int, 'type', 'click', 'user_id', 'ann', \
                                         'at', clock_timestamp()))",
        &[&event, &pid],
    )?;
    let answer: String = row.get(0);
    ensure!(answer == "accepted", "the event was {answer}");
    Ok(())
}

/// A session that has decided among very many and then does nothing gives the memory back; the next decisions are right.
pub fn give_back_memory(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "UPDATE decide.surface SET latency_budget = '1 minute';
         INSERT INTO decide.action (action, surfaces) SELECT 'x' || i, '{home}' FROM generate_series(1, 60000) AS i;
         SELECT decide.publish('very many')",
    )?;
    let mut idle = database.connect()?;
    let pid: i32 = idle.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let mut own = || -> Result<(u64, u64)> {
        for _ in 0..3 {
            idle.batch_execute("SELECT * FROM decide('ann', 'home')")?;
        }
        let busy = own_kb(pid)?;
        std::thread::sleep(Duration::from_millis(4_500));
        Ok((busy, own_kb(pid)?))
    };
    for round in 0..2 {
        let (busy, after) = own()?;
        ensure!(
            after + 1_500 < busy,
            "round {round}: {busy} kB while it decides, {after} kB when it is idle"
        );
    }
    let traces = shop::replay_all(&mut client)?;
    ensure!(traces == 6, "{traces} traces");
    Ok(())
}

/// Memory of a process that no file and no other process has.
fn own_kb(pid: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no RssAnon")?.parse()?)
}
