//! Decisions stay within their limits, whatever hangs, fails or crowds in.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::shop;
use crate::run;
use crate::temporary::Database;

/// What a noisy machine may add to a budget of 50 ms before a test calls it late.
const SLACK: Duration = Duration::from_millis(950);

/// A rule that sleeps ten seconds and one that fails hold up nobody: breakers open for all sessions,
/// and close once the shop has healed what they look at.
pub fn survives_hung_and_failing_rules(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    client.batch_execute("INSERT INTO public.patience VALUES (10)")?;
    client.batch_execute("ALTER TABLE public.stock RENAME TO shelf")?;
    let mut times = Vec::new();
    for _ in 0..20 {
        times.push(timed(&mut client, "home")?.0);
    }
    let late = times.iter().max().copied().unwrap_or_default();
    ensure!(
        late < Duration::from_millis(50) + SLACK,
        "one took {late:?}"
    );
    times.sort_unstable();
    println!(
        "median with two broken rules and a budget of 50 ms: {:?}",
        times[10]
    );
    let open = "SELECT count(*) FROM decide.breaker_status";
    let breakers = shop::count(&mut client, open)?;
    ensure!(breakers == 2, "{breakers} breakers are open");

    // A session that has seen no failure leaves both out from its first decision on.
    let mut other = database.connect()?;
    timed(&mut other, "home")?;
    let times = (0..20).map(|_| Ok(timed(&mut other, "home")?.0));
    let mut times = times.collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    println!("median with both left out: {:?}", times[10]);
    let asked = "SELECT count(*) FROM decide.decision AS d \
                  WHERE d.decision_id IN (SELECT t.decision_id FROM decide.trace AS t ORDER BY 1 DESC LIMIT 20) \
                    AND NOT d.blocked_reasons @> '{breaker}'";
    let asked = shop::count(&mut client, asked)?;
    ensure!(
        asked == 0,
        "{asked} decisions have asked a rule that is left out"
    );

    client.batch_execute(
        "UPDATE public.patience SET seconds = 0; ALTER TABLE public.shelf RENAME TO stock",
    )?;
    std::thread::sleep(Duration::from_millis(2500));
    for _ in 0..10 {
        timed(&mut other, "home")?;
        timed(&mut client, "home")?;
    }
    let breakers = shop::count(&mut client, open)?;
    ensure!(
        breakers == 0,
        "{breakers} breakers are open after the shop has healed"
    );
    let blocked = "SELECT count(*) FROM unnest((SELECT blocked FROM decide.decision ORDER BY decision_id DESC LIMIT 1))";
    let blocked = shop::count(&mut client, blocked)?;
    ensure!(blocked == 0, "{blocked} actions are still out");
    shop::replay_all(&mut client)?;
    Ok(())
}

/// While one decision tries a rule again, and its transaction is open, the others wait for nothing.
pub fn lets_one_try_at_a_time(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    client.batch_execute("INSERT INTO public.patience VALUES (10)")?;
    for _ in 0..10 {
        timed(&mut client, "home")?;
    }
    let breakers = shop::count(&mut client, "SELECT count(*) FROM decide.breaker_status")?;
    ensure!(breakers == 1, "{breakers} breakers are open");
    client.batch_execute("UPDATE public.patience SET seconds = 0")?;
    std::thread::sleep(Duration::from_millis(1200));
    client.batch_execute("BEGIN")?;
    timed(&mut client, "home")?;
    let mut other = database.connect()?;
    timed(&mut other, "home")?;
    for _ in 0..10 {
        let (time, _) = timed(&mut other, "home")?;
        ensure!(
            time < SLACK,
            "a decision beside the one that tries took {time:?}"
        );
    }
    let row = other.query_one(
        "SELECT blocked_reasons FROM decide.decision ORDER BY decision_id DESC LIMIT 1",
        &[],
    )?;
    let reasons: Option<Vec<String>> = row.get(0);
    ensure!(
        reasons.as_deref() == Some(&["breaker".to_owned()]),
        "beside the one that tries: {reasons:?}"
    );
    client.batch_execute("COMMIT")?;
    timed(&mut other, "home")?;
    let breakers = shop::count(&mut other, "SELECT count(*) FROM decide.breaker_status")?;
    ensure!(breakers == 0, "{breakers} breakers are open");
    Ok(())
}

