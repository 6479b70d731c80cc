//! `cargo dev test`: every test of the product, with one count at the end.
//!
//! cargo builds one thing after the other, since it locks target/. What is built is tested at once, in a thread and on a
//! server of its version, while cargo goes on with the next version and with the lints: tests mostly wait, and builds
//! take the processors that they leave.

mod lint;
mod report;
mod suite;
mod unit;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::checks::{self, Check};
use crate::extension;
use crate::install::{Install, Profile, Target};
use crate::run::tail;
use crate::setup::{self, Ready};
use crate::temporary::{TemporaryServer, log_since};
use crate::workspace::Workspace;
use report::Report;
use suite::Suite;

/// What the user asked for.
pub struct Wishes {
    /// Whether a version was named: then all of its tests run.
    pub named: bool,
    pub only: Vec<String>,
    pub accept: bool,
    pub list: bool,
}

impl Wishes {
    /// Whether a test of this full name is to run.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    /// Whether only the SQL suites run on a version: where none was named, on one between the oldest and the newest.
    fn only_suites(&self, target: &Target) -> bool {
        !self.named && ![OLDEST, NEWEST].contains(target)
    }
}

/// Runs what is wanted on these servers; the exit code tells whether all passed.
pub fn run(workspace: &Workspace, targets: &[Target], wishes: &Wishes) -> Result<ExitCode> {
    let ready = setup::ensure(workspace, targets)?;
    // First what takes longest: all tests of the newest version, and of the oldest one.
    let (some, mut all): (Vec<&Target>, Vec<&Target>) = targets
        .iter()
        .rev()
        .partition(|target| wishes.only_suites(target));
    let checked = all.clone();
    all.extend(some);
    let plans = all
        .iter()
        .map(|target| Plan::new(workspace, &ready, target, wishes))
        .collect::<Result<Vec<_>>>()?;
    let lints: Vec<lint::Lint> = lint::all(&ready, &checked)?
        .into_iter()
        .filter(|lint| wishes.wants(&lint.name))
        .collect();
    let upgrades: Vec<&str> = [UPGRADE]
        .into_iter()
        .filter(|name| targets.contains(&NEWEST) && wishes.wants(name))
        .collect();
    if wishes.list {
        lints.iter().for_each(|lint| println!("{}", lint.name));
        plans.iter().for_each(Plan::list);
        upgrades.iter().for_each(|name| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    let report = Report::default();
    thread::scope(|scope| {
        let report = &report;
        let mut built = Vec::new();
        for plan in &plans {
            match plan.build(report) {
                Ok(Some(build)) => {
                    built.push((plan.target, build.install.clone()));
                    scope.spawn(move || plan.run(build, report, wishes.accept));
                }
                Ok(None) => {}
                Err(error) => report.record(&format!("{}/build", plan.label), || Err(error)),
            }
        }
        for lint in &lints {
            report.record(&lint.name, || lint.run(workspace, ready.tools()));
        }
        for name in &upgrades {
            report.record(name, || upgrade_to_newest(workspace, &built));
        }
    });
    if report.is_empty() {
        bail!("no test has such a name; `cargo dev test --list` names them");
    }
    Ok(report.close())
}

/// From the oldest version to the newest one, of which both have the extension of this checkout.
const UPGRADE: &str = "pg18/upgrade/from_15";
const OLDEST: Target = Target::Private(15);
const NEWEST: Target = Target::Private(18);

/// Builds what was not built for the tests of its version.
fn upgrade_to_newest(workspace: &Workspace, built: &[(&Target, Install)]) -> Result<()> {
    let ready = setup::ensure(workspace, &[OLDEST, NEWEST])?;
    let mut locks = Vec::new();
    let mut install = |target: &Target, name: &str| match built.iter().find(|b| b.0 == target) {
        Some((_, install)) => Ok(install.clone()),
        None => {
            locks.push(workspace.lock(name)?);
            extension::install(workspace, &ready, target, Profile::Dev)
        }
    };
    let (old, new) = (
        install(&OLDEST, "test-pg15")?,
        install(&NEWEST, "test-pg18")?,
    );
    checks::upgrade::carries_over(&old, &new)
}

/// The tests of one server version.
struct Plan<'a> {
    workspace: &'a Workspace,
    ready: &'a Ready,
    target: &'a Target,
    label: String,
    unit: Option<unit::Unit>,
    suites: Vec<Suite>,
    checks: Vec<(String, Check)>,
}

/// An installation with the extension in it, which nobody replaces as long as this is there.
struct Build {
    install: Install,
    _lock: File,
}

impl<'a> Plan<'a> {
    /// Collects the tests that are wanted.
    fn new(
        workspace: &'a Workspace,
        ready: &'a Ready,
        target: &'a Target,
        wishes: &Wishes,
    ) -> Result<Self> {
        let label = format!("pg{}", ready.install(target, Profile::Dev)?.major);
        let suites = Suite::collect(workspace, &label)?
            .into_iter()
            .filter(|suite| wishes.wants(&suite.name))
            .collect();
        let whole = !wishes.only_suites(target);
        let checks = checks::ALL
            .iter()
            .map(|(name, check)| (format!("{label}/checks/{name}"), *check))
            .filter(|(name, _)| whole && wishes.wants(name))
            .collect();
        let unit = unit::Unit::wanted(&label, &wishes.only).filter(|_| whole);
        Ok(Self {
            workspace,
            ready,
            target,
            label,
            unit,
            suites,
            checks,
        })
    }

    /// Prints the names.
    fn list(&self) {
        let unit = self.unit.iter().map(|unit| &unit.name);
        let suites = self.suites.iter().map(|suite| &suite.name);
        let checks = self.checks.iter().map(|(name, _)| name);
        unit.chain(suites)
            .chain(checks)
            .for_each(|name| println!("{name}"));
    }

    /// Runs the tests that are built into the extension, then builds it as it is shipped, if there are tests for that.
    fn build(&self, report: &Report) -> Result<Option<Build>> {
        let _lock = self.workspace.lock(&format!("test-{}", self.label))?;
        if let Some(unit) = &self.unit {
            let install = self.ready.install(self.target, Profile::Dev)?;
            unit.run(self.workspace, self.ready.tools(), install, report)?;
        }
        if self.suites.is_empty() && self.checks.is_empty() {
            return Ok(None);
        }
        let install = extension::install(self.workspace, self.ready, self.target, Profile::Dev)?;
        Ok(Some(Build { install, _lock }))
    }

    /// Runs all others, one after the other, on a server of ours.
    fn run(&self, build: Build, report: &Report, accept: bool) {
        let server = match TemporaryServer::start(&build.install) {
            Ok(server) => server,
            Err(error) => return report.record(&format!("{}/server", self.label), || Err(error)),
        };
        for suite in &self.suites {
            report.record(&suite.name, || suite.run(&server, accept));
        }
        for (name, check) in &self.checks {
            report.record(name, || run_check(&server, *check));
        }
        if !self.checks.is_empty() {
            let name = format!("{}/no_deadlock", self.label);
            report.record(&name, || no_deadlock(&server));
        }
    }
}

/// Runs one check in a fresh database; a failure comes with what the server logged meanwhile.
fn run_check(server: &TemporaryServer, check: Check) -> Result<()> {
    server
        .reset()
        .context("the server does not come back to its usual state")?;
    let logged = server.log_length();
    let begun = Instant::now();
    let database = server.create_database()?;
    let outcome = catch_unwind(AssertUnwindSafe(|| check(&database)))
        .unwrap_or_else(|panic| bail!("{}", panic_message(panic.as_ref())));
    outcome.map_err(|error| {
        let log = log_since(&server.log_file(), logged);
        let log = tail(&log, 25);
        anyhow::anyhow!(
            "{error:#}\nafter {:.1?}; the server's log:\n{log}",
            begun.elapsed()
        )
    })
}

/// None of the tests so far has run into a deadlock, whether somebody noticed or not.
fn no_deadlock(server: &TemporaryServer) -> Result<()> {
    let log = log_since(&server.log_file(), 0);
    match log.find("deadlock detected") {
        None => Ok(()),
        Some(place) => bail!("{}", tail(&log[..log.len().min(place + 2_000)], 25)),
    }
}

/// What a failed assertion said.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".into())
}
