//! Drivers and what they run on: fetched into target/ by the tools that this machine has, or missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;
use crate::setup::wheel;
use crate::workspace::Workspace;

const PYTHON: &str = include_str!("../../../drivers/python.txt");
const NODE: [(&str, &str); 2] = [
    (
        "package.json",
        include_str!("../../../drivers/package.json"),
    ),
    (
        "package-lock.json",
        include_str!("../../../drivers/package-lock.json"),
    ),
];
/// PgBouncer with its libraries, and the driver for JDBC.
const DEBIAN: &str = "pgbouncer libevent-2.1-7 libc-ares2 libpostgresql-jdbc-java";

/// Whether a program answers when it is asked for its version.
pub fn has(program: &str) -> bool {
    run::output(run::command(program).arg("--version")).is_ok()
}

/// The folder of the drivers for Python.
pub fn python(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if !wheel::pip_works() {
        return Ok(None);
    }
    let version = run::output(run::command("python3").arg("--version"))?;
    let stamp = format!("{version}{PYTHON}");
    let fill = |folder: &Path| {
        let list = folder.join("requirements.txt");
        fs::write(&list, PYTHON)?;
        let options = "-m pip --disable-pip-version-check --retries=1 install --no-deps \
                       --only-binary=:all: --require-hashes --progress-bar=off --no-compile";
        let mut pip = run::command("python3");
        pip.args(options.split_whitespace())
            .arg("--target")
            .arg(folder)
            .arg("--requirement")
            .arg(&list);
        run::step(&mut pip, "installing drivers for Python")
    };
    Ok(if_there(
        "drivers for Python",
        filled(workspace, "drivers-python", &stamp, fill),
    ))
}

/// The folder of the drivers for Node.
pub fn node(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if !has("node") || !has("npm") {
        return Ok(None);
    }
    let fill = |folder: &Path| {
        for (name, text) in NODE {
            fs::write(folder.join(name), text)?;
        }
        let mut npm = run::command("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(folder);
        run::step(&mut npm, "installing drivers for Node")
    };
    let folder = if_there(
        "drivers for Node",
        filled(workspace, "drivers-node", NODE[1].1, fill),
    );
    Ok(folder.map(|folder| folder.join("node_modules")))
}

/// The folder in which Debian's packages are unpacked, which takes no root. Where apt has none of them there is none.
pub fn debian(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if !has("apt-get") || !has("dpkg-deb") {
        return Ok(None);
    }
    let mut known = run::command("apt-cache");
    if run::output(known.arg("show").args(DEBIAN.split(' '))).is_err() {
        return Ok(None);
    }
    let fill = |folder: &Path| {
        let mut apt: Command = run::command("apt-get");
        apt.arg("download")
            .args(DEBIAN.split(' '))
            .current_dir(folder);
        run::step(&mut apt, "downloading PgBouncer and JDBC")?;
        for entry in fs::read_dir(folder)? {
            let package = entry?.path();
            if package.extension().is_some_and(|found| found == "deb") {
                let mut unpack = run::command("dpkg-deb");
                run::output(unpack.arg("--extract").arg(&package).arg(folder))?;
                fs::remove_file(package)?;
            }
        }
        Ok(())
    };
    Ok(if_there(
        "PgBouncer and JDBC",
        filled(workspace, "drivers-debian", DEBIAN, fill),
    ))
}

/// A folder, unless it could not be filled: a machine without a way to these packages lacks them, as one without Node does.
fn if_there(what: &str, folder: Result<PathBuf>) -> Option<PathBuf> {
    folder
        .inspect_err(|error| println!("{what} cannot be had here: {error:#}"))
        .ok()
}

/// A folder that was filled for what the stamp says; it is filled anew where the stamp has changed.
fn filled(
    workspace: &Workspace,
    name: &str,
    stamp: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let _lock = workspace.lock("drivers")?;
    // PgBouncer runs as the server's user.
    let folder = workspace.home(name);
    let mark = folder.join("stamp");
    if fs::read_to_string(&mark).is_ok_and(|found| found == stamp) {
        return Ok(folder);
    }
    let partial = folder.with_extension("partial");
    for old in [&folder, &partial] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(&partial)?;
    fill(&partial).with_context(|| format!("cannot fill {}", folder.display()))?;
    fs::write(partial.join("stamp"), stamp)?;
    fs::rename(&partial, &folder)?;
    Ok(folder)
}
