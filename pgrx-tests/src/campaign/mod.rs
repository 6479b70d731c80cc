//! `cargo dev campaign`: long tests with chance in them, each on a temporary server of its own. A small form of each
//! runs among the checks of `cargo dev test`.

pub mod bias;
pub mod caps;
mod load;
pub mod rights;
pub mod windows;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use indicatif::HumanDuration;

use load::{Scenario, Size};

use crate::extension;
use crate::install::{Profile, Target};
use crate::setup;
use crate::temporary::TemporaryServer;
use crate::workspace::Workspace;

/// Which test, and how much of it.
#[derive(Args)]
pub struct Options {
    /// What is tested
    #[arg(value_enum)]
    campaign: Campaign,
    /// Test the release build
    #[arg(long)]
    release: bool,
    /// Only scenarios whose name contains this; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Decisions per scenario [default: 600000 of bias, 200000 of windows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    decisions: Option<u64>,
    /// caps, rights: sequences
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    seeds: u64,
    /// caps, rights: seed of the first sequence
    #[arg(long, value_name = "S", default_value_t = 1)]
    first_seed: u64,
    /// Clients that decide side by side; of caps and rights, sequences that are played side by side [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=128))]
    clients: Option<u32>,
    /// Minutes that a scenario may take; what was decided by then is judged
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Campaign {
    /// Logged probabilities against what was chosen, where counters are busy
    Bias,
    /// Caps and what events tell, against plain arithmetic, by random sequences
    Caps,
    /// Consents, regions, erasures and rotations, against plain arithmetic, by random sequences
    Rights,
    /// Caps over short windows, by the moments that traces tell
    Windows,
}

impl Options {
    /// The scenarios that are wanted, by their names.
    fn wanted<'a>(&self, all: &'a [Scenario]) -> Result<Vec<&'a Scenario>> {
        let wants = |scenario: &&Scenario| {
            let mut only = self.only.iter();
            self.only.is_empty() || only.any(|part| scenario.name.contains(part.as_str()))
        };
        let scenarios: Vec<_> = all.iter().filter(wants).collect();
        ensure!(!scenarios.is_empty(), "no scenario has such a name");
        Ok(scenarios)
    }

    /// How much is decided, with this as the default.
    fn size(&self, decisions: u64) -> Size {
        Size {
            decisions: self.decisions.unwrap_or(decisions),
            clients: self.clients.unwrap_or(8),
            longest: Duration::from_secs(60 * self.minutes),
        }
    }
}

/// Builds the extension, starts a server, runs the campaign; the exit code tells whether all of it held.
pub fn run(workspace: &Workspace, target: &Target, options: &Options) -> Result<ExitCode> {
    let ready = setup::ensure(workspace, std::slice::from_ref(target))?;
    let profile = match options.release {
        true => Profile::Release,
        false => Profile::Dev,
    };
    let major = ready.install(target, profile)?.major;
    // Nobody replaces the extension below our server.
    let _lock = workspace.lock(&match profile {
        Profile::Release => "cluster".to_owned(),
        Profile::Dev => format!("test-pg{major}"),
    })?;
    let install = extension::install(workspace, &ready, target, profile)?;
    let server = TemporaryServer::start(&install)?;
    let begun = Instant::now();
    let failed = match options.campaign {
        Campaign::Bias => {
            let scenarios = options.wanted(bias::SCENARIOS)?;
            bias::campaign(&server, &scenarios, options.size(600_000))?
        }
        Campaign::Caps => {
            let seeds = caps::Seeds {
                first: options.first_seed,
                number: options.seeds,
                at_once: options.clients.unwrap_or(8),
            };
            caps::campaign(&server, seeds)?
        }
        Campaign::Rights => {
            let seeds = caps::Seeds {
                first: options.first_seed,
                number: options.seeds,
                at_once: options.clients.unwrap_or(4),
            };
            rights::campaign(&server, seeds)?
        }
        Campaign::Windows => {
            let scenarios = options.wanted(windows::SCENARIOS)?;
            windows::campaign(&server, &scenarios, options.size(200_000))?
        }
    };
    println!("\ndone in {}", HumanDuration(begun.elapsed()));
    for line in &failed {
        println!("failed: {line}");
    }
    Ok(match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
