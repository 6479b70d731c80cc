//! What was measured, its medians and ratios, and the file that keeps it.

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};
use serde::Serialize;

use super::database::Database;
use super::pgbench::Run;
use super::plan::{Set, Work};
use crate::server::Server;
use crate::workspace::Workspace;

/// One run of one workload.
#[derive(Serialize)]
pub struct Measured {
    pub set: String,
    pub workload: String,
    pub clients: u32,
    pub synchronous_commit: bool,
    pub candidates: u32,
    pub slots: u32,
    /// Decisions of a transaction.
    pub decisions: u32,
    pub users: u64,
    pub round: u32,
    pub tps: f64,
    pub latency_ms: f64,
    pub cpu_us: Option<f64>,
    pub p99_ms: Option<f64>,
    pub own_kb: Option<f64>,
}

impl Measured {
    /// Puts a run beside its conditions.
    pub fn new(set: &Set<'_>, work: &Work<'_>, round: u32, run: &Run) -> Self {
        Self {
            set: set.title.clone(),
            workload: work.name.clone(),
            clients: set.clients,
            synchronous_commit: set.durable,
            candidates: work.candidates,
            slots: work.slots,
            decisions: work.decisions,
            users: work.database.users,
            round,
            tps: run.tps,
            latency_ms: run.latency_ms,
            cpu_us: run.cpu_us,
            p99_ms: run.p99_ms,
            own_kb: run.own_kb,
        }
    }
}

impl Measured {
    fn cpu_of_decision(&self) -> Option<f64> {
        Some(self.cpu_us? / f64::from(self.decisions))
    }
}

/// All runs, and where they were made.
#[derive(Serialize)]
pub struct Results {
    pub at: String,
    pub postgresql: String,
    pub processors: usize,
    pub settings: Vec<(String, String)>,
    /// The state of the machine meanwhile.
    pub machine: String,
    /// What else is to be known of sets.
    pub notes: Vec<String>,
    pub rounds: u32,
    pub seconds: u32,
    /// Bytes of a trace row, by who wrote it.
    pub trace_bytes: Vec<(String, i64)>,
    /// Bytes of the states of so many users.
    pub state_bytes: Vec<(u64, u64)>,
    pub runs: Vec<Measured>,
}

/// One workload of a set, over all rounds.
pub struct Summary<'a> {
    pub first: &'a Measured,
    pub tps: f64,
    pub min: f64,
    pub max: f64,
    pub latency_ms: f64,
    pub p99_ms: Option<f64>,
    pub cpu_us: Option<f64>,
}

/// A ratio over all rounds.
pub struct Ratio {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Results {
    /// Nothing measured yet, on this server.
    pub fn new(server: &Server, database: &Database, rounds: u32, seconds: u32) -> Result<Self> {
        let mut client = database.connect(server)?;
        let at = client.query_one(
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"')",
            &[],
        )?;
        let settings = client.query(
            "SELECT name, current_setting(name) FROM pg_catalog.pg_settings
              WHERE name IN ('shared_buffers', 'huge_pages_status', 'max_wal_size', 'fsync', 'full_page_writes', 'wal_sync_method') ORDER BY name",
            &[],
        )?;
        Ok(Self {
            at: at.get(0),
            postgresql: server.install.version.clone(),
            processors: thread::available_parallelism().map_or(0, usize::from),
            settings: settings
                .iter()
                .map(|row| (row.get(0), row.get(1)))
                .collect(),
            machine: String::new(),
            notes: Vec::new(),
            rounds,
            seconds,
            trace_bytes: Vec::new(),
            state_bytes: Vec::new(),
            runs: Vec::new(),
        })
    }

    /// One summary per workload and set, in the order in which they were measured first.
    pub fn summaries(&self) -> Vec<Summary<'_>> {
        let first = self.runs.iter().enumerate().filter(|(place, run)| {
            !self.runs[..*place]
                .iter()
                .any(|earlier| (&earlier.set, &earlier.workload) == (&run.set, &run.workload))
        });
        first.map(|(_, run)| self.summary(run)).collect()
    }

    /// The medians over all rounds of what a run belongs to.
    fn summary<'a>(&'a self, first: &'a Measured) -> Summary<'a> {
        let runs = || self.rounds_of(&first.set, &first.workload);
        let tps: Vec<f64> = runs().map(|run| run.tps).collect();
        Summary {
            first,
            min: tps.iter().copied().fold(f64::INFINITY, f64::min),
            max: tps.iter().copied().fold(0.0, f64::max),
            tps: median(tps).unwrap_or(0.0),
            latency_ms: median(runs().map(|run| run.latency_ms).collect()).unwrap_or(0.0),
            p99_ms: median(runs().filter_map(|run| run.p99_ms).collect()),
            cpu_us: median(runs().filter_map(|run| run.cpu_us).collect()),
        }
    }

    /// How many times as many decisions a workload makes as another one of its set; of what makes one each,
    /// transactions.
    pub fn ratio(&self, set: &str, workload: &str, to: &str) -> Option<Ratio> {
        let per_second = |run: &Measured| run.tps * f64::from(run.decisions);
        self.compare(set, workload, to, |run, other| {
            Some(per_second(run) / per_second(other))
        })
    }

    /// How many times as much processor time the other one takes for a decision.
    pub fn cpu_ratio(&self, set: &str, workload: &str, to: &str) -> Option<Ratio> {
        self.compare(set, workload, to, |run, other| {
            Some(other.cpu_of_decision()? / run.cpu_of_decision()?)
        })
    }

    /// The processor time of a decision, in microseconds, over all rounds.
    pub fn cpu_of_decision(&self, set: &str, workload: &str) -> Option<Ratio> {
        self.compare(set, workload, workload, |run, _| run.cpu_of_decision())
    }

    /// What a workload measures, over all rounds.
    pub fn of(
        &self,
        set: &str,
        workload: &str,
        what: impl Fn(&Measured) -> Option<f64>,
    ) -> Option<Ratio> {
        self.compare(set, workload, workload, |run, _| what(run))
    }

    /// How much more of that a workload measures than another one of its set, over all rounds.
    pub fn difference(
        &self,
        set: &str,
        workload: &str,
        to: &str,
        what: impl Fn(&Measured) -> Option<f64>,
    ) -> Option<Ratio> {
        self.compare(set, workload, to, |run, other| {
            Some(what(run)? - what(other)?)
        })
    }

    /// Compares two workloads round by round.
    fn compare(
        &self,
        set: &str,
        workload: &str,
        to: &str,
        ratio: impl Fn(&Measured, &Measured) -> Option<f64>,
    ) -> Option<Ratio> {
        let others: Vec<&Measured> = self.rounds_of(set, to).collect();
        let ratios = self.rounds_of(set, workload).filter_map(|run| {
            let other = others.iter().find(|other| other.round == run.round)?;
            ratio(run, other)
        });
        let ratios: Vec<f64> = ratios.collect();
        Some(Ratio {
            min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            max: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            median: median(ratios)?,
        })
    }

    /// The runs of one workload of a set.
    fn rounds_of<'a>(
        &'a self,
        set: &'a str,
        workload: &'a str,
    ) -> impl Iterator<Item = &'a Measured> {
        self.runs
            .iter()
            .filter(move |run| run.set == set && run.workload == workload)
    }

    /// Writes everything to target/bench/.
    pub fn save(&self, workspace: &Workspace) -> Result<PathBuf> {
        let folder = workspace.target("bench");
        fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.json", self.at));
        fs::write(&file, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
