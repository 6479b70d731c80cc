//! Rules that hang or fail are left out, and asked again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::Client;

use super::{SLACK, hanging_shop, shop, timed};
use crate::temporary::Database;

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
