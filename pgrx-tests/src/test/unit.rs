//! Unit tests, and the tests that pgrx runs inside a server of its own.

use std::fs;

use anyhow::Result;

use super::report::Report;
use crate::install::Install;
use crate::interrupt::Cleanup;
use crate::run;
use crate::setup::Tools;
use crate::temporary::temporary_folder;
use crate::user;
use crate::workspace::Workspace;

/// The extension's own tests on one version.
pub struct Unit {
    pub name: String,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

impl Unit {
    /// These tests, if wanted; a wish like `unit/decay` narrows them down.
    pub fn wanted(label: &str, only: &[String]) -> Option<Self> {
        let name = format!("{label}/unit");
        let narrowed = only.iter().find_map(|part| {
            let (suite, filter) = part.split_once("unit/")?;
            (format!("{label}/").ends_with(suite)).then(|| filter.to_owned())
        });
        let wanted = only.is_empty() || only.iter().any(|part| name.contains(part.as_str()));
        (wanted || narrowed.is_some()).then_some(Self {
            name,
            filter: narrowed.filter(|_| !wanted),
        })
    }

    /// Runs them through pgrx and counts what the test programs report.
    pub fn run(
        &self,
        workspace: &Workspace,
        tools: &Tools,
        install: &Install,
        report: &Report,
    ) -> Result<()> {
        let folder = temporary_folder()?;
        let _cleanup = Cleanup::new({
            let (folder, install) = (folder.clone(), install.clone());
            move || {
                stop_leftovers(&folder, &install);
                let _ = fs::remove_dir_all(folder);
            }
        });
        let feature = format!("pg{}", install.major);
        let mut cargo = tools.cargo(workspace);
        cargo.args(["pgrx", "test", &feature]).args(&self.filter);
        cargo.args([
            "--package",
            "pg_decide",
            "--no-default-features",
            "--features",
            &feature,
        ]);
        cargo.arg("--pgdata").arg(&folder);
        if user::is_root() {
            cargo.args(["--runas", user::SERVER_USER]);
        }
        let watched = run::watch(&mut cargo, &self.name)?;
        let (passed, failed) = counts(&watched.output);
        if passed > 0 {
            report.pass_many(&self.name, passed, watched.elapsed);
        }
        for name in &failed {
            report.fail(&format!("{}/{name}", self.name), watched.elapsed, "");
        }
        if !watched.success {
            let log = workspace.target(&format!("test-{feature}-unit.log"));
            fs::write(&log, &watched.output)?;
            let why = failures(&watched.output);
            let why = format!("{why}\nall output: {}", log.display());
            if failed.is_empty() {
                report.fail(&self.name, watched.elapsed, &why);
            } else {
                run::print(&why);
            }
        }
        Ok(())
    }
}

/// The number of passed tests, and the names of those that failed.
fn counts(output: &str) -> (usize, Vec<String>) {
    let passed = output
        .lines()
        .filter_map(|line| {
            line.split_once("test result: ")?
                .1
                .split_once(". ")?
                .1
                .split_once(" passed")
        })
        .filter_map(|(count, _)| count.parse::<usize>().ok())
        .sum();
    let failed = output
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .map(str::to_owned)
        .collect();
    (passed, failed)
}

/// The part of the output that explains the failures.
fn failures(output: &str) -> String {
    let from = output.find("\nfailures:\n").unwrap_or(0);
    run::tail(&output[from..], 150)
}

/// Stops a server that pgrx left running because it was interrupted.
fn stop_leftovers(folder: &std::path::Path, install: &Install) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().join("postmaster.pid").exists() {
            let mut stop = user::command(install.program("pg_ctl"));
            stop.args(["--mode", "immediate", "--wait", "stop", "--pgdata"])
                .arg(entry.path());
            let _ = run::output(&mut stop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Unit, counts};

    #[test]
    fn counts_every_test_program() {
        let output = "test a ... ok\ntest b ... FAILED\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n";
        assert_eq!(counts(output), (4, vec!["b".to_owned()]));
    }

    #[test]
    fn a_wish_narrows_the_tests_down() {
        let filter = |only: &str| Unit::wanted("pg18", &[only.to_owned()]).map(|unit| unit.filter);
        assert_eq!(filter("unit"), Some(None));
        assert_eq!(filter("unit/decay"), Some(Some("decay".into())));
        assert_eq!(filter("pg18/unit/decay"), Some(Some("decay".into())));
        assert_eq!(filter("pg15/unit/decay"), None);
        assert_eq!(filter("regress"), None);
    }
}
