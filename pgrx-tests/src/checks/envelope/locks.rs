//! Locks of other transactions are waited for within the budget only.

use anyhow::{Result, ensure};

use super::{SLACK, hanging_shop, shop, timed};
use crate::temporary::Database;

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
