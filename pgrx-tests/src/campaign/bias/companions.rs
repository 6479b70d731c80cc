//! What goes on beside the decisions of a scenario, until it is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use postgres::error::SqlState;

use crate::temporary::Database;

/// Raises the limit of the budget money by a little whenever hardly anything is left of it.
pub fn raise_limit(database: &Database, over: &AtomicBool) -> Result<()> {
    let mut client = database.connect()?;
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
        let raised = client.batch_execute(
            "UPDATE decide.cap AS c SET max_count = c.max_count + 60 FROM decide.budget AS b
              WHERE c.cap = 'money' AND b.cap = 'money' AND b.free < 8;
             SELECT decide.publish('more') WHERE EXISTS (SELECT FROM decide.budget AS b WHERE b.cap = 'money' AND b.free < 8)",
        );
        match raised {
            Err(error) if error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) => bail!(error),
            _ => {}
        }
    }
    Ok(())
}

/// Looks up reservations that are over.
pub fn run_budgets_job(database: &Database, over: &AtomicBool) -> Result<()> {
    let mut client = database.connect()?;
    while !over.load(Ordering::Relaxed) {
        client.batch_execute("SELECT decide.run_job('budgets')")?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Two sessions decide on a surface of their own, which takes from the budgets of a and c, and stay in that transaction
/// for a second: each has another row of them.
pub fn hold_rows(database: &Database, over: &AtomicBool) -> Result<()> {
    hold(database, over, 2)
}

/// The same with sixteen sessions.
pub fn hold_sixteen_rows(database: &Database, over: &AtomicBool) -> Result<()> {
    hold(database, over, 16)
}

/// So many sessions each decide on the surface held, and stay in that transaction for a second.
fn hold(database: &Database, over: &AtomicBool, sessions: usize) -> Result<()> {
    let holders = (0..sessions).map(|_| database.connect());
    let mut holders = holders.collect::<Result<Vec<_>>>()?;
    while !over.load(Ordering::Relaxed) {
        for holder in &mut holders {
            holder.batch_execute("BEGIN; SELECT decide('the holder', 'held')")?;
        }
        for _ in 0..100 {
            if over.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        for holder in &mut holders {
            holder.batch_execute("COMMIT")?;
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
