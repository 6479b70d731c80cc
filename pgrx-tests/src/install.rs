//! A PostgreSQL installation, as its pg_config describes it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::{AccessFlags, access};

use crate::run;
use crate::workspace::{Workspace, short_hash};

/// Which server the user means.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A private copy of this major version.
    Private(u16),
    /// The user's own programs, found by their pg_config.
    Own(PathBuf),
}

impl Target {
    /// The versions that are tested where none is named.
    pub fn all() -> Vec<Self> {
        [15, 17, 18].map(Self::Private).into()
    }

    /// The user's own server, whatever folder we are called from.
    pub fn own(pg_config: PathBuf) -> Self {
        Self::Own(std::path::absolute(&pg_config).unwrap_or(pg_config))
    }

    /// The folder that holds the cluster of this server.
    pub fn cluster_dir(&self, workspace: &Workspace) -> PathBuf {
        let name = match self {
            Self::Private(major) => major.to_string(),
            Self::Own(pg_config) => {
                format!(
                    "own-{}",
                    short_hash(pg_config.as_os_str().as_encoded_bytes())
                )
            }
        };
        workspace.home("cluster").join(name)
    }
}

/// How the extension is compiled; each profile has a private copy of PostgreSQL to live in, so
/// that tests never swap the library below a server in use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Release,
    Dev,
}

/// One PostgreSQL installation.
#[derive(Clone)]
pub struct Install {
    pub pg_config: PathBuf,
    pub major: u16,
    pub version: String,
    bin: PathBuf,
    libraries: PathBuf,
    share: PathBuf,
    pgxs: PathBuf,
}

impl Install {
    /// Asks a pg_config where everything is.
    pub fn describe(pg_config: &Path) -> Result<Self> {
        let printed = run::output(&mut run::command(pg_config))
            .with_context(|| format!("{} is not a working pg_config", pg_config.display()))?;
        let field = |name: &str| {
            printed
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix("= "))
                .with_context(|| format!("{} does not tell {name}", pg_config.display()))
        };
        let version = field("VERSION")?
            .trim_start_matches("PostgreSQL ")
            .to_owned();
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        let major = digits
            .parse()
            .with_context(|| format!("cannot read the version {version}"))?;
        if !(15..=18).contains(&major) {
            bail!("PostgreSQL {version} is not supported; pg_decide runs on 15 to 18");
        }
        Ok(Self {
            pg_config: pg_config.to_owned(),
            major,
            bin: field("BINDIR")?.into(),
            libraries: field("PKGLIBDIR")?.into(),
            share: field("SHAREDIR")?.into(),
            pgxs: field("PGXS")?.into(),
            version,
        })
    }

    /// A program such as psql or initdb.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The shared library of the extension.
    pub fn library(&self) -> PathBuf {
        self.libraries.join("pg_decide.so")
    }

    /// The folder with control files and SQL scripts.
    pub fn scripts(&self) -> PathBuf {
        self.share.join("extension")
    }

    /// A test driver that comes with the server's headers, such as regress/pg_regress.
    pub fn test_driver(&self, name: &str) -> Result<PathBuf> {
        let source = self
            .pgxs
            .ancestors()
            .nth(2)
            .context("pg_config tells no usable PGXS")?;
        let driver = source.join("test").join(name);
        if !driver.is_file() {
            bail!(
                "{} is missing; it comes with the server's development files",
                driver.display()
            );
        }
        Ok(driver)
    }

    /// Fails with advice when the extension cannot be installed here.
    pub fn check_writable(&self) -> Result<()> {
        for folder in [&self.libraries, &self.scripts()] {
            if access(folder, AccessFlags::W_OK).is_err() {
                bail!(
                    "you may not write to {}; leave --pg-config out to work on a private copy, \
                     or call this as a user who may",
                    folder.display()
                );
            }
        }
        Ok(())
    }
}
