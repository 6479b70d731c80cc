//! pg_dump and restore: a new database with everything in it, which decides.

mod parallel;
mod workers;

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::Client;

use super::shop;
use crate::run;
use crate::temporary::Database;

pub use parallel::in_parallel;
pub use workers::while_workers_come_by;

/// Everything comes back: rows, partitions, keys; and the copy decides, tracks and replays.
pub fn brings_everything_back(database: &Database) -> Result<()> {
    let mut source = database.connect()?;
    live(&mut source)?;
    let before = contents(&mut source)?;
    let file = database.server.scratch("restore")?.join("dump.sql");
    let mut dump = database.client("pg_dump");
    let output = dump
        .stdout(File::create(&file)?)
        .stderr(Stdio::inherit())
        .status()?;
    ensure!(output.success(), "pg_dump failed");

    let copy = database.server.create_database()?;
    copy.connect()?.batch_execute("DROP EXTENSION pg_decide")?;
    let mut psql = copy.client("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]);
    run::output(psql.stdin(File::open(&file)?)).context("the dump cannot be restored")?;

    let mut target = copy.connect()?;
    has_all_of(&mut target, &before)?;
    let key = "SELECT decide.user_key('ann')::text";
    let (had, has): (String, String) = (
        source.query_one(key, &[])?.get(0),
        target.query_one(key, &[])?.get(0),
    );
    ensure!(had == has, "the pseudonyms are others");
    comes_to_life(&mut target)
}

/// The database has all rows that another had, and no other tables.
pub fn has_all_of(client: &mut Client, before: &Contents) -> Result<()> {
    let after = contents(client)?;
    ensure!(before.len() > 40, "only {} tables", before.len());
    for (table, had) in before {
        let has = after.get(table);
        ensure!(
            has == Some(had),
            "{table} had (rows, sum) {had:?} and has {has:?}"
        );
    }
    ensure!(
        after.len() == before.len(),
        "there are tables that were not dumped"
    );
    Ok(())
}

/// By table: rows, and a sum over their contents.
pub type Contents = BTreeMap<String, (i64, String)>;

/// Per table of ours: rows, and a sum over their contents.
pub fn contents(client: &mut Client) -> Result<Contents> {
    let tables = client.query(
        "SELECT relname::text FROM pg_class \
          WHERE relnamespace = 'decide'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'restoring'",
        &[],
    )?;
    let mut contents = BTreeMap::new();
    for table in tables {
        let table: String = table.get(0);
        let query = format!(
            "SELECT count(*), COALESCE(sum(hashtextextended(t::text, 0)), 0)::text FROM decide.{table} AS t"
        );
        let row = client.query_one(&query, &[])?;
        contents.insert(table, (row.get(0), row.get(1)));
    }
    Ok(contents)
}

/// Some life: rules, models, bundles, events, decisions, outcomes, faults; days old and new.
pub fn live(client: &mut Client) -> Result<()> {
    shop::open(client)?;
    client.batch_execute(
        r#"
        CREATE TABLE stock (action text, on_hand int);
        INSERT INTO stock SELECT 'a' || i, i - 1 FROM generate_series(1, 6) AS i;
        DO $$ BEGIN
          IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'restore_rules') THEN CREATE ROLE restore_rules; END IF;
        END $$;
        SELECT decide.grant('restore_rules', 'rules');
        GRANT SELECT ON stock TO restore_rules;
        SET pg_decide.rule_role = restore_rules;
        INSERT INTO decide.feature (feature, entity, event_type, aggregate) VALUES ('sold', 'action', 'click', 'decayed_count');
        INSERT INTO decide.campaign (campaign, starts_at) VALUES ('summer "sale"', '2026-06-01Z');
        UPDATE decide.action SET campaign = 'summer "sale"',
               eligible_when = 'EXISTS (SELECT 1 FROM public.stock AS s WHERE s.action = action.action AND s.on_hand > 0)'
         WHERE action <> 'nothing';
        INSERT INTO decide.cap (cap, surface, campaign, action, per, max_count, window_length) VALUES
          ('summer budget', NULL, 'summer "sale"', NULL, 'all', 1000000, '1 day'), ('a1 a day', 'home', NULL, 'a1', 'user', 1000, '1 day');
        INSERT INTO decide.policy (policy, surface, model, selection, for_variants) VALUES ('best', 'home', 'value', 'greedy', true);
        INSERT INTO decide.experiment (experiment, surface, sticky) VALUES ('dumped', 'home', true);
        INSERT INTO decide.variant (experiment, variant, position, policy, without_caps) VALUES ('dumped', 'control', 0, NULL, '{}'), ('dumped', 'best', 1, 'best', '{a1 a day}');
        INSERT INTO decide.experiment_override VALUES ('dumped', 'tester', 'yes', 'best');
        UPDATE decide.experiment SET status = 'running';
        SELECT decide.publish('with rules');
        CREATE TABLE log AS
          SELECT i AS user_id, 'home' AS surface, '2026-01-01Z'::timestamptz + i * interval '1 hour' AS decided_at,
                 'a' || 1 + i % 6 AS action, 1 / 6.0 AS propensity, i % 2 AS reward FROM generate_series(1, 100) AS i;
        SELECT decide.import_decisions('log');
        SELECT decide.train('value', 'home', '{action}', outcome => 'reward');
        SELECT decide.make_partitions('2030-01-01', '2030-01-02');
        SELECT decide.set_mode('elsewhere', 'paused', 'a test'), decide.kill('action', 'a6', 'a test'),
               decide.kill('coefficient', 'value:user.clicks*action.value', 'a test');
        SELECT count(*) FROM generate_series(1, 200) AS i, decide(i, 'home', '{"device": "x"}') AS d,
               track(jsonb_build_object('event_id', i, 'type', 'click', 'user_id', i, 'at', clock_timestamp(),
                                        'decision_id', d.decision_id));
        SELECT track('{"event_id": "early", "type": "click", "user_id": "ann", "at": "1999-01-01T00:00:00Z"}'::jsonb);
        SELECT track('{"event_id": "bad"}'::jsonb);
        SELECT track('{"event_id": "sold 1", "type": "click", "user_id": "ann", "action": "a1", "at": "2026-01-01T00:00:00Z"}'::jsonb);
        SELECT decide.run_job('action_features');
        DELETE FROM decide.job_run;
        SELECT decide('ann', 'home');
        SELECT track('{"event_id": "sold 2", "type": "click", "user_id": "ann", "action": "a1", "at": "2026-01-01T00:00:00Z"}'::jsonb);
        CREATE SCHEMA orders;
        CREATE TABLE orders."all of them" (id int PRIMARY KEY, customer text, state text);
        SELECT decide.track_table('orders."all of them"', '{"type": "order", "user_id": "customer", "surface": {"const": "it''s"}}');
        SELECT decide.track_table('orders."all of them"', '{"type": "return", "user_id": "customer", "on": "update", "when": {"state": "returned"}}');
        INSERT INTO orders."all of them" VALUES (1, 'ann', 'open');
        SELECT decide.rename('action', 'a5', 'a five'), decide.rename('campaign', 'summer "sale"', 'summer');
        INSERT INTO decide.region (region, features_out) VALUES ('eea', '{clicks}'), ('us', '{}');
        INSERT INTO decide.context_field (field, treatment, expression) VALUES ('device', 'coarsen', 'left(value #>> ''{}'', 1)');
        SELECT decide.publish('renamed');
        SELECT decide.set_region('ann', 'us');
        INSERT INTO decide.event_type (event_type, purpose) VALUES ('click', 'relevance');
        INSERT INTO decide.event_inbox (event)
        VALUES ('{"event_id": "waiting", "type": "click", "user_id": "ann", "at": "2026-01-01T00:00:00Z"}'), ('no event');
        UPDATE decide.job SET every = '1 minute', enabled = false WHERE job = 'fold';
        SELECT decide.rollback(1, 'and back');
        -- two keys are living, and the rotation is not settled
        SELECT decide.rotate_pseudonyms();
        SELECT track('{"event_id": "rotated", "type": "click", "user_id": "new", "at": "2026-01-01T00:00:00Z"}'::jsonb);
        "#,
    )?;
    Ok(())
}

