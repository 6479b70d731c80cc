//! PostgreSQL 15: private copies of Debian's packages, which find their files relative to
//! themselves as long as the folders below usr/ keep their places.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run;
use crate::workspace::Workspace;

const PROGRAMS: &str = "usr/lib/postgresql/15";
const SHARED: &str = "usr/share/postgresql/15";
const HEADERS: &str = "usr/include/postgresql";

/// The pg_config of a copy.
pub fn pg_config(copy: &Path) -> PathBuf {
    copy.join(PROGRAMS).join("bin/pg_config")
}

/// The packages that are not installed.
pub fn missing_packages() -> Vec<&'static str> {
    let programs = Path::new("/").join(PROGRAMS);
    let headers = Path::new("/").join(HEADERS);
    [
        ("postgresql-15", vec![programs.join("bin/postgres")]),
        (
            "postgresql-server-dev-15",
            vec![
                programs.join("lib/pgxs/src/test/isolation/pg_isolation_regress"),
                headers.join("15/server/postgres.h"),
            ],
        ),
    ]
    .into_iter()
    .filter(|(_, files)| !files.iter().all(|file| file.is_file()))
    .map(|(package, _)| package)
    .collect()
}

/// Makes the copies for both profiles, anew when Debian's packages have changed.
pub fn ensure(workspace: &Workspace) -> Result<()> {
    for name in ["15", "15-dev"] {
        let copy = workspace.home("pg").join(name);
        if stamp(&copy) != stamp(Path::new("/")) {
            make(&copy)
                .with_context(|| format!("cannot copy PostgreSQL 15 to {}", copy.display()))?;
            eprintln!("made a private copy of PostgreSQL 15 in {}", copy.display());
        }
    }
    Ok(())
}

/// Copies programs and shared files; headers only need a link.
fn make(copy: &Path) -> Result<()> {
    let partial = copy.with_extension("partial");
    for folder in [copy, &partial] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    for folder in [PROGRAMS, SHARED] {
        let destination = partial.join(folder);
        let parent = destination
            .parent()
            .context("a folder below usr/ has a parent")?;
        fs::create_dir_all(parent)?;
        run::output(
            run::command("cp")
                .arg("-a")
                .arg(Path::new("/").join(folder))
                .arg(parent),
        )?;
    }
    fs::create_dir_all(partial.join("usr/include"))?;
    symlink(Path::new("/").join(HEADERS), partial.join(HEADERS))?;
    fs::rename(&partial, copy)?;
    Ok(())
}

/// Size and age of the server's program, which differ between releases and not between copies.
fn stamp(root: &Path) -> Option<(u64, std::time::SystemTime)> {
    let found = fs::metadata(root.join(PROGRAMS).join("bin/postgres")).ok()?;
    Some((found.len(), found.modified().ok()?))
}
