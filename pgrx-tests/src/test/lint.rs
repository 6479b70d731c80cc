//! Formatting and lints, with every warning an error, and the unit tests of the crates that need no server.

use anyhow::{Result, bail};

use crate::install::{Profile, Target};
use crate::run;
use crate::setup::{Ready, Tools};
use crate::workspace::Workspace;

/// One call of cargo that must succeed.
pub struct Lint {
    pub name: String,
    arguments: Vec<String>,
}

/// Formatting of everything, lints and tests of this crate and of the arithmetic, lints of the extension for each version.
pub fn all(ready: &Ready, targets: &[&Target]) -> Result<Vec<Lint>> {
    let mut lints = vec![
        Lint::new("lint/format", "fmt --all --check"),
        Lint::new(
            "lint/clippy-dev",
            "clippy --package pg_decide_dev --all-targets -- -D warnings",
        ),
        Lint::new(
            "lint/clippy-math",
            "clippy --package pg_decide_math --all-targets -- -D warnings",
        ),
        Lint::new("dev/unit", "test --package pg_decide_dev"),
        Lint::new("math/unit", "test --package pg_decide_math"),
    ];
    for target in targets {
        let label = format!("pg{}", ready.install(target, Profile::Dev)?.major);
        let clippy = format!(
            "clippy --package pg_decide --all-targets --no-default-features \
             --features {label},pg_test -- -D warnings"
        );
        lints.push(Lint::new(&format!("lint/clippy-{label}"), &clippy));
    }
    Ok(lints)
}

impl Lint {
    /// A call of cargo with these words.
    fn new(name: &str, arguments: &str) -> Self {
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Self {
            name: name.into(),
            arguments,
        }
    }

    /// Fails with what cargo said.
    pub fn run(&self, workspace: &Workspace, tools: &Tools) -> Result<()> {
        let mut cargo = tools.cargo(workspace);
        let watched = run::watch(cargo.args(&self.arguments), &self.name)?;
        if !watched.success {
            bail!(
                "cargo {}\n{}",
                self.arguments.join(" "),
                run::tail(&watched.output, 120)
            );
        }
        Ok(())
    }
}
