//! `cargo dev bench`: decisions beside the least that any implementation must do, and beside the same
//! decision written by hand in SQL. All run interleaved on one server, so that ratios hold where
//! absolute numbers do not.

mod database;
mod goals;
mod machine;
mod pgbench;
mod plan;
mod report;
mod results;
mod sessions;

use std::io::IsTerminal;

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::cluster;
use crate::install::Target;
use crate::workspace::Workspace;

use database::{Database, Purpose};
use machine::Machine;
use pgbench::Bench;
use plan::{Databases, Plan, Set};
use results::{Measured, Results};

/// Users in the database in which everything is compared.
pub const USERS: u64 = 100_000;

/// How much is measured.
#[derive(Args)]
pub struct Options {
    /// Only what matters most, in four minutes: 8 clients, few rounds, 100 thousand users
    #[arg(long)]
    quick: bool,
    /// Seconds that each run is measured, after a warm-up [default: 3, or 2 if quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    seconds: Option<u32>,
    /// Rounds; medians are taken over them [default: 5, or 3 if quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Users in the large database, which is built once [default: 2000000, or none if quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(100_000..))]
    users: Option<u64>,
    /// Only sets whose title contains this, such as sizes, tracking, "8 clients", "commit off"; repeatable
    #[arg(long, value_name = "TITLE")]
    only: Vec<String>,
}

impl Options {
    /// Whether a set of this title is measured.
    fn wants(&self, title: &str) -> bool {
        let mut only = self.only.iter();
        self.only.is_empty() || only.any(|part| title.contains(part.as_str()))
    }
}

/// Builds what is measured, measures it, and prints how it compares. A missed goal is no failure.
pub fn run(workspace: &Workspace, target: &Target, options: &Options) -> Result<()> {
    let server = cluster::running(workspace, target, false)?;
    // Nobody restarts the server meanwhile.
    let _lock = workspace.lock("cluster")?;
    let small = Database::ensure(&server, USERS, Purpose::Compare)?;
    let many = options
        .users
        .or((!options.quick).then_some(2_000_000))
        .map(|users| Database::ensure(&server, users, Purpose::Many))
        .transpose()?;
    let tracks = [false, true].into_iter().any(|durable| {
        let of_sessions = |clients| sessions::tracking_title(clients, durable);
        let titles = sessions::CLIENTS.into_iter().map(of_sessions);
        let mut titles = titles.chain([plan::tracking_title(durable)]);
        titles.any(|title| options.wants(&title))
    });
    let track = tracks
        .then(|| Database::ensure(&server, USERS, Purpose::Track))
        .transpose()?;
    let features = plan::FEATURES
        .into_iter()
        .filter(|_| options.wants(plan::OF_FEATURES))
        .map(|number| Database::ensure(&server, USERS, Purpose::Features(number)))
        .collect::<Result<Vec<_>>>()?;
    let elsewhere = options
        .wants(plan::SIZES_OF_CAPS)
        .then(|| Database::ensure(&server, USERS, Purpose::Caps(plan::ELSEWHERE)))
        .transpose()?;
    let actions = sessions::ACTIONS
        .into_iter()
        .filter(|_| options.wants(sessions::FIRST))
        .map(|number| Database::ensure(&server, USERS, Purpose::Actions(number)))
        .collect::<Result<Vec<_>>>()?;
    let databases = Databases {
        small: &small,
        many: many.as_ref(),
        track: track.as_ref(),
        elsewhere: elsewhere.as_ref(),
        features: &features,
        actions: &actions,
    };
    let seconds = options.seconds.unwrap_or(if options.quick { 2 } else { 3 });
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 5 });
    let mut plan = Plan::new(&databases, options.quick);
    plan.sets.retain(|set| options.wants(&set.title));
    ensure!(!plan.sets.is_empty(), "no set has a title like that");

    let bench = Bench::new(&server, workspace, seconds);
    let mut results = Results::new(&server, &small, rounds, seconds)?;
    let machine = Machine::now();
    let progress =
        Progress::new(plan.sets.iter().map(|set| set.work.len()).sum::<usize>() * rounds as usize);
    for set in &plan.sets {
        measure(set, rounds, &bench, &mut results, &progress)
            .with_context(|| format!("cannot measure {}", set.title))?;
    }
    progress.finish();
    results.machine = machine.since();
    results.trace_bytes = small.trace_bytes(&server)?;
    for database in std::iter::once(&small).chain(&many) {
        results
            .state_bytes
            .push((database.users, database.state_bytes));
        database.settle(&server)?;
    }
    report::print(&results);
    let file = results.save(workspace)?;
    println!("\nEvery run is in {}", file.display());
    Ok(())
}

/// Measures one set, round by round, each beginning with another workload.
fn measure(
    set: &Set,
    rounds: u32,
    bench: &Bench,
    results: &mut Results,
    progress: &Progress,
) -> Result<()> {
    for database in set.databases() {
        database.settle(bench.server)?;
    }
    for work in &set.work {
        work.check(bench.server)?;
    }
    for round in 0..rounds {
        for place in 0..set.work.len() {
            let work = &set.work[(place + round as usize) % set.work.len()];
            progress.begin(&format!(
                "{}, round {}: {}",
                set.title,
                round + 1,
                work.name
            ));
            let run = bench.run(work, set.clients, set.durable)?;
            progress.end(run.tps);
            results.runs.push(Measured::new(set, work, round, &run));
        }
    }
    for database in set.databases() {
        let note = database.check_traces(bench.server)?;
        results
            .notes
            .extend(note.map(|note| format!("{}: {note}", set.title)));
    }
    Ok(())
}

/// A bar over all runs; where there is no terminal, one line for each.
struct Progress {
    bar: ProgressBar,
    plain: bool,
}

impl Progress {
    /// A bar of so many runs.
    fn new(runs: usize) -> Self {
        let style =
            ProgressStyle::with_template("{wide_bar} {pos} of {len} runs, {eta} left\n{msg}")
                .expect("the template is well formed");
        Self {
            bar: ProgressBar::new(runs as u64).with_style(style),
            plain: !std::io::stderr().is_terminal(),
        }
    }

    /// Names the run that begins.
    fn begin(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        if self.plain {
            eprint!(
                "{}/{}  {what}",
                self.bar.position() + 1,
                self.bar.length().unwrap_or(0)
            );
        }
    }

    /// Notes how a run came out.
    fn end(&self, tps: f64) {
        self.bar.inc(1);
        if self.plain {
            eprintln!("  {}/s", HumanCount(tps as u64));
        }
    }

    /// Takes the bar away.
    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
