//! Transactions that decided and stay open keep the counters that they took from, and delay nobody.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::Client;

use super::super::shop;
use crate::temporary::Database;

const OTHERS: usize = 8;
const EACH: usize = 50;

/// One of two rows of the counter is held: the others go on with the other row.
pub fn one_holds(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    open(&mut client, "greedy", "{}")?;
    let mut holder = holding(database)?;
    let answers = decide(database, "a6")?;
    ensure!(
        answers.wanted >= OTHERS * EACH * 9 / 10,
        "{} of {} got what they wanted",
        answers.wanted,
        OTHERS * EACH
    );
    ensure!(
        answers.median < Duration::from_millis(60),
        "half of them took longer than {:?}",
        answers.median
    );
    holder.batch_execute("COMMIT")?;
    super::agree(&mut client)?;
    Ok(())
}

/// Both are held: another candidate comes soon, and the chance of that is what the trace says.
pub fn all_of_them_hold(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    open(&mut client, "softmax", r#"{"temperature": 0.3}"#)?;
    let mut holders = [holding(database)?, holding(database)?];
    let stripes = shop::count(&mut client, "SELECT count(*) FROM decide.budget_stripe")?;
    ensure!(stripes == 2, "{stripes} rows count the budget");
    let answers = decide(database, "a6")?;
    ensure!(
        answers.wanted == 0,
        "{} got what was held by others",
        answers.wanted
    );
    ensure!(
        answers.median < Duration::from_millis(10),
        "half of them took {:?} or longer: they know by then who stays",
        answers.median
    );
    let busy = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.decision AS d WHERE d.blocked = '{a6}' AND d.blocked_reasons = '{busy}' AND d.probability = d.probabilities[array_position(d.candidates, d.action)]",
    )?;
    // A session finds out by its first decision that wants it. What it chose before is chosen among all.
    let others = shop::count(
        &mut client,
        "SELECT count(*) FROM decide.decision AS d WHERE d.blocked IS DISTINCT FROM '{a6}'",
    )?;
    ensure!(
        busy >= (OTHERS * (EACH - 8)) as i64,
        "{busy} decisions knew that it was busy, {others} did not"
    );
    for holder in &mut holders {
        holder.batch_execute("ROLLBACK")?;
    }
    // They let go of it: all of it can be had again, soon.
    std::thread::sleep(Duration::from_millis(1_100));
    let answers = decide(database, "a6")?;
    ensure!(
        answers.wanted > OTHERS * EACH / 12,
        "{} got it when it was free",
        answers.wanted
    );
    super::agree(&mut client)?;
    Ok(())
}

/// A shop whose best action has a budget of two rows.
fn open(client: &mut Client, selection: &str, params: &str) -> Result<()> {
    shop::open(client)?;
    client.batch_execute(
        "INSERT INTO decide.cap (cap, action, per, max_count, stripes) VALUES ('a6', 'a6', 'all', 100000, 2)",
    )?;
    shop::choose_by(client, selection, params, 1)
}

/// A transaction that has been shown a6 and stays open. Each takes another row of the counter.
fn holding(database: &Database) -> Result<Client> {
    let mut client = database.connect()?;
    for _ in 0..200 {
        client.batch_execute("BEGIN")?;
        let row = client.query_one("SELECT action FROM decide('holder', 'home')", &[])?;
        if row.get::<_, String>(0) == "a6" {
            return Ok(client);
        }
        client.batch_execute("ROLLBACK")?;
    }
    anyhow::bail!("a6 was not shown in 200 decisions")
}

struct Answers {
    wanted: usize,
    median: Duration,
}

/// The others decide; how many got that action, and how long half of them took at most.
fn decide(database: &Database, wanted: &str) -> Result<Answers> {
    let clients = (0..OTHERS)
        .map(|_| database.connect())
        .collect::<Result<Vec<_>>>()?;
    let mut answers: Vec<(Duration, bool)> = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                scope.spawn(move || -> Result<Vec<(Duration, bool)>> {
                    let mut all = Vec::new();
                    for i in 0..EACH {
                        let begun = Instant::now();
                        let user = format!("user {i} of {number}");
                        let row = client
                            .query_one("SELECT action FROM decide($1::text, 'home')", &[&user])?;
                        all.push((begun.elapsed(), row.get::<_, String>(0) == wanted));
                    }
                    Ok(all)
                })
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().expect("a client panicked")?);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    answers.sort();
    Ok(Answers {
        wanted: answers.iter().filter(|(_, wanted)| *wanted).count(),
        median: answers[answers.len() / 2].0,
    })
}
