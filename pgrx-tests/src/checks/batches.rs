//! Many decisions in one call: pages, whose probabilities are those given what earlier surfaces show, and batches, that
//! are exact side by side, killed in the middle, and called again.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;
use postgres::error::SqlState;

use super::crashes::revive;
use super::frequencies::{Cells, check};
use super::shop;
use crate::temporary::Database;

const PAGES: i32 = 20_000;

/// Each slot of each surface is drawn with the probability that is logged for it, given all that the page shows before.
/// The second surface repeats nothing, and of three actions a user may have one.
pub fn pages_are_drawn_as_logged(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "INSERT INTO decide.surface (surface, slots, fallback_action) VALUES ('side', 2, 'nothing');
         INSERT INTO decide.campaign (campaign) VALUES ('spring');
         UPDATE decide.action SET surfaces = '{home,side}' WHERE action LIKE 'a%';
         UPDATE decide.action SET campaign = 'spring' WHERE action IN ('a1', 'a3', 'a6');
         INSERT INTO decide.cap (cap, campaign, per, max_count) VALUES ('one', 'spring', 'user', 1);
         INSERT INTO decide.policy (policy, surface, model, selection, unique_on_page)
           VALUES ('side', 'side', 'value', 'softmax', true);
         SELECT decide.publish('a page')",
    )?;
    client.batch_execute(&format!(
        "CREATE TABLE answer AS SELECT i AS page, d.* FROM generate_series(1, {PAGES}) AS i,
           decide('user ' || i, ARRAY['home', 'side'], '{{\"device\": \"mobile\"}}') AS d"
    ))?;
    let logged = shop::count(
        &mut client,
        "SELECT count(*) FROM answer JOIN decide.decision USING (decision_id, surface, slot, action, probability) \
          WHERE answer.reason IS NULL",
    )?;
    ensure!(
        logged == 3 * i64::from(PAGES),
        "{logged} slots are logged as answered"
    );
    let mut places: Vec<BTreeMap<Vec<String>, Cells>> = Vec::new();
    for row in client.query(
        "SELECT array_agg(action ORDER BY surface, slot), array_agg(probability ORDER BY surface, slot) \
           FROM answer \
          WHERE page NOT IN (SELECT a.page FROM answer AS a JOIN decide.decision AS d USING (decision_id) WHERE 'busy' = ANY (d.blocked_reasons)) \
          GROUP BY page",
        &[],
    )? {
        let (shown, probabilities): (Vec<String>, Vec<f64>) = (row.get(0), row.get(1));
        places.resize_with(shown.len(), BTreeMap::new);
        for (place, (action, p)) in shown.iter().zip(probabilities).enumerate() {
            let before = shown[..place].to_vec();
            let spring = ["a1", "a3", "a6"];
            let of_spring = shown.iter().filter(|of| spring.contains(&of.as_str()));
            ensure!(of_spring.count() <= 1, "a user has {shown:?}");
            ensure!(!before.contains(action), "a page shows {shown:?}");
            places[place].entry(before).or_default().add(action, p)?;
        }
    }
    for (place, cells) in places.iter().enumerate() {
        check(place, cells.values())?;
    }
    shop::replay_all(&mut client)?;
    Ok(())
}

const USERS: i64 = 4_000;

/// The requests of all users, some of whom come twice.
const REQUESTS: &str = "SELECT 'user ' || i AS user_id, s AS surface FROM generate_series(1, 4000) AS i, \
                        unnest(CASE i % 4 WHEN 0 THEN '{home,side}' ELSE '{home}' END::text[]) AS s";

/// A shop with a cap per user and a budget that lasts for half of the requests, and a table of results.
fn open_with_budget(client: &mut Client) -> Result<()> {
    shop::open(client)?;
    client.batch_execute(
        "INSERT INTO decide.surface (surface, fallback_action) VALUES ('side', 'nothing');
         UPDATE decide.action SET surfaces = '{home,side}' WHERE action LIKE 'a%';
         INSERT INTO decide.policy (policy, surface, selection) VALUES ('side', 'side', 'uniform');
         INSERT INTO decide.campaign (campaign) VALUES ('spring');
         UPDATE decide.action SET campaign = 'spring' WHERE action IN ('a5', 'a6');
         INSERT INTO decide.cap (cap, campaign, per, max_count) VALUES ('one', 'spring', 'user', 1), ('all', 'spring', 'all', 1500);
         SELECT decide.publish('a batch');
         CREATE TABLE result (user_id text, surface text, slot int, action text, probability float8, decision_id uuid, reason text,
                              PRIMARY KEY (user_id, surface, slot))",
    )?;
    Ok(())
}

