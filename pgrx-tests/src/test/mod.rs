//! `cargo dev test`: every test of the product, in one order, with one count at the end.

mod lint;
mod report;
mod suite;
mod unit;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::checks::{self, Check};
use crate::extension;
use crate::install::{Profile, Target};
use crate::run::tail;
use crate::setup::{self, Ready};
use crate::temporary::{TemporaryServer, log_since};
use crate::workspace::Workspace;
use report::Report;
use suite::Suite;

/// What the user asked for.
pub struct Wishes {
    pub only: Vec<String>,
    pub accept: bool,
    pub list: bool,
}

impl Wishes {
    /// Whether a test of this full name is to run.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

/// Runs what is wanted on these servers; the exit code tells whether all passed.
pub fn run(workspace: &Workspace, targets: &[Target], wishes: &Wishes) -> Result<ExitCode> {
    let ready = setup::ensure(workspace, targets)?;
    let plans = targets
        .iter()
        .map(|target| Plan::new(workspace, &ready, target, wishes))
        .collect::<Result<Vec<_>>>()?;
    let lints: Vec<lint::Lint> = lint::all(&ready, targets)?
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
    let mut report = Report::default();
    for lint in &lints {
        report.record(&lint.name, || lint.run(workspace, ready.tools()));
    }
    for plan in &plans {
        if let Err(error) = plan.run(&mut report, wishes.accept) {
            report.record(&format!("{}/server", plan.label), || Err(error));
        }
    }
    for name in &upgrades {
        report.record(name, || upgrade_to_newest(workspace));
    }
    if report.is_empty() {
        bail!("no test has such a name; `cargo dev test --list` names them");
    }
    Ok(report.close())
}

/// From the oldest version to the newest one, of which both have the extension of this checkout.
const UPGRADE: &str = "pg18/upgrade/from_15";
const OLDEST: Target = Target::Private(15);
const NEWEST: Target = Target::Private(18);

fn upgrade_to_newest(workspace: &Workspace) -> Result<()> {
    let ready = setup::ensure(workspace, &[OLDEST, NEWEST])?;
    let _locks = [workspace.lock("test-pg15")?, workspace.lock("test-pg18")?];
    let install = |target| extension::install(workspace, &ready, target, Profile::Dev);
    let (old, new) = (install(&OLDEST)?, install(&NEWEST)?);
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
        let checks = checks::ALL
            .iter()
            .map(|(name, check)| (format!("{label}/checks/{name}"), *check))
            .filter(|(name, _)| wishes.wants(name))
            .collect();
        let unit = unit::Unit::wanted(&label, &wishes.only);
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

    /// Runs them: first those that bring their own server, then the others on one of ours.
    fn run(&self, report: &mut Report, accept: bool) -> Result<()> {
        // The next run would replace the extension below our server.
        let _lock = self.workspace.lock(&format!("test-{}", self.label))?;
        if let Some(unit) = &self.unit {
            let install = self.ready.install(self.target, Profile::Dev)?;
            unit.run(self.workspace, self.ready.tools(), install, report)?;
        }
        if self.suites.is_empty() && self.checks.is_empty() {
            return Ok(());
        }
        let install = extension::install(self.workspace, self.ready, self.target, Profile::Dev)?;
        let server = TemporaryServer::start(&install)?;
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
        Ok(())
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
