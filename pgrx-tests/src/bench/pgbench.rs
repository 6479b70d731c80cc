//! One run of pgbench: its rate once it is warm, and the processor time that the server spends.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;

use super::plan::Work;
use super::results::median;
use crate::interrupt::Cleanup;
use crate::run;
use crate::server::Server;
use crate::workspace::Workspace;

/// How runs are made.
pub struct Bench<'a> {
    pub server: &'a Server,
    scripts: PathBuf,
    seconds: u32,
}

/// What one run gave.
pub struct Run {
    pub tps: f64,
    pub latency_ms: f64,
    /// The latency that 99 of 100 transactions keep within, of one in four that were noted.
    pub p99_ms: Option<f64>,
    /// Processor time of the server's sessions per transaction, where the system tells.
    pub cpu_us: Option<f64>,
    /// Memory of its own that a session has in the end, in kilobytes: the median over the sessions.
    pub own_kb: Option<f64>,
}

/// What pgbench reports each second.
struct Tick {
    seconds: f64,
    tps: f64,
    latency_ms: f64,
}

impl<'a> Bench<'a> {
    /// Measures this many seconds on a server.
    pub fn new(server: &'a Server, workspace: &Workspace, seconds: u32) -> Self {
        Self {
            server,
            scripts: workspace.root().join("pgrx-tests/bench"),
            seconds,
        }
    }

    /// Runs a script. The first seconds, in which each connection reads the bundle, do not count.
    pub fn run(&self, work: &Work<'_>, clients: u32, durable: bool) -> Result<Run> {
        let warm_up: u32 = 2;
        let log = tempfile::tempdir().context("cannot make a folder for the log of pgbench")?;
        let began = SystemTime::now();
        let sync = if durable { "on" } else { "off" };
        let mut command = self.server.client("pgbench", &work.database.name);
        command
            .env("PGOPTIONS", format!("-c synchronous_commit={sync}"))
            .args([
                "--no-vacuum",
                "--protocol=prepared",
                "--progress=1",
                "--jobs=2",
                "--log",
                "--sampling-rate=0.25",
            ])
            .arg(format!("--log-prefix={}", log.path().join("log").display()))
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", warm_up + self.seconds))
            .arg(format!("--define=users={}", work.database.users))
            .arg(format!("--define=surface={}", work.surface()))
            .arg("--file")
            .arg(self.scripts.join(format!("run-{}.sql", work.script)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if work.reconnects {
            command.arg("--connect");
        }
        let beside = work
            .beside
            .map(|sql| Beside::start(work.database.connect(self.server), sql));
        let mut child = command.spawn().context("cannot run pgbench")?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let on_interrupt = Cleanup::new(move || {
            let _ = kill(pid, Signal::SIGTERM);
        });
        let mut stdout = child.stdout.take().context("pgbench has no output")?;
        let summary = thread::spawn(move || {
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            text
        });
        let mut watch = Watch::new(self.server.connect("postgres")?, &work.database.name);
        let mut said = String::new();
        let stderr = child.stderr.take().context("pgbench has no output")?;
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            if let Some(tick) = Tick::parse(&line) {
                watch.note(tick, warm_up as usize)?;
            } else {
                said += &format!("{line}\n");
            }
        }
        let status = child.wait()?;
        on_interrupt.disarm();
        if let Some(beside) = beside {
            beside.stop()?;
        }
        said += &summary.join().unwrap_or_default();
        let all_went_through = said.contains("number of failed transactions: 0 ");
        if !status.success() || said.contains("ERROR") || !all_went_through {
            bail!("pgbench failed ({status}):\n{}", run::tail(&said, 20));
        }
        let mut run = watch.result(self.seconds as usize)?;
        let warm = began + Duration::from_secs(u64::from(warm_up));
        run.p99_ms = p99(log.path(), warm)?;
        Ok(run)
    }
}

/// A statement that another session runs each second, as long as this lives.
struct Beside {
    goes_on: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Beside {
    fn start(client: Result<Client>, sql: &'static str) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let flag = goes_on.clone();
        let thread = thread::spawn(move || {
            let mut client = client?;
            while flag.load(Ordering::Relaxed) {
                let began = Instant::now();
                client.batch_execute(sql)?;
                thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
            }
            Ok(())
        });
        Self { goes_on, thread }
    }

    fn stop(self) -> Result<()> {
        self.goes_on.store(false, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| bail!("what runs beside pgbench has panicked"))
    }
}

/// The 99th percentile of the latencies in the logs of that folder, in milliseconds, from that moment on.
fn p99(folder: &Path, from: SystemTime) -> Result<Option<f64>> {
    let from = from.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let mut found: Vec<u32> = Vec::new();
    for file in fs::read_dir(folder)? {
        let text = fs::read_to_string(file?.path())?;
        found.extend(text.lines().filter_map(|line| logged(line, from)));
    }
    let place = found.len().saturating_sub(1) * 99 / 100;
    let is_enough = found.len() >= 100;
    Ok(is_enough.then(|| f64::from(*found.select_nth_unstable(place).1) / 1000.0))
}

/// The microseconds of a line of the log, `client transaction microseconds script seconds …`, if it is of that time.
fn logged(line: &str, from: u64) -> Option<u32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let seconds: u64 = fields.get(4)?.parse().ok()?;
    (seconds >= from).then(|| fields[2].parse().ok())?
}

impl Tick {
    /// Reads `progress: 1.0 s, 9034.9 tps, lat 0.885 ms stddev 0.3, 0 failed`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.strip_prefix("progress: ")?.split(", ");
        let mut number = |unit: &str, prefix: &str| -> Option<f64> {
            let field = fields.next()?.trim_start_matches(prefix);
            field.split(unit).next()?.trim().parse().ok()
        };
        Some(Self {
            seconds: number(" s", "")?,
            tps: number(" tps", "")?,
            latency_ms: number(" ms", "lat ")?,
        })
    }
}