/// Every decision agrees with its trace.
fn replays(client: &mut Client) -> Result<()> {
    let traces = shop::count(
        client,
        "SELECT count(*) FROM decide.trace WHERE origin IS NULL",
    )?;
    let agree = shop::count(
        client,
        "SELECT count(*) FROM decide.trace AS t, decide.replay(t.decision_id) AS r WHERE r.agrees",
    )?;
    ensure!(
        traces == 201 && agree == traces,
        "{agree} of {traces} traces can be replayed"
    );
    Ok(())
}

/// The rotation that was under way when the dump was made goes on: who is known stays the same person, under the newest key.
fn rotates(client: &mut Client) -> Result<()> {
    let keys = "SELECT count(*) FROM decide.secret";
    ensure!(shop::count(client, keys)? == 2, "a key is lost");
    let known = "SELECT count(*) FROM decide.user_state WHERE user_key IN (decide.user_key('ann'), decide.user_key('new')) AND events > 0";
    ensure!(shop::count(client, known)? == 2, "a person is not found");
    let until = Instant::now() + Duration::from_secs(30);
    let newest = "SELECT count(*) FROM decide.secret AS s WHERE s.number = decide.key_number(decide.user_key('ann')) \
                    AND s.created_at = (SELECT max(n.created_at) FROM decide.secret AS n)";
    while shop::count(client, newest)? == 0 {
        client.batch_execute(
            "SELECT decide.run_job('pseudonyms'); SELECT count(*) FROM decide('ann', 'home')",
        )?;
        ensure!(Instant::now() < until, "the rotation does not settle");
    }
    ensure!(
        shop::count(client, known)? == 2,
        "a person is lost by the move"
    );
    Ok(())
}

