//! Budgets under fire: many clients, and each transaction ends in its own way.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::{crashes, shop};
use crate::server::Stop;
use crate::temporary::Database;

const CLIENTS: usize = 64;

/// So many answers in a row without an action of the campaign, and a client is done.
const ENOUGH: u32 = 40;

/// Most of all transactions, and the longest that a run may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A budget of 10,000 is spent to the last unit and not beyond, through all that happens.
pub fn of_a_campaign(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    open(
        &mut client,
        1,
        "INSERT INTO decide.cap (cap, campaign, per, max_count) VALUES ('spring', 'spring', 'all', 10000)",
    )?;
    let crashes = survive(database, "a1,a2,a3", &[2_000, 4_000, 6_000, 8_000, 9_900])?;
    ensure!(crashes == 5, "the server crashed {crashes} times");
    let mut client = database.connect()?;
    let spent = super::agree(&mut client)?;
    ensure!(
        spent[0].counted == 10_000,
        "{} of 10,000 were spent in the end",
        spent[0].counted
    );
    shop::replay_all(&mut client)?;
    Ok(())
}

/// Several slots, and several budgets on each decision, of which one counts cost and one is small.
pub fn of_many_caps_at_once(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    open(
        &mut client,
        3,
        "INSERT INTO decide.cap (cap, campaign, per, max_count) VALUES ('spring', 'spring', 'all', 3000);
         INSERT INTO decide.cap (cap, action, per, max_count) VALUES ('a1', 'a1', 'all', 700), ('few', 'a6', 'all', 15);
         INSERT INTO decide.cap (cap, surface, per, max_count) VALUES ('home', 'home', 'all', 6000);
         INSERT INTO decide.cap (cap, campaign, per, max_count, unit) VALUES ('cost', 'spring', 'all', 1000, 'cost');
         INSERT INTO decide.cap (cap, campaign, per, max_count, window_length) VALUES ('per user', 'spring', 'user', 40, '1 day')",
    )?;
    survive(database, "a1,a2,a3,a4,a5,a6", &[800, 2_000])?;
    let mut client = database.connect()?;
    // What is left is too little for anything that it limits.
    let spent = super::agree(&mut client)?;
    let left = |name: &str| {
        let found = spent.iter().find(|spent| spent.cap == name);
        found.map_or(-1, |spent| spent.limit - spent.counted)
    };
    ensure!(
        left("home") == 0,
        "{} exposures of the surface are left",
        left("home")
    );
    for name in ["spring", "a1", "few", "cost"] {
        ensure!(left(name) >= 0, "{name} is overspent by {}", -left(name));
    }
    ensure!(
        left("cost") < 200_000 || left("spring") == 0 || left("home") == 0,
        "nothing is shown, and nothing is used up"
    );
    shop::replay_all(&mut client)?;
    Ok(())
}

/// The shop, whose first three actions are of a campaign and cost something.
fn open(client: &mut Client, slots: i32, caps: &str) -> Result<()> {
    shop::open(client)?;
    client.batch_execute(
        "INSERT INTO decide.campaign (campaign) VALUES ('spring');
         UPDATE decide.action SET campaign = 'spring', cost = 0.1 + 0.15 * (attributes ->> 'value')::int WHERE action IN ('a1', 'a2', 'a3')",
    )?;
    client.batch_execute(caps)?;
    shop::choose_by(client, "uniform", "{}", slots)
}

/// Clients decide until none of them gets such an action any more, and the server crashes each time so
/// many exposures of the first cap are committed; answers how often it did.
fn survive(database: &Database, actions: &str, crashes_at: &[i64]) -> Result<usize> {
    let working = AtomicBool::new(true);
    let seen = AtomicI64::new(0);
    let crashed = std::thread::scope(|scope| -> Result<usize> {
        let (working, seen) = (&working, &seen);
        let threads: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || work(database, number, actions, working, seen)))
            .collect();
        let crashed = crash_on(database, crashes_at, || {
            threads.iter().all(|thread| thread.is_finished())
        });
        working.store(crashed.is_ok(), Ordering::Relaxed);
        for thread in threads {
            thread.join().expect("a client panicked")?;
        }
        crashed
    })?;
    Ok(crashed)
}

