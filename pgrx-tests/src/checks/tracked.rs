//! Tables of the shop whose rows become events.

use anyhow::{Result, ensure};

use super::shop;
use crate::temporary::Database;

const SESSIONS: i32 = 3;
const STATEMENTS: i32 = 4;
const ROWS: i32 = 2_500;

/// Statements of several thousand rows lock their users in one order, though they share only some of them:
/// none is the victim of a deadlock, and all of them count.
pub fn large_statements_wait_for_each_other(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "CREATE TABLE orders (id serial PRIMARY KEY, customer text);
         SELECT decide.track_table('orders', jsonb_build_object('type', 'click', 'user_id', 'customer'))",
    )?;
    std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|number| {
                scope.spawn(move || -> Result<()> {
                    let mut client = database.connect()?;
                    for _ in 0..STATEMENTS {
                        client.execute(
                            "INSERT INTO orders (customer) SELECT 'u' || lpad((g + $1 * 700)::text, 5, '0') FROM generate_series(1, $2) AS g",
                            &[&number, &ROWS],
                        )?;
                    }
                    Ok(())
                })
            })
            .collect();
        let done = sessions
            .into_iter()
            .map(|session| session.join().expect("a client panicked"));
        done.collect::<Result<Vec<_>>>()
    })?;
    let counted = shop::count(&mut client, "SELECT count(*) FROM decide.event")?;
    ensure!(
        counted == i64::from(SESSIONS * STATEMENTS * ROWS),
        "{counted} rows have become events"
    );
    Ok(())
}