/// Collects what pgbench reports, and the processor time of the sessions at the same moments.
struct Watch {
    client: Client,
    database: String,
    ticks: Vec<Tick>,
    seen: usize,
    first: HashMap<i32, u64>,
    last: HashMap<i32, u64>,
    /// Memory of their own that the sessions had, in kilobytes, when all were there last.
    own_kb: Vec<f64>,
    /// Transactions between the first and the last look at the processor time.
    transactions: f64,
    begun_at: f64,
}

impl Watch {
    /// Watches the sessions in a database.
    fn new(client: Client, database: &str) -> Self {
        Self {
            client,
            database: database.into(),
            ticks: Vec::new(),
            seen: 0,
            first: HashMap::new(),
            last: HashMap::new(),
            own_kb: Vec::new(),
            transactions: 0.0,
            begun_at: 0.0,
        }
    }

    /// Takes one report; the first ones are warm-up.
    fn note(&mut self, tick: Tick, warm_up: usize) -> Result<()> {
        self.seen += 1;
        if self.seen < warm_up {
            return Ok(());
        }
        let spent = self.spent()?;
        if self.seen == warm_up {
            self.first = spent;
            self.begun_at = tick.seconds;
            return Ok(());
        }
        let length = tick.seconds - self.ticks.last().map_or(self.begun_at, |last| last.seconds);
        // Sessions that are gone already have been seen with nearly all of their time.
        if spent.len() == self.first.len() {
            self.own_kb = spent.keys().filter_map(|&pid| own_memory(pid)).collect();
            self.last = spent;
            self.transactions += tick.tps * length;
        }
        self.ticks.push(tick);
        Ok(())
    }

    /// The processor time of each session so far, in nanoseconds.
    fn spent(&mut self) -> Result<HashMap<i32, u64>> {
        let rows = self.client.query(
            "SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND application_name = 'pgbench'",
            &[&self.database],
        )?;
        let pids = rows.iter().map(|row| row.get::<_, i32>(0));
        Ok(pids
            .filter_map(|pid| Some((pid, processor_time(pid)?)))
            .collect())
    }

    /// The means over all that was reported after the warm-up.
    fn result(&self, seconds: usize) -> Result<Run> {
        let ticks = &self.ticks[..self.ticks.len().min(seconds)];
        ensure!(!ticks.is_empty(), "pgbench reported no progress");
        let before = std::iter::once(self.begun_at).chain(ticks.iter().map(|tick| tick.seconds));
        let lengths = ticks
            .iter()
            .zip(before)
            .map(|(tick, before)| tick.seconds - before);
        let (mut time, mut transactions, mut waited) = (0.0, 0.0, 0.0);
        for (tick, length) in ticks.iter().zip(lengths) {
            time += length;
            transactions += tick.tps * length;
            waited += tick.tps * length * tick.latency_ms;
        }
        ensure!(transactions > 0.0, "pgbench made no transactions");
        let spent = |pid: &i32| self.last.get(pid)?.checked_sub(*self.first.get(pid)?);
        let nanoseconds: u64 = self.last.keys().filter_map(spent).sum();
        Ok(Run {
            tps: transactions / time,
            latency_ms: waited / transactions,
            p99_ms: None,
            own_kb: median(self.own_kb.clone()),
            cpu_us: (nanoseconds > 0).then(|| nanoseconds as f64 / 1000.0 / self.transactions),
        })
    }
}

/// The nanoseconds that a process has run on a processor, as Linux tells them.
fn processor_time(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The kilobytes that no other process maps, as Linux tells them.
fn own_memory(pid: i32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kilobytes = text.lines().filter_map(|line| {
        let rest = line
            .strip_prefix("Private_Clean:")
            .or_else(|| line.strip_prefix("Private_Dirty:"))?;
        rest.trim().strip_suffix(" kB")?.parse::<f64>().ok()
    });
    Some(kilobytes.sum())
}

#[cfg(test)]
mod tests {
    use super::{Tick, logged};

    #[test]
    fn the_log_is_read() {
        let line = "3 17 1042 0 1764270000 123456";
        assert_eq!(logged(line, 1_764_270_000), Some(1042));
        assert_eq!(logged(line, 1_764_270_001), None);
        assert_eq!(logged("", 0), None);
    }

    #[test]
    fn progress_is_read() {
        let line = "progress: 2.0 s, 9034.9 tps, lat 0.885 ms stddev 0.301, 0 failed";
        let tick = Tick::parse(line).expect("it is well formed");
        assert_eq!(
            (tick.seconds, tick.tps, tick.latency_ms),
            (2.0, 9034.9, 0.885)
        );
        assert!(Tick::parse("pgbench (18.6)").is_none());
    }
}