/// Crashes now a backend, now the server, and cancels what runs all the time, until the clients are done.
fn crash_on(database: &Database, crashes_at: &[i64], done: impl Fn() -> bool) -> Result<usize> {
    let (begun, mut crashed) = (Instant::now(), 0);
    let mut client = database.connect()?;
    while !done() {
        ensure!(
            begun.elapsed() < PATIENCE,
            "it takes longer than {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
        let looked = look(&mut client);
        let Ok((counted, pid)) = looked else {
            client = crashes::revive(database)?;
            continue;
        };
        if crashes_at.get(crashed).is_some_and(|&at| counted >= at) {
            match crashed % 3 {
                1 => database.server.stop(Stop::Immediate)?,
                _ => kill(Pid::from_raw(pid), Signal::SIGKILL)?,
            }
            crashed += 1;
        }
    }
    Ok(crashed)
}

/// What the first budget has, and one of the backends; and a few are cancelled.
fn look(client: &mut Client) -> Result<(i64, i32)> {
    let row = client.query_one(
        "SELECT (SELECT COALESCE(sum(s.ledger[2]), 0)::int8 FROM decide.budget_stripe AS s JOIN decide.cap_slot AS c USING (slot) WHERE c.cap = 'spring'), \
                (SELECT a.pid FROM pg_stat_activity AS a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() ORDER BY random() LIMIT 1), \
                (SELECT count(*) FILTER (WHERE pg_cancel_backend(a.pid)) FROM \
                   (SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 4) AS a)",
        &[],
    )?;
    let pid: Option<i32> = row.get(1);
    Ok((row.get(0), pid.context("no client is connected")?))
}

/// One client, who comes back when the connection breaks.
fn work(
    database: &Database,
    number: usize,
    actions: &str,
    working: &AtomicBool,
    seen: &AtomicI64,
) -> Result<()> {
    let mut chance = StdRng::seed_from_u64(number as u64);
    let mut without = 0;
    let mut client = None;
    while without < ENOUGH && working.load(Ordering::Relaxed) {
        let connected = match &mut client {
            Some(connected) => connected,
            None => match database.connect() {
                Ok(connected) => client.insert(connected),
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
            },
        };
        match transaction(connected, &mut chance, actions) {
            Ok(shown) if shown => {
                seen.fetch_add(1, Ordering::Relaxed);
                without = 0;
            }
            Ok(_) => without += 1,
            Err(error) => {
                ensure_expected(&error)?;
                if client
                    .as_mut()
                    .is_some_and(|c| c.is_closed() || c.batch_execute("ROLLBACK").is_err())
                {
                    client = None;
                }
            }
        }
    }
    Ok(())
}

/// One transaction, which ends as chance has it; whether the last answer had one of the actions.
fn transaction(
    client: &mut Client,
    chance: &mut StdRng,
    actions: &str,
) -> Result<bool, postgres::Error> {
    let user = format!("user {}", chance.random_range(0..400));
    let decide = |client: &mut Client| -> Result<bool, postgres::Error> {
        let row = client.query_one(
            "SELECT count(*) FILTER (WHERE d.reason IS NULL AND d.action = ANY (string_to_array($2, ','))) > 0 FROM decide($1::text, 'home') AS d",
            &[&user, &actions],
        )?;
        Ok(row.get(0))
    };
    match chance.random_range(0..10) {
        0..6 => decide(client),
        6 => {
            client.batch_execute("BEGIN")?;
            let shown = decide(client)?;
            client.batch_execute("ROLLBACK")?;
            Ok(shown)
        }
        7 => {
            client.batch_execute("BEGIN; SAVEPOINT s")?;
            decide(client)?;
            client.batch_execute("ROLLBACK TO s")?;
            let shown = decide(client)?;
            client.batch_execute("COMMIT")?;
            Ok(shown)
        }
        8 => {
            client.batch_execute("BEGIN; SAVEPOINT s")?;
            decide(client)?;
            client.batch_execute("RELEASE s")?;
            let shown = decide(client)?;
            client.batch_execute("COMMIT")?;
            Ok(shown)
        }
        _ => {
            client.batch_execute("BEGIN")?;
            let shown = decide(client)?;
            client.batch_execute("SELECT pg_sleep(0.005); COMMIT")?;
            Ok(shown)
        }
    }
}

/// Cancelled, or cut off: all else is a fault.
fn ensure_expected(error: &postgres::Error) -> Result<()> {
    match error.code().map(|code| code.code()) {
        None | Some("57014" | "57P01" | "57P02" | "57P03") => Ok(()),
        Some(_) => bail!("a client got {error:?}"),
    }
}
