//! cargo-pgrx, which builds and installs the extension.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::debian;
use crate::run;
use crate::workspace::Workspace;

/// The version that goes with the extension's pgrx.
pub const VERSION: &str = "0.18.1";

/// Finds cargo-pgrx of the right version, or builds it. One of another version stays as it is, and
/// ours goes into target/ beside it.
pub fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let private = workspace.target("tools");
    let ours = private.join("bin/cargo-pgrx");
    let users = debian::find_program("cargo-pgrx");
    for candidate in [Some(ours.clone()), users.clone()].into_iter().flatten() {
        if version_of(&candidate).is_some_and(|version| version == VERSION) {
            return Ok(candidate);
        }
    }
    let mut install = run::command("cargo");
    install.args(["install", "cargo-pgrx", "--version", VERSION, "--locked"]);
    if users.is_some() {
        install.arg("--root").arg(&private);
    }
    run::step(
        &mut install,
        &format!("installing cargo-pgrx {VERSION} (some minutes)"),
    )
    .with_context(|| {
        format!("install it by hand: cargo install cargo-pgrx --version {VERSION} --locked")
    })?;
    if users.is_some() {
        return Ok(ours);
    }
    debian::find_program("cargo-pgrx")
        .context("cargo-pgrx was installed, but cargo's bin folder is not on your PATH")
}

/// What a cargo-pgrx says that it is.
fn version_of(program: &PathBuf) -> Option<String> {
    let said = run::output(run::command(program).args(["pgrx", "--version"])).ok()?;
    said.split_whitespace().last().map(str::to_owned)
}