/// A batch whose backend ends, is cancelled, or is killed with the whole server, and that is called again each time: all
/// are decided once, and what is counted is what is shown.
pub fn resume_what_is_left(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    open_with_budget(&mut client)?;
    let call = format!("CALL decide.decide_batch($q${REQUESTS}$q$, 'result', 100)");
    let mut done = 0;
    for ending in ["terminate", "cancel", "kill"] {
        let mut victim = database.connect()?;
        let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        let call = call.clone();
        let running = std::thread::spawn(move || victim.batch_execute(&call));
        let begun = Instant::now();
        while shop::count(&mut client, "SELECT count(*) FROM result")? <= done {
            ensure!(
                begun.elapsed() < Duration::from_secs(30),
                "nothing is committed"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        match ending {
            "terminate" => {
                client.execute("SELECT pg_terminate_backend($1)", &[&pid])?;
            }
            "cancel" => {
                client.execute("SELECT pg_cancel_backend($1)", &[&pid])?;
            }
            _ => kill(Pid::from_raw(pid), Signal::SIGKILL)?,
        }
        let ended = running.join().expect("the victim panicked");
        client = revive(database)?;
        done = shop::count(&mut client, "SELECT count(*) FROM result")?;
        ensure!(done % 100 == 0, "{done} results are there: a chunk by half");
        ensure!(
            ended.is_err() && done < USERS * 5 / 4,
            "the batch was done before it could be ended: {done} results"
        );
    }
    client.batch_execute(&call)?;
    once_each(&mut client)
}

/// Every request has one result and one trace, which agree; caps hold, and counters say what is shown.
fn once_each(client: &mut Client) -> Result<()> {
    let counts = client.query_one(
        "SELECT count(*), count(t.decision_id), count(*) FILTER (WHERE r.action = d.action AND r.probability = d.probability),
                (SELECT count(*) FROM decide.trace), count(*) FILTER (WHERE r.action IN ('a5', 'a6')),
                (SELECT sum(s.ledger[2])::bigint FROM decide.budget_stripe AS s),
                (SELECT max(n) FROM (SELECT count(*) AS n FROM result WHERE action IN ('a5', 'a6') GROUP BY user_id) AS u)
           FROM result AS r LEFT JOIN decide.trace AS t USING (decision_id) LEFT JOIN decide.decision AS d USING (decision_id)",
        &[],
    )?;
    let numbers: Vec<i64> = (0..7).map(|i| counts.get(i)).collect();
    let all = USERS * 5 / 4;
    ensure!(
        numbers == [all, all, all, all, 1500, 1500, 1],
        "results, with trace, that agree, traces, shown, counted, most of a user: {numbers:?}"
    );
    shop::replay_all(client)?;
    Ok(())
}

/// Two batches with the same users, in opposite orders of requests, beside single decisions: nobody waits in a circle or
/// for long, and caps are exact.
pub fn are_exact_side_by_side(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    open_with_budget(&mut client)?;
    let begun = Instant::now();
    let work = |order: &str| {
        format!(
            "DO $do$ DECLARE part jsonb[]; BEGIN
               FOR chunk IN 0..9 LOOP
                 part := ARRAY(SELECT jsonb_build_object('user_id', 'user ' || i, 'surface', 'home')
                                 FROM generate_series(1, 400) AS i WHERE i % 2 = chunk % 2 ORDER BY i {order});
                 INSERT INTO answer SELECT b.user_id, b.action, b.decision_id FROM decide.decide_batch(part) AS b;
                 COMMIT;
               END LOOP;
             END $do$"
        )
    };
    let single = "DO $do$ BEGIN
                    FOR i IN 1..1000 LOOP
                      INSERT INTO answer SELECT 'user ' || i % 400 + 1, d.action, d.decision_id FROM decide('user ' || i % 400 + 1, ARRAY['home', 'side']) AS d;
                      COMMIT;
                    END LOOP;
                  END $do$";
    client.batch_execute("CREATE TABLE answer (user_id text, action text, decision_id uuid)")?;
    let scripts = [work("ASC"), work("DESC"), work("ASC"), single.to_owned()];
    std::thread::scope(|scope| {
        let threads: Vec<_> = scripts
            .iter()
            .map(|script| {
                let mut client = database.connect()?;
                Ok(scope.spawn(move || client.batch_execute(script)))
            })
            .collect::<Result<_>>()?;
        for thread in threads {
            thread
                .join()
                .expect("a client panicked")
                .context("side by side")?;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    ensure!(
        begun.elapsed() < Duration::from_secs(60),
        "it took {:?}",
        begun.elapsed()
    );
    let row = client.query_one(
        "SELECT count(*), (SELECT sum(s.ledger[2])::bigint FROM decide.budget_stripe AS s),
                (SELECT max(n) FROM (SELECT count(*) AS n FROM answer WHERE action IN ('a5', 'a6') GROUP BY user_id) AS u)
           FROM answer WHERE action IN ('a5', 'a6')",
        &[],
    )?;
    let (shown, counted, most): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!(
        shown == counted && most == 1 && shown > 300,
        "{shown} were shown and {counted} counted, {most} to one user"
    );
    shop::replay_all(&mut client)?;
    Ok(())
}

/// A batch can be cancelled at any time, and its memory does not grow with its requests.
pub fn end_when_cancelled_and_stay_small(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    open_with_budget(&mut client)?;
    let requests = "ARRAY(SELECT jsonb_build_object('user_id', 'user ' || i, 'surface', 'home') FROM generate_series(1, 100000) AS i)";
    let sql = format!("SELECT count(*) FROM decide.decide_batch({requests})");
    client.batch_execute("SET statement_timeout = '700ms'")?;
    let begun = Instant::now();
    let error = client
        .batch_execute(&sql)
        .expect_err("a timeout ends the batch");
    ensure!(
        error.code() == Some(&SqlState::QUERY_CANCELED),
        "it ended with {error}"
    );
    ensure!(
        begun.elapsed() < Duration::from_secs(3),
        "it took {:?} to end",
        begun.elapsed()
    );
    client.batch_execute("RESET statement_timeout")?;
    ensure!(
        shop::count(&mut client, "SELECT count(*) FROM decide.trace")? == 0,
        "traces are left"
    );
    let of_users = |client: &mut Client, users: i32| {
        client.batch_execute(&format!(
            "CALL decide.decide_batch('SELECT ''user '' || i AS user_id, ''home'' AS surface FROM generate_series(1, {users}) AS i', 'result')"
        ))?;
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok::<i64, anyhow::Error>(kilobytes.context("no RssAnon")?.parse()?)
    };
    let mut other = database.connect()?;
    let few = of_users(&mut other, 2_000)?;
    let many = of_users(&mut other, 40_000)?;
    ensure!(
        many < few + 12_000,
        "with 2,000 users the backend has {few} kB, with 40,000 {many} kB"
    );
    Ok(())
}
