//! `cargo dev`: the one command of a developer of pg_decide.

mod bench;
mod campaign;
mod checks;
mod cluster;
mod demo;
#[cfg(test)]
mod errors;
mod extension;
mod install;
mod interrupt;
#[cfg(test)]
mod rooms;
mod run;
mod server;
mod setup;
mod status;
mod table;
mod temporary;
mod test;
mod user;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use install::Target;
use workspace::Workspace;

/// Private PostgreSQL servers with pg_decide in them, and every test.
///
/// All of it lives under target/; no system folder and no server of yours is touched.
/// Whatever is missing (cargo-pgrx, libclang, PostgreSQL) is installed on the first run,
/// which takes some minutes; later runs skip that in no time.
#[derive(Parser)]
#[command(
    name = "cargo dev",
    bin_name = "cargo dev",
    version,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing and say what is there
    ///
    /// The other commands do this themselves; use it to prepare a machine while there is network.
    Setup(Which),
    /// Build the extension (release), start a private server with it, print the URI
    ///
    /// The last line of standard output is a working postgresql:// URI. Calling it again builds
    /// what has changed, restarts the server only if it must, and prints the same URI.
    Start {
        #[command(flatten)]
        which: Which,
        /// Throw away the cluster with all its data and begin anew
        #[arg(long)]
        fresh: bool,
    },
    /// Stop the private server; its data stay
    Stop(Which),
    /// Open psql on the private server
    ///
    /// Further arguments go to psql: cargo dev psql -- -c "SELECT 1"
    Psql {
        #[command(flatten)]
        which: Which,
        /// Arguments for psql
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "PSQL_ARGS"
        )]
        args: Vec<String>,
    },
    /// Show the private servers: version, port, state, extension, size, jobs, folder
    Status(Which),
    /// Run every test, on PostgreSQL 15 and 18, and the SQL suites on 17
    ///
    /// For each version the unit tests and tests inside a server; then, against a temporary server, the
    /// SQL suites, the isolation specs, and the checks with real clients, while the next version is built.
    /// Then formatting and lints. The last line of output is "N passed, N failed".
    Test {
        /// The version to test, with all its tests; without it, all but 16 [possible values: 15, 16, 17, 18]
        #[arg(long, value_name = "VERSION", value_parser = major, conflicts_with = "pg_config")]
        pg: Option<u16>,
        /// Test on your own server instead, given by its pg_config
        #[arg(long, value_name = "PATH")]
        pg_config: Option<PathBuf>,
        /// Only tests whose name contains this, such as lint, unit, regress/features, checks; repeatable
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Take what regress and isolation now print as the expected output
        #[arg(long)]
        accept: bool,
        /// Name the tests and run none
        #[arg(long)]
        list: bool,
    },
    /// Show the product at work on a fashion shop's real traffic
    ///
    /// Learns from the log of a shop, puts a policy in force, sends it live requests, and prints
    /// what happened, how fast, and why. It works in a database of its own, made anew each time.
    Demo(Which),
    /// Measure decisions against hand-written SQL
    ///
    /// Runs pgbench on the private server, interleaved, with 1, 8 and 32 clients: `floor` does only
    /// the reads and writes that nobody can avoid, `hand` is the whole decision in PL/pgSQL, `decide`
    /// is decide(), `select` reads one row by its key. Then track(), one by one and in bulk, beside
    /// storing the same event by hand. Takes twenty minutes; every run is kept as JSON
    /// under target/bench/.
    Bench {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        options: bench::Options,
    },
    /// Run a long test with chance in it: probabilities under contention, caps, windows
    ///
    /// On a temporary server of its own, with the build of the tests unless --release is given. Prints a table of
    /// results, and for what failed how to see it again; fails if anything did. `bias` takes half an hour on two
    /// cores: over the decisions in which an action could be had, the mean of 1[it was chosen] / p(it) must be 1 within
    /// four standard errors, while others take from the same counters. `windows` takes ten minutes: no window of a cap
    /// holds more than its limit, by the moments that traces tell. `caps` takes an hour: decisions, events, changes of
    /// the policy, jobs and time in random sequences, each step compared with sums over a plain list of exposures; a
    /// failing one is made shorter and printed as a script for psql. `cargo dev test` runs a small form of each.
    Campaign {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        options: campaign::Options,
    },
}

/// The server that a command is about.
#[derive(Args)]
struct Which {
    /// PostgreSQL version [possible values: 15, 16, 17, 18] [default: 18]
    #[arg(long, value_name = "VERSION", value_parser = major, conflicts_with = "pg_config")]
    pg: Option<u16>,
    /// Use your own server's programs, given by its pg_config, instead of a private copy
    #[arg(long, value_name = "PATH")]
    pg_config: Option<PathBuf>,
}

impl Which {
    /// The chosen server, or the default one.
    fn target(self) -> Target {
        match (self.pg_config, self.pg) {
            (Some(pg_config), _) => Target::own(pg_config),
            (None, major) => Target::Private(major.unwrap_or(18)),
        }
    }

    /// The chosen server, or none if the user named none.
    fn named(self) -> Option<Target> {
        (self.pg.is_some() || self.pg_config.is_some()).then(|| self.target())
    }
}

/// Accepts the versions that set-up knows how to install.
fn major(text: &str) -> Result<u16, String> {
    match text {
        "15" => Ok(15),
        "16" => Ok(16),
        "17" => Ok(17),
        "18" => Ok(18),
        _ => Err("pg_decide runs on 15 to 18".into()),
    }
}

fn main() -> ExitCode {
    interrupt::listen();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {}", cause.to_string().replace('\n', "\n    "));
            }
            ExitCode::FAILURE
        }
    }
}

/// Carries out one command.
fn run(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup(which) => {
            let targets = which
                .named()
                .map_or_else(Target::all, |target| vec![target]);
            setup::ensure(&workspace, &targets)?.describe();
        }
        Command::Start { which, fresh } => {
            println!("{}", cluster::start(&workspace, &which.target(), fresh)?);
        }
        Command::Stop(which) => cluster::stop(&workspace, &which.target())?,
        Command::Psql { which, args } => cluster::psql(&workspace, &which.target(), &args)?,
        Command::Status(which) => status::show(&workspace, which.named())?,
        Command::Test {
            pg,
            pg_config,
            only,
            accept,
            list,
        } => {
            let named = pg.is_some() || pg_config.is_some();
            let targets = match (pg_config, pg) {
                (Some(pg_config), _) => vec![Target::own(pg_config)],
                (None, Some(major)) => vec![Target::Private(major)],
                (None, None) => Target::all(),
            };
            let wishes = test::Wishes {
                named,
                only,
                accept,
                list,
            };
            return test::run(&workspace, &targets, &wishes);
        }
        Command::Demo(which) => demo::run(&workspace, &which.target())?,
        Command::Bench { which, options } => bench::run(&workspace, &which.target(), &options)?,
        Command::Campaign { which, options } => {
            return campaign::run(&workspace, &which.target(), &options);
        }
    }
    Ok(ExitCode::SUCCESS)
}
