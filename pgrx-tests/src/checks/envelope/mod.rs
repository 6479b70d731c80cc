//! Decisions stay within their limits, whatever hangs, fails or crowds in.

mod breakers;
mod ends;
mod locks;
mod memory;

pub use breakers::{
    lets_one_try_at_a_time, opens_breakers_for_several_sessions, survives_hung_and_failing_rules,
};
pub use ends::{
    bounds_decisions_at_once, counts_decisions_whatever_ends_them,
    leaves_the_caller_its_own_timeouts,
};
pub use locks::{waits_for_no_counter, waits_for_no_lock};
pub use memory::{forgets_who_was_erased, serves_what_was_last_known};

use std::time::{Duration, Instant};

use anyhow::Result;
use postgres::Client;

use super::shop;
use crate::temporary::Database;

/// What a noisy machine may add to a budget of 50 ms before a test calls it late.
const SLACK: Duration = Duration::from_millis(950);

/// A decision: how long it took, and its reason.
fn timed(client: &mut Client, surface: &str) -> Result<(Duration, Option<String>)> {
    let begun = Instant::now();
    let row = client.query_one("SELECT reason FROM decide('ann', $1::text)", &[&surface])?;
    Ok((begun.elapsed(), row.get(0)))
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
