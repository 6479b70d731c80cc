//! What workers hold, and what others hold up.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::error::SqlState;

use super::{ALL_WELL, INBOX_EMPTY, look_after, shop, until};
use crate::temporary::Database;

/// Idle processes hold no snapshot that would keep vacuum from its work, and workers do not stay.
pub fn hold_nothing(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
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
    shop::open(&mut other_database.connect()?)?;
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
