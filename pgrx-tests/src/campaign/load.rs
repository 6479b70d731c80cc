//! Decisions by many clients at once: one run of pgbench.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupt::Cleanup;
use crate::run;
use crate::temporary::Database;

/// No run takes longer; what was decided by then is judged.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// How much is decided.
#[derive(Clone, Copy)]
pub struct Size {
    pub decisions: u64,
    pub clients: u32,
}

/// Clients that run one script again and again. What fails to serialize is tried again.
pub struct Load<'a> {
    pub name: &'a str,
    pub script: &'a str,
    /// Settings of the sessions.
    pub options: &'a str,
    /// Whether each run of the script is the first of its session.
    pub new_sessions: bool,
    /// Whether commits wait for the disk; else they don't wait at all.
    pub durable: bool,
    pub size: Size,
}

impl Load<'_> {
    /// Runs it to its end; returns runs of the script per second.
    pub fn run(&self, database: &Database) -> Result<f64> {
        let script = database
            .server
            .scratch(&database.name)?
            .join(format!("{}.sql", self.name));
        fs::write(&script, self.script)?;
        let durable = self.durable.then(|| Durable(database));
        durable.as_ref().map_or(Ok(()), Durable::begin)?;
        let commits = if self.durable { "on" } else { "off" };
        let clients = u64::from(self.size.clients);
        let mut command = database.client("pgbench");
        command
            .env(
                "PGOPTIONS",
                format!("-c synchronous_commit={commits} {}", self.options),
            )
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .arg("--max-tries=1000")
            .arg(format!("--client={clients}"))
            .arg(format!(
                "--transactions={}",
                (self.size.decisions / clients).max(1)
            ))
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
            if !ended && begun.elapsed() > LONGEST {
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
