//! Decisions by many clients at once: scenarios, each of them one run of pgbench.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupt::Cleanup;
use crate::run;
use crate::temporary::{Database, TemporaryServer};

/// How much is decided.
#[derive(Clone, Copy)]
pub struct Size {
    pub decisions: u64,
    pub clients: u32,
    /// No run takes longer; what was decided by then is judged.
    pub longest: Duration,
}

/// What goes on beside decisions, until they are over.
pub type Companion = fn(&Database, &AtomicBool) -> Result<()>;

/// One way to decide: clients that run a script again and again. What fails to serialize is tried again.
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    /// Policy tables; ends with a publish.
    pub setup: &'static str,
    /// Script for pgbench.
    pub script: &'static str,
    /// Settings of its sessions.
    pub options: &'static str,
    /// Part of the decisions asked for, where each takes longer.
    pub share: f64,
    /// Times the clients asked for.
    pub crowd: u32,
    /// Whether each decision is the first of its session.
    pub new_sessions: bool,
    /// Whether commits wait for the disk; else they don't wait at all.
    pub durable: bool,
    pub beside: Option<Companion>,
}

impl Scenario {
    /// What most of them have.
    pub const USUAL: Scenario = Scenario {
        name: "",
        what: "",
        setup: "",
        script: "",
        options: "",
        share: 1.0,
        crowd: 1,
        new_sessions: false,
        durable: false,
        beside: None,
    };

    /// The one of that name.
    pub fn find(all: &'static [Scenario], name: &str) -> Result<&'static Scenario> {
        let mut all = all.iter();
        all.find(|scenario| scenario.name == name)
            .with_context(|| format!("there is no scenario {name}"))
    }

    /// Sets it up, after what several have in common.
    pub fn set_up(&self, database: &Database, common: &str) -> Result<()> {
        let mut client = database.connect()?;
        client
            .batch_execute(&format!("{common}{}", self.setup))
            .context("the scenario cannot be set up")
    }

    /// Lets pgbench decide, with whatever goes on beside it; returns runs of the script per second.
    pub fn decide(&self, database: &Database, size: Size) -> Result<f64> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let over = &over;
            let beside = self.beside;
            let beside = beside.map(|beside| scope.spawn(move || beside(database, over)));
            let outcome = self.run_pgbench(database, size);
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

    fn run_pgbench(&self, database: &Database, size: Size) -> Result<f64> {
        let decisions = (size.decisions as f64 * self.share) as u64;
        let clients = u64::from(size.clients * self.crowd);
        let script = database
            .server
            .scratch(&database.name)?
            .join(format!("{}.sql", self.name));
        fs::write(&script, self.script)?;
        let durable = self.durable.then(|| Durable(database));
        durable.as_ref().map_or(Ok(()), Durable::begin)?;
        let commits = if self.durable { "on" } else { "off" };
        let mut command = database.client("pgbench");
        command
            .env(
                "PGOPTIONS",
                format!("-c synchronous_commit={commits} {}", self.options),
            )
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .arg("--max-tries=1000")
            .arg(format!("--client={clients}"))
            .arg(format!("--transactions={}", (decisions / clients).max(1)))
            .args(self.new_sessions.then_some("--connect"))
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
        let said = [read(child.stdout.take()), read(child.stderr.take())];
        let begun = Instant::now();
        let mut ended = false;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if !ended && begun.elapsed() > size.longest {
                end();
                ended = true;
            }
            thread::sleep(Duration::from_millis(20));
        };
        on_interrupt.disarm();
        let said: String = said
            .into_iter()
            .map(|stream| stream.join().unwrap_or_default())
            .collect();
        if ended {
            return Ok(f64::NAN);
        }
        if !status.success() {
            bail!("pgbench failed ({status}):\n{}", run::tail(&said, 20));
        }
        let rate = said.lines().find_map(|line| {
            let rate = line.strip_prefix("tps = ")?;
            rate.split_whitespace().next()?.parse().ok()
        });
        ensure!(rate.is_some(), "pgbench tells no rate:\n{said}");
        Ok(rate.unwrap_or_default())
    }
}

/// Runs scenarios of a campaign one after the other, each in a database of its own; returns what failed.
pub fn run_each(
    server: &TemporaryServer,
    campaign: &str,
    scenarios: &[&Scenario],
    size: Size,
    run: impl Fn(&Database, &Scenario) -> Result<()>,
) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    for scenario in scenarios {
        println!("\n{}: {}", scenario.name, scenario.what);
        let database = server.create_database()?;
        if let Err(error) = run(&database, scenario) {
            println!("  FAILED: {error:#}");
            println!(
                "  again: cargo dev campaign {campaign} --pg {} --only {} --decisions {} --clients {} --minutes {}",
                server.install.major,
                scenario.name,
                size.decisions,
                size.clients,
                size.longest.as_secs() / 60
            );
            failed.push(format!("{}: {error:#}", scenario.name));
        }
    }
    Ok(failed)
}

/// Collects what a stream brings.
fn read(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_string(&mut text);
        }
        text
    })
}

/// A server that waits for its disk at each commit, as long as this lives.
struct Durable<'a>(&'a Database<'a>);

impl Durable<'_> {
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