/// A lock that a rule waits for is bounded like everything else.
pub fn waits_for_no_lock(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    timed(&mut client, "home")?;
    let mut other = database.connect()?;
    other.batch_execute("BEGIN; LOCK TABLE public.stock")?;
    for _ in 0..10 {
        let (time, _) = timed(&mut client, "home")?;
        ensure!(
            time < SLACK,
            "with a rule that waits for a lock it took {time:?}"
        );
    }
    other.batch_execute("ROLLBACK")?;
    Ok(())
}

/// A session that finds a rule failing leaves it out for itself; for all it is left out once another session finds
/// the same, and not while the rule answers others.
pub fn opens_breakers_for_several_sessions(database: &Database) -> Result<()> {
    let mut owner = hanging_shop(database)?;
    owner.batch_execute(&format!(
        "ALTER DATABASE {} RESET pg_decide.breaker_sessions; \
         CREATE ROLE caller LOGIN; SELECT decide.grant('caller', 'serve'); \
         CREATE FUNCTION public.hangs_for(name text) RETURNS boolean LANGUAGE plpgsql STABLE AS \
           $$ BEGIN PERFORM pg_sleep(CASE WHEN name = 'slow' THEN seconds END) FROM public.patience; RETURN true; END $$; \
         UPDATE decide.action SET eligible_when = $$public.hangs_for(context->>'name')$$ WHERE action = 'a1'; \
         UPDATE decide.action SET eligible_when = NULL WHERE action IN ('a2', 'a3'); \
         INSERT INTO public.patience VALUES (10); SELECT decide.publish('by name')",
        database.name
    ))?;
    let status = "SELECT COALESCE(string_agg(state, ' '), 'none') FROM decide.breaker_status";
    let mut state = || -> Result<String> { Ok(owner.query_one(status, &[])?.get(0)) };
    let ask = |client: &mut Client, name: &str, times: usize| -> Result<Duration> {
        let begun = Instant::now();
        for _ in 0..times {
            let context = format!("{{\"name\": \"{name}\"}}");
            client.execute(
                "SELECT * FROM decide('ann', 'home', $1::text::jsonb)",
                &[&context],
            )?;
        }
        Ok(begun.elapsed())
    };
    let reasons = |client: &mut Client| -> Result<Option<Vec<String>>> {
        let reasons =
            "SELECT blocked_reasons FROM decide.decision ORDER BY decision_id DESC LIMIT 1";
        Ok(client.query_one(reasons, &[])?.get(0))
    };
    let mut hostile = [
        database.connect_as("caller")?,
        database.connect_as("caller")?,
    ];
    let (mut other, mut analyst) = (database.connect_as("caller")?, database.connect()?);
    ask(&mut other, "quick", 1)?;
    for round in 0..3 {
        ask(&mut hostile[round % 2], "slow", 7)?;
        ensure!(state()? == "suspected", "after one session: {}", state()?);
        // who suspects it asks no more, and nobody else has to know
        let without = ask(&mut hostile[round % 2], "slow", 5)?;
        ensure!(without < SLACK, "it goes on asking, for {without:?}");
        ask(&mut other, "quick", 1)?;
        let blocked = reasons(&mut analyst)?;
        ensure!(blocked.is_none(), "another session is told: {blocked:?}");
        ensure!(state()? == "none", "it has answered: {}", state()?);
        std::thread::sleep(Duration::from_millis(1100));
    }
    // a context too large for a rule that does something with it says nothing
    let mut large = database.connect_as("caller")?;
    let fill = format!("slow\", \"fill\": \"{}", "x".repeat(20_000));
    ask(&mut large, &fill, 7)?;
    ensure!(state()? == "none", "a large context: {}", state()?);
    // where no session has an answer, it is left out for all
    ask(&mut hostile[0], "slow", 7)?;
    std::thread::sleep(Duration::from_millis(1100));
    ask(&mut hostile[1], "slow", 7)?;
    ensure!(
        state()? == "open" || state()? == "half_open",
        "{}",
        state()?
    );
    std::thread::sleep(Duration::from_millis(1100));
    ask(&mut other, "quick", 2)?;
    ensure!(
        state()? == "none",
        "it has answered when tried: {}",
        state()?
    );
    owner.batch_execute("DROP OWNED BY caller; DROP ROLE caller")?;
    Ok(())
}

