//! What comes from the system: packages, programs, and the user that servers run as.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::run;
use crate::user::{self, SERVER_USER};

/// Installs packages when we are root on a Debian-like system; otherwise says what to do by hand.
pub fn ensure_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !has_program("apt-get") {
        bail!("not installed: {list} (so they are called on Debian 12); install these by hand");
    }
    if !user::is_root() {
        bail!("not installed: {list}; call this first: sudo apt-get install {list}");
    }
    let by_hand = || format!("install by hand: apt-get update && apt-get install {list}");
    let apt = |words: &[&str]| {
        let mut command = run::command("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(words);
        command
    };
    run::step(&mut apt(&["update"]), "updating the list of packages").with_context(by_hand)?;
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(packages);
    run::step(&mut apt(&words), &format!("installing {list}")).with_context(by_hand)
}

/// As root, makes sure that there is somebody else to run servers.
pub fn ensure_server_user() -> Result<()> {
    if !user::is_root() || user::server_user()?.is_some() {
        return Ok(());
    }
    let mut create = run::command("useradd");
    create.args([
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
    ]);
    run::step(
        create.arg(SERVER_USER),
        &format!("creating the system user {SERVER_USER}"),
    )
    .context("servers do not run as root; create a user by this name or work as an ordinary user")
}

/// Whether a program is on the search path.
pub fn has_program(name: &str) -> bool {
    find_program(name).is_some()
}

/// Where a program is, on the search path or among cargo's programs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    std::env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}
