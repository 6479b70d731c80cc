//! Outcomes, with real clients: events are credited once, whatever happens to who credits them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;

use super::crashes::revive;
use super::shop;
use crate::temporary::Database;

/// Orders, returns of a part of them, and clicks that they require; of so many users.
const USERS: i32 = 400;

const SHOP: &str = "
  SET pg_decide.attribution_lag = 0;
  INSERT INTO decide.outcome_type (outcome_type, event_types, match_by, requires, value_path, reversal_types, reference_path) VALUES
    ('order', '{order}', 'action', NULL, 'value', '{return}', 'attributes.no'), ('clicked', '{order}', 'action', 'click', NULL, '{}', NULL);
  SELECT decide.publish('outcomes');
  CREATE TABLE logged AS
  SELECT 'user' || u AS user_id, 'home' AS surface, now() - interval '1 day' + d * interval '1 hour' AS decided_at, a.action, 1.0::float8 AS propensity
    FROM generate_series(1, 400) AS u, generate_series(1, 5) AS d,
         LATERAL (SELECT x.action FROM decide.action AS x ORDER BY x.action OFFSET (u + d) % (SELECT count(*) FROM decide.action) LIMIT 1) AS a;
  SELECT decide.import_decisions('logged', 'test');
  SELECT track(ARRAY(
    SELECT jsonb_build_object('event_id', k.kind || d, 'type', k.kind, 'user_id', 'user' || u, 'at', now() - interval '1 day' + (d + k.late) * interval '1 hour', 'value', u + d,
                              'action', l.action, 'decision_id', CASE k.kind WHEN 'click' THEN t.decision_id END, 'attributes', jsonb_build_object('no', 'n' || d))
      FROM generate_series(1, 400) AS u, generate_series(1, 5) AS d, (VALUES ('return', 0.9), ('order', 0.5), ('click', 0.2)) AS k (kind, late),
           LATERAL (SELECT g.action, g.decided_at FROM logged AS g WHERE g.user_id = 'user' || u ORDER BY g.decided_at OFFSET d - 1 LIMIT 1) AS l,
           LATERAL (SELECT t.decision_id FROM decide.trace AS t WHERE t.user_key = decide.user_key('user' || u) AND t.decided_at = l.decided_at) AS t
     WHERE k.kind <> 'return' OR d % 2 = 0))";

/// Everything that is known of what became of the events, but for when it was looked at.
const ALL: &str = "SELECT COALESCE(md5(string_agg(md5((to_jsonb(a) - 'credited_at')::text), '' ORDER BY a.user_key, a.outcome_type, a.event_id)), '') FROM decide.attributed_event AS a";

/// The backend that credits events is killed in the middle: what it had committed is there, the rest is still in the queue, and
/// in the end there is what there is without a crash.
pub fn survive_a_crash(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(SHOP)?;
    let queued = shop::count(&mut client, "SELECT count(*) FROM decide.outcome_queue")?;
    ensure!(queued >= i64::from(USERS) * 10, "only {queued} events wait");
    let killed = kill_in_the_middle(database)?;
    let until = Instant::now() + Duration::from_secs(20);
    while client.simple_query("SELECT 1").is_ok() {
        ensure!(Instant::now() < until, "the server lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut client = revive(database)?;
    client.batch_execute("SET pg_decide.attribution_lag = 0")?;
    let left = "SELECT count(*) FROM decide.outcome_queue WHERE is_repeat IS NULL";
    let left = shop::count(&mut client, left)?;
    let done = attributed(&mut client)?;
    ensure!(
        left > 0 && done >= killed && left + done == queued,
        "of {queued} events {done} were looked at and {left} wait; before the crash {killed} were"
    );
    client.batch_execute("SELECT decide.run_job('attribution')")?;
    let after: String = client.query_one(ALL, &[])?.get(0);
    client.batch_execute(
        "TRUNCATE decide.attributed_event, decide.user_decision, decide.attribution_progress; \
         SELECT decide.credit_outcomes(now() - interval '2 days'); SELECT decide.run_job('attribution')",
    )?;
    let again: String = client.query_one(ALL, &[])?.get(0);
    ensure!(after == again, "a crash leaves something else behind");
    let credited = "SELECT count(*) FROM decide.credited_outcome";
    let credited = shop::count(&mut client, credited)?;
    let orders = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.event WHERE type = 'order'",
    )?;
    ensure!(
        credited == 2 * orders,
        "{orders} orders are credited {credited} times to two types"
    );
    Ok(())
}

/// Events that have been looked at.
fn attributed(client: &mut Client) -> Result<i64> {
    shop::count(
        client,
        "SELECT count(*) FROM decide.event AS e WHERE e.type = 'click' AND NOT EXISTS (SELECT FROM decide.outcome_queue AS q \
           WHERE q.user_key = e.user_key AND q.event_id = e.event_id) OR e.type <> 'click' AND EXISTS (SELECT FROM decide.attributed_event AS a \
           WHERE a.user_key = e.user_key AND a.event_id = e.event_id AND a.outcome_type = 'order')",
    )
}

/// Kills a backend that credits events in small steps; how many events it had committed by then, at least.
fn kill_in_the_middle(database: &Database) -> Result<i64> {
    let mut victim = database.connect()?;
    let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    victim.batch_execute("SELECT decide.copy_decisions(clock_timestamp(), 1000000)")?;
    let mut watcher = database.connect()?;
    std::thread::scope(|scope| {
        let work = scope.spawn(move || {
            while victim
                .simple_query("SELECT decide.credit_next(20, clock_timestamp())")
                .is_ok()
            {}
        });
        let until = Instant::now() + Duration::from_secs(20);
        let mut done = 0;
        while done < 500 {
            ensure!(Instant::now() < until, "nothing is credited");
            done = attributed(&mut watcher)?;
        }
        kill(Pid::from_raw(pid), Signal::SIGKILL).context("killing the backend")?;
        work.join().expect("the work panicked");
        Ok(done)
    })
}