/// Counters that another transaction holds are waited for within the budget only.
pub fn waits_for_no_counter(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    client.batch_execute(
        "INSERT INTO public.patience VALUES (0); \
         INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('budget', 'home', 'all', 1000000); \
         SELECT decide.publish('budget')",
    )?;
    timed(&mut client, "home")?;
    let mut other = database.connect()?;
    for hold in [
        "SELECT FROM decide.budget_stripe FOR UPDATE",
        "LOCK TABLE decide.budget_stripe IN ACCESS EXCLUSIVE MODE",
    ] {
        other.batch_execute(&format!("BEGIN; {hold}"))?;
        for _ in 0..5 {
            let (time, reason) = timed(&mut client, "home")?;
            ensure!(time < SLACK, "while another does {hold} it took {time:?}");
            ensure!(reason.is_some(), "it has taken a counter that is held");
        }
        other.batch_execute("ROLLBACK")?;
    }
    let reason = timed(&mut client, "home")?.1;
    ensure!(reason.is_none(), "afterwards it has the reason {reason:?}");
    // A session that has not read yet what is said of budgets, and is to say that this one is used up.
    client.batch_execute(
        "UPDATE decide.cap SET max_count = 1, stripes = 1; SELECT decide.publish('used up')",
    )?;
    let mut fresh = database.connect()?;
    other.batch_execute("BEGIN; LOCK TABLE decide.budget_level IN ACCESS EXCLUSIVE MODE")?;
    for _ in 0..5 {
        let (time, _) = timed(&mut fresh, "home")?;
        ensure!(time < SLACK, "with their levels locked it took {time:?}");
    }
    other.batch_execute("ROLLBACK")?;
    shop::replay_all(&mut client)?;
    Ok(())
}

/// Sessions that are cancelled and terminated at random leave the count of decisions right.
pub fn counts_decisions_whatever_ends_them(database: &Database) -> Result<()> {
    let mut owner = hanging_shop(database)?;
    owner.batch_execute(&format!(
        "INSERT INTO public.patience VALUES (0.005); \
         ALTER DATABASE {0} SET pg_decide.max_concurrent_decisions = 3; \
         UPDATE decide.surface SET latency_budget = '1 min' WHERE surface = 'home'; SELECT decide.publish('patient')",
        database.name
    ))?;
    let until = Instant::now() + Duration::from_secs(4);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while Instant::now() < until {
                    let Ok(mut client) = database.connect() else {
                        continue;
                    };
                    while Instant::now() < until && !client.is_closed() {
                        let _ = client.query("SELECT * FROM decide('ann', 'home')", &[]);
                    }
                }
            });
        }
        while Instant::now() < until {
            for end in [
                "pg_cancel_backend",
                "pg_cancel_backend",
                "pg_terminate_backend",
            ] {
                let _ = owner.execute(
                    &format!(
                        "SELECT {end}(pid) FROM pg_stat_activity WHERE datname = current_database() \
                           AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
                    ),
                    &[],
                );
                std::thread::sleep(Duration::from_millis(15));
            }
        }
    });
    let ways = "SELECT count(*) FROM (SELECT DISTINCT COALESCE(reason, '') FROM decide.trace \
                 WHERE reason IS NULL OR reason = 'overload') AS t";
    let ways = shop::count(&mut owner, ways)?;
    ensure!(ways == 2, "some decisions should be made and some refused");
    owner.batch_execute(&format!(
        "ALTER DATABASE {} SET pg_decide.max_concurrent_decisions = 1",
        database.name
    ))?;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while shop::count(&mut owner, others)? > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut client = database.connect()?;
    let reason = timed(&mut client, "home")?.1;
    ensure!(
        reason.is_none(),
        "one that is alone has the reason {reason:?}"
    );
    Ok(())
}