/// The copy goes on where the dump was made.
pub fn comes_to_life(client: &mut Client) -> Result<()> {
    replays(client)?;
    let unknown = shop::count(
        client,
        "SELECT count(*) FROM decide.named WHERE number IS NULL",
    )?;
    ensure!(
        unknown == 0,
        "{unknown} rows of policy have lost their numbers"
    );
    let renamed = "SELECT count(*) FROM decide.action_number WHERE action = 'a five' AND number = decide.number_of_action('a5')";
    ensure!(
        shop::count(client, renamed)? == 1,
        "the old name of an action is forgotten"
    );
    let in_force = shop::count(
        client,
        "SELECT bundle FROM decide.bundle_history WHERE in_force",
    )?;
    ensure!(in_force == 1, "bundle {in_force} is in force");
    client.batch_execute(
        "SET pg_decide.rule_role = restore_rules; SELECT decide.rollback(2); SELECT decide.run_job('partitions')",
    )?;
    let row = client.query_one("SELECT action, reason FROM decide('ann', 'home')", &[])?;
    let reason: Option<String> = row.get(1);
    ensure!(reason.is_none(), "the copy decides by fallback: {reason:?}");
    let assigned = "SELECT count(*) FROM generate_series(1, 200) AS i, decide.variants(i, 'home') AS v, decide.experiment_exposure AS e \
                     WHERE e.user_key = decide.user_key(i) AND e.variant = v.variant";
    let assigned = shop::count(client, assigned)?;
    ensure!(
        assigned == 200,
        "{assigned} of 200 users keep their variants"
    );
    let row = client.query_one("SELECT reason FROM decide('ann', 'elsewhere')", &[])?;
    let reason: Option<String> = row.get(0);
    ensure!(
        reason.as_deref() == Some("paused"),
        "the copy is not paused: {reason:?}"
    );
    let killed = shop::count(client, "SELECT count(*) FROM decide.switch_in_force")?;
    ensure!(killed == 2, "{killed} of 2 things are killed in the copy");
    let duplicate: String = client
        .query_one(
            "SELECT track('{\"event_id\": \"early\", \"type\": \"click\", \"user_id\": \"ann\", \
                           \"at\": \"1999-01-01T00:00:00Z\"}'::jsonb)",
            &[],
        )?
        .get(0);
    ensure!(duplicate == "duplicate", "an old event is {duplicate}");
    client.batch_execute("SELECT decide.run_job('action_features')")?;
    let sold = shop::count(client, "SELECT value::bigint FROM decide.entity_features")?;
    ensure!(sold == 2, "{sold} of 2 sales are counted");
    tracks_on(client)?;
    let folded: String = client
        .query_one("SELECT decide.run_job('fold')", &[])?
        .get(0);
    ensure!(folded == "2 events folded", "of the inbox: {folded}");
    let anns = shop::count(
        client,
        "SELECT count(*) FROM decide.event WHERE event_id = 'waiting' AND user_key = decide.user_key('ann')",
    )?;
    ensure!(anns == 1, "the event in the inbox is no longer ann's");
    let bundle: i64 = client
        .query_one("SELECT decide.publish('in the copy')", &[])?
        .get(0);
    ensure!(bundle == 4, "the next bundle is {bundle}");
    let changed = client.execute("UPDATE decide.trace SET seed = 0", &[]);
    ensure!(changed.is_err(), "traces of the copy can be changed");
    let members = shop::count(
        client,
        "SELECT count(*) FROM pg_depend AS d JOIN pg_extension AS x ON x.oid = d.refobjid AND d.deptype = 'e' \
          WHERE x.extname = 'pg_decide' AND d.objid IN (SELECT inhrelid FROM pg_inherits) \
            AND d.objid::regclass::text !~ 'default$'",
    )?;
    ensure!(
        members == 0,
        "{members} partitions of days belong to the extension, and would not be dumped"
    );
    rotates(client)
}

/// The rows of the shop's table were events before the dump, and become events in the copy.
fn tracks_on(client: &mut Client) -> Result<()> {
    let tracked = shop::count(
        client,
        "SELECT count(*) FROM decide.tracked_tables WHERE relation = 'orders.\"all of them\"'::regclass AND enabled",
    )?;
    ensure!(tracked == 2, "{tracked} mappings of 2 are there");
    client.batch_execute(
        r#"INSERT INTO orders."all of them" VALUES (2, 'ann', 'open');
           UPDATE orders."all of them" SET state = 'returned'"#,
    )?;
    let events: String = client
        .query_one(
            "SELECT string_agg(split_part(event_id, ':', 3) || split_part(event_id, ':', 4) || COALESCE(surface, ''), ' ' ORDER BY event_id) \
               FROM decide.event WHERE event_id LIKE 'row:orders.%'",
            &[],
        )?
        .get(0);
    ensure!(
        events == "order1it's order2it's return1 return2",
        "the events of the shop's table are {events}"
    );
    Ok(())
}
