//! Logged probabilities where counters are busy: over the decisions in which an action could be had, the mean of
//! 1[it was chosen] / p(it) is 1, whoever else takes from the same counters meanwhile.

mod companions;
mod judge;
mod scenarios;

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupt::Cleanup;
use crate::run;
use crate::table::Table;
use crate::temporary::{Database, TemporaryServer};
use judge::Verdict;
pub use scenarios::{SCENARIOS, Scenario};

/// How much is decided.
#[derive(Clone, Copy)]
pub struct Size {
    pub decisions: u64,
    pub clients: u32,
}

/// No scenario takes longer; what was decided by then is judged.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// Runs scenarios one after the other, each in a database of its own; returns what failed.
pub fn campaign(
    server: &TemporaryServer,
    scenarios: &[&Scenario],
    size: Size,
) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    for scenario in scenarios {
        println!("\n{}: {}", scenario.name, scenario.what);
        let database = server.create_database()?;
        let outcome = decide(&database, scenario, size).and_then(|tps| {
            let verdict = Verdict::of(&mut database.connect()?)?;
            print(&verdict, tps);
            verdict.check()
        });
        if let Err(error) = outcome {
            println!("  FAILED: {error:#}");
            println!(
                "  again: cargo dev campaign bias --pg {} --only {} --decisions {} --clients {}",
                server.install.major, scenario.name, size.decisions, size.clients
            );
            failed.push(format!("{}: {error:#}", scenario.name));
        }
    }
    Ok(failed)
}

/// The small form: one scenario as a check.
pub fn check(database: &Database, name: &str) -> Result<()> {
    let scenario = SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .with_context(|| format!("there is no scenario {name}"))?;
    let size = Size {
        decisions: 40_000,
        clients: 8,
    };
    decide(database, scenario, size)?;
    let verdict = Verdict::of(&mut database.connect()?)?;
    verdict.check().with_context(|| verdict.lines().join("\n"))
}

/// Prints what came out of a scenario.
fn print(verdict: &Verdict, tps: f64) {
    let share = |part: i64| part as f64 / verdict.decisions.max(1) as f64;
    println!(
        "  {} decisions, {tps:.0}/s, {:.3} % with a reason, {:.2} % found something busy",
        verdict.decisions,
        100.0 * share(verdict.with_reason),
        100.0 * share(verdict.busy)
    );
    let mut table = Table::new(&[
        "slot",
        "action",
        ">n",
        ">chosen",
        ">expected",
        ">mean",
        ">z",
        ">z of n",
    ]);
    for row in &verdict.actions {
        table.row([
            row.slot.to_string(),
            row.action.clone(),
            row.possible.to_string(),
            row.chosen.to_string(),
            format!("{:.1}", row.expected),
            format!("{:.4}", row.mean()),
            format!("{:.2}", row.z()),
            format!("{:.2}", row.z_of_count()),
        ]);
    }
    table.print("  ");
    for slot in &verdict.slots {
        println!(
            "  slot {}: chi-square {:.1} of {} degrees of freedom, likelihood {:.2e}",
            slot.slot, slot.statistic, slot.freedom, slot.likelihood
        );
    }
}

/// Sets the scenario up and lets pgbench decide, with whatever goes on beside it; returns the rate.
fn decide(database: &Database, scenario: &Scenario, size: Size) -> Result<f64> {
    let mut client = database.connect()?;
    client
        .batch_execute(&format!("{}{}", scenarios::COMMON, scenario.setup))
        .context("the scenario cannot be set up")?;
    let durable = scenario.durable.then(|| Durable::new(database));
    durable.as_ref().map_or(Ok(()), Durable::begin)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = &over;
        let beside = scenario
            .beside
            .map(|beside| scope.spawn(move || beside(database, over)));
        let outcome = pgbench(database, scenario, size);
        over.store(true, Ordering::Relaxed);
        if let Some(beside) = beside {
            beside
                .join()
                .expect("what goes on beside it does not panic")
                .context("what goes on beside the decisions failed")?;
        }
        outcome
    })
}

/// Runs pgbench to its end.
fn pgbench(database: &Database, scenario: &Scenario, size: Size) -> Result<f64> {
    let clients = u64::from(size.clients) * u64::from(scenario.crowd);
    let each = ((size.decisions as f64 * scenario.share) as u64 / clients).max(1);
    let script = database
        .server
        .scratch(&database.name)?
        .join(format!("{}.sql", scenario.name));
    fs::write(&script, scenario.script)?;
    let options = format!("-c synchronous_commit=off {}", scenario.options);
    let options = match scenario.durable {
        true => scenario.options,
        false => &options,
    };
    let mut command = database.client("pgbench");
    command
        .env("PGOPTIONS", options)
        .args([
            "--no-vacuum",
            "--protocol=prepared",
            "--jobs=2",
            "--max-tries=1000",
        ])
        .arg(format!("--client={clients}"))
        .arg(format!("--transactions={each}"))
        .args(scenario.new_sessions.then_some("--connect"))
        .arg("--file")
        .arg(&script)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run pgbench")?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let end = move || {
        let _ = kill(pid, Signal::SIGTERM);
    };
    let on_interrupt = Cleanup::new(end);
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let said = thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout
            .as_mut()
            .map(|stream| std::io::Read::read_to_string(stream, &mut text));
        text
    });
    let complained = thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr
            .as_mut()
            .map(|stream| std::io::Read::read_to_string(stream, &mut text));
        text
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > LONGEST {
            end();
            child.wait()?;
            on_interrupt.disarm();
            return Ok(f64::NAN);
        }
        thread::sleep(Duration::from_millis(20));
    };
    on_interrupt.disarm();
    let said = said.join().unwrap_or_default();
    let complained = complained.join().unwrap_or_default();
    if !status.success() {
        bail!(
            "pgbench failed ({status}):\n{}",
            run::tail(&format!("{said}{complained}"), 20)
        );
    }
    let tps = said.lines().find_map(|line| {
        let rate = line.strip_prefix("tps = ")?;
        rate.split_whitespace().next()?.parse().ok()
    });
    ensure!(tps.is_some(), "pgbench tells no rate:\n{said}");
    Ok(tps.unwrap_or_default())
}

/// A server that waits for its disk at each commit, as long as this lives.
struct Durable<'a>(&'a Database<'a>);

impl<'a> Durable<'a> {
    fn new(database: &'a Database<'a>) -> Self {
        Self(database)
    }

    fn begin(&self) -> Result<()> {
        self.set("SET fsync = on")
    }

    fn set(&self, what: &str) -> Result<()> {
        let mut client = self.0.connect()?;
        client.batch_execute(&format!("ALTER SYSTEM {what}"))?;
        client.batch_execute("SELECT pg_catalog.pg_reload_conf()")?;
        Ok(())
    }
}

impl Drop for Durable<'_> {
    fn drop(&mut self) {
        let _ = self.set("RESET fsync");
    }
}