/// The caller's own cancel and timeouts are errors of the caller, before and after decisions that were
/// cut short, and nothing later is cancelled.
pub fn leaves_the_caller_its_own_timeouts(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    client.batch_execute(
        "INSERT INTO public.patience VALUES (10); \
         UPDATE decide.surface SET latency_budget = '30 s' WHERE surface = 'home'; SELECT decide.publish('patient')",
    )?;
    let decide = "SELECT * FROM decide('ann', 'home')";
    client.batch_execute("SET statement_timeout = '300ms'")?;
    ends_with(&mut client, decide, &SqlState::QUERY_CANCELED)?;
    client.batch_execute("RESET statement_timeout")?;
    let token = client.cancel_token();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        token.cancel_query(NoTls)
    });
    ends_with(&mut client, decide, &SqlState::QUERY_CANCELED)?;
    canceller.join().expect("the canceller panicked")?;
    // The server signals the session and its process group, one after the other.
    std::thread::sleep(Duration::from_millis(200));

    client.batch_execute(
        "UPDATE decide.surface SET latency_budget = '50 ms' WHERE surface = 'home'; SELECT decide.publish('hasty'); \
         SET pg_decide.breaker_failures = 0",
    )?;
    client.batch_execute("SET statement_timeout = '5s'")?;
    for _ in 0..5 {
        timed(&mut client, "home")?;
        client.batch_execute("SELECT pg_sleep(0.1)")?;
    }
    client.batch_execute("BEGIN; SELECT decide('ann', 'home'); SELECT pg_sleep(0.2); COMMIT")?;
    client.batch_execute("SET statement_timeout = '200ms'")?;
    ends_with(
        &mut client,
        "SELECT (SELECT count(*) FROM decide('ann', 'home')), pg_sleep(5)",
        &SqlState::QUERY_CANCELED,
    )?;
    Ok(())
}

/// Where the table of users is locked, what a session has last seen of the user serves.
pub fn serves_what_was_last_known(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    client.batch_execute(
        "SELECT track('{\"event_id\": \"1\", \"type\": \"click\", \"user_id\": \"ann\", \"at\": \"2026-01-01T00:00:00Z\"}'::jsonb)",
    )?;
    // The first one hears of the table.
    timed(&mut client, "home")?;
    timed(&mut client, "home")?;
    let mut other = database.connect()?;
    locked_out(&mut client, &mut other)?;
    // What counts by the user cannot be told without the row: then it is the fallback, in time.
    client.batch_execute(
        "INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('often', 'home', 'user', 1000); SELECT decide.publish('cap')",
    )?;
    timed(&mut client, "home")?;
    other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
    let (time, reason) = timed(&mut client, "home")?;
    other.batch_execute("ROLLBACK")?;
    ensure!(
        time < SLACK,
        "with a cap and the table of users locked it took {time:?}"
    );
    ensure!(
        reason.as_deref() == Some("no_candidate"),
        "with a cap it has the reason {reason:?}"
    );
    shop::replay_all(&mut client)?;
    Ok(())
}

/// One decision while the table of users is locked by another session.
fn locked_out(client: &mut Client, other: &mut Client) -> Result<()> {
    other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
    let (time, reason) = timed(client, "home")?;
    ensure!(
        time < SLACK,
        "with the table of users locked it took {time:?}"
    );
    ensure!(reason.is_none(), "it is the fallback: {reason:?}");
    other.batch_execute("ROLLBACK")?;
    let row = client.query_one(
        "SELECT n.features[1] BETWEEN p.features[1] * 0.99 AND p.features[1] AND n.seen = 1, n.errors FROM \
           (SELECT * FROM decide.trace ORDER BY decision_id DESC LIMIT 1) AS n, \
           (SELECT * FROM decide.trace ORDER BY decision_id LIMIT 1) AS p",
        &[],
    )?;
    let errors: Option<Vec<String>> = row.get(1);
    ensure!(row.get::<_, bool>(0), "the features differ");
    ensure!(
        errors.as_deref() == Some(&["features: last known good".to_owned()]),
        "the trace says {errors:?}"
    );
    Ok(())
}

