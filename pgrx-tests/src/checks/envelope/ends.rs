//! Cancels, timeouts and ends of sessions stay what they are, and the count of decisions at once stays right.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::{SLACK, hanging_shop, shop, timed};
use crate::run;
use crate::temporary::Database;

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

fn ends_with(client: &mut Client, sql: &str, state: &SqlState) -> Result<()> {
    match client.simple_query(sql) {
        Ok(_) => anyhow::bail!("{sql} came to an end"),
        Err(error) => ensure!(error.code() == Some(state), "{sql} ended with {error}"),
    }
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