/// What a session remembers of a user is gone at the next statement after their row was deleted, by whom and however.
pub fn forgets_who_was_erased(database: &Database) -> Result<()> {
    let mut client = hanging_shop(database)?;
    let mut other = database.connect()?;
    let errors = |client: &mut Client| -> Result<Option<String>> {
        let errors = "SELECT array_to_string(errors, ' ') FROM decide.trace ORDER BY decision_id DESC LIMIT 1";
        Ok(client.query_one(errors, &[])?.get(0))
    };
    for (i, erase) in [
        "DELETE FROM decide.user_state WHERE user_key = decide.user_key('ann')",
        "TRUNCATE decide.user_state",
        "BEGIN; DELETE FROM decide.user_state; SAVEPOINT s; COMMIT",
    ]
    .into_iter()
    .enumerate()
    {
        client.execute(
            "SELECT track(jsonb_build_object('event_id', $1::text, 'type', 'click', 'user_id', 'ann', 'at', now()))",
            &[&i.to_string()],
        )?;
        // also many at once: all of them may have the snapshot from before
        for _ in 0..2 {
            timed(&mut client, "home")?;
        }
        other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
        timed(&mut client, "home")?;
        other.batch_execute("ROLLBACK")?;
        let before = errors(&mut client)?;
        ensure!(
            before.as_deref() == Some("features: last known good"),
            "before {erase}: {before:?}"
        );
        other.batch_execute(erase)?;
        other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
        timed(&mut client, "home")?;
        other.batch_execute("ROLLBACK")?;
        let after = errors(&mut client)?;
        ensure!(
            after.as_deref() == Some("features: default values, nothing is known of the user here"),
            "after {erase}: {after:?}"
        );
        let kept = "SELECT count(*) FROM decide.trace WHERE decision_id = (SELECT max(decision_id::text)::uuid FROM decide.trace) AND features[1] > 0";
        let kept = shop::count(&mut client, kept)?;
        ensure!(kept == 0, "after {erase} the trace has features");
    }
    // one that is undone is none, and a statement that began before keeps nothing that it has read
    client.batch_execute("SELECT track('{\"event_id\": \"last\", \"type\": \"click\", \"user_id\": \"ann\", \"at\": \"2026-01-01T00:00:00Z\"}'::jsonb)")?;
    let long = std::thread::spawn(move || {
        client.batch_execute(
            "DO $$ BEGIN PERFORM decide('ann', 'home'); PERFORM pg_sleep(1); END $$; SELECT 1",
        )?;
        client.batch_execute("SELECT count(*) FROM (SELECT decide('ann', 'home'), pg_sleep(0.5) FROM generate_series(1, 4)) AS d")?;
        Ok::<Client, postgres::Error>(client)
    });
    std::thread::sleep(Duration::from_millis(1700));
    other.batch_execute("DELETE FROM decide.user_state")?;
    let mut client = long.join().expect("the long statement panicked")?;
    other.batch_execute("BEGIN; LOCK TABLE decide.user_state IN ACCESS EXCLUSIVE MODE")?;
    timed(&mut client, "home")?;
    other.batch_execute("ROLLBACK")?;
    let after = errors(&mut client)?;
    ensure!(
        after.as_deref() == Some("features: default values, nothing is known of the user here"),
        "after a statement that saw the erased row to its end: {after:?}"
    );
    Ok(())
}

/// Beyond the bound the fallback answers at once; the count is right whatever way a decision ends.
pub fn bounds_decisions_at_once(database: &Database) -> Result<()> {
    let mut owner = hanging_shop(database)?;
    owner.batch_execute(&format!(
        "ALTER DATABASE {0} SET pg_decide.max_concurrent_decisions = 1; \
         ALTER DATABASE {0} SET pg_decide.breaker_failures = 0; \
         UPDATE decide.surface SET latency_budget = '1 min' WHERE surface = 'home'; SELECT decide.publish('patient')",
        database.name
    ))?;
    let mut second = database.connect()?;
    ensure!(
        timed(&mut second, "home")?.1.is_none(),
        "alone it is refused"
    );
    for end in [
        "pg_cancel_backend",
        "pg_terminate_backend",
        "nothing",
        "error",
    ] {
        owner.batch_execute("BEGIN; LOCK TABLE public.stock")?;
        let mut first = database.connect()?;
        let pid: i32 = first.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        let held = std::thread::spawn(move || {
            let divisor = if end == "error" { 0 } else { 1 };
            first.query(
                &format!("SELECT count(*) / {divisor} FROM decide('ann', 'home')"),
                &[],
            )?;
            Ok::<Client, postgres::Error>(first)
        });
        let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
        while shop::count(&mut second, &waits)? == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let (time, reason) = timed(&mut second, "home")?;
        ensure!(
            reason.as_deref() == Some("overload"),
            "{end}: beside another one it has the reason {reason:?}"
        );
        ensure!(
            time < SLACK,
            "{end}: an overload was answered after {time:?}"
        );
        if end.starts_with("pg_") {
            second.execute(&format!("SELECT {end}($1)"), &[&pid])?;
        }
        let ended = if end.starts_with("pg_") {
            let ended = held.join().expect("the client panicked");
            owner.batch_execute("ROLLBACK")?;
            ended
        } else {
            owner.batch_execute("ROLLBACK")?;
            held.join().expect("the client panicked")
        };
        ensure!(
            ended.is_ok() == (end == "nothing"),
            "{end}: it ended with {:?}",
            ended.err()
        );
        // A session that is terminated is gone only some time after its client has heard of it.
        let gone =
            format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'");
        while shop::count(&mut second, &gone)? > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let reason = timed(&mut second, "home")?.1;
        ensure!(reason.is_none(), "after {end} it has the reason {reason:?}");
    }
    shop::replay_all(&mut second)?;
    database.server.restart_with_preload("")?;
    let mut psql = database.client("psql");
    psql.args(["-XAtq", "-c", "SELECT reason FROM decide('ann', 'home')"]);
    psql.args(["-c", "SELECT reason FROM decide('ann', 'home')"]);
    let said = run::output(
        psql.arg("-c")
            .arg("DO $$ BEGIN PERFORM decide('ann', 'home'); END $$"),
    )?;
    ensure!(
        !format!("{said:?}").contains("overload"),
        "without preload it says {said:?}"
    );
    Ok(())
}

/// A decision: how long it took, and its reason.
fn timed(client: &mut Client, surface: &str) -> Result<(Duration, Option<String>)> {
    let begun = Instant::now();
    let row = client.query_one("SELECT reason FROM decide('ann', $1::text)", &[&surface])?;
    Ok((begun.elapsed(), row.get(0)))
}

fn ends_with(client: &mut Client, sql: &str, state: &SqlState) -> Result<()> {
    match client.simple_query(sql) {
        Ok(_) => anyhow::bail!("{sql} came to an end"),
        Err(error) => ensure!(error.code() == Some(state), "{sql} ended with {error}"),
    }
    Ok(())
}

/// The shop with a rule that sleeps as long as a table says, and one that reads another table.
fn hanging_shop(database: &Database) -> Result<Client> {
    let mut client = database.connect()?;
    client.batch_execute(&format!(
        "DO $$ BEGIN
           IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'envelope_rules') THEN CREATE ROLE envelope_rules; END IF;
         END $$;
         ALTER DATABASE {0} SET pg_decide.rule_role = envelope_rules;
         ALTER DATABASE {0} SET pg_decide.breaker_pause = '1s';
         ALTER DATABASE {0} SET pg_decide.breaker_sessions = 1;
         ALTER DATABASE {0} SET pg_decide.enforce_latency_budget = on",
        database.name
    ))?;
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "SELECT decide.grant('envelope_rules', 'rules');
         CREATE TABLE public.patience (seconds float8);
         CREATE TABLE public.stock AS SELECT 1 AS on_hand;
         GRANT SELECT ON public.patience, public.stock TO envelope_rules;
         CREATE FUNCTION public.hangs() RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN PERFORM pg_sleep(seconds) FROM public.patience; RETURN true; END $$;
         UPDATE decide.action SET eligible_when = 'public.hangs()' WHERE action = 'a1';
         UPDATE decide.action SET eligible_when = 'EXISTS (SELECT 1 FROM public.stock WHERE on_hand > 0)' WHERE action = 'a2';
         UPDATE decide.action SET eligible_when = 'context IS NOT NULL' WHERE action = 'a3';
         SELECT decide.publish('rules');",
    )?;
    Ok(client)
}
