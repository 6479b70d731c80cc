//! Building the extension and putting it into a PostgreSQL installation.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::install::{Install, Profile, Target};
use crate::run;
use crate::setup::Ready;
use crate::workspace::Workspace;

/// Builds what has changed and installs it; cargo decides what that is.
pub fn install(
    workspace: &Workspace,
    ready: &Ready,
    target: &Target,
    profile: Profile,
) -> Result<Install> {
    let install = ready.install(target, profile)?.clone();
    let mut build = ready.tools().cargo(workspace);
    build.args(["pgrx", "install", "--no-default-features"]);
    build.args([
        "--package",
        "pg_decide",
        "--features",
        &format!("pg{}", install.major),
    ]);
    build.arg("--pg-config").arg(&install.pg_config);
    let kind = match profile {
        Profile::Release => "release",
        Profile::Dev => "dev",
    };
    if profile == Profile::Release {
        build.arg("--release");
    }
    let what = format!(
        "building pg_decide for PostgreSQL {} ({kind})",
        install.major
    );
    let watched = run::watch(&mut build, &what)?;
    if !watched.success {
        bail!("{what} failed:\n{}", run::tail(&watched.output, 200));
    }
    Ok(install)
}

/// What is installed, as two checksums.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Of the library, which a running server has loaded.
    pub library: String,
    /// Of the control file and scripts, with which a database has created the extension.
    pub scripts: String,
}

impl Fingerprint {
    /// Takes the checksums of what is installed.
    pub fn of(install: &Install) -> Result<Self> {
        let library = install.library();
        let content = fs::read(&library)
            .with_context(|| format!("the extension is not installed: {}", library.display()))?;
        let mut files = fs::read_dir(install.scripts())?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<PathBuf>>>()?;
        files.retain(|file| {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            name == "pg_decide.control" || name.starts_with("pg_decide--")
        });
        files.sort();
        let mut scripts = Sha256::new();
        for file in &files {
            scripts.update(fs::read(file)?);
        }
        Ok(Self {
            library: format!("{:x}", Sha256::digest(&content)),
            scripts: format!("{:x}", scripts.finalize()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::workspace::Workspace;

    /// What every script begins with, so that it takes in nothing from the target schema.
    const PIN: &str = "SET LOCAL search_path = pg_catalog, pg_temp;";

    /// Whether that is its first statement.
    fn is_pinned(script: &str) -> bool {
        let mut lines = script.lines().map(str::trim);
        lines.find(|line| !line.is_empty() && !line.starts_with("--")) == Some(PIN)
    }

    #[test]
    fn a_pin_comes_first() {
        assert!(is_pinned(&format!(
            "-- why\n\n  {PIN}\nCREATE TABLE decide.x ();"
        )));
        assert!(!is_pinned(""));
        assert!(!is_pinned(&format!("CREATE TABLE x ();\n{PIN}")));
        assert!(!is_pinned(&format!("-- {PIN}\nCREATE TABLE x ();")));
        assert!(!is_pinned("SET search_path = public;"));
    }

    #[test]
    fn every_script_is_pinned() {
        let folder = Workspace::find().unwrap().root().join("sql");
        let mut scripts = vec![folder.join("schema.sql")];
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if name.starts_with("pg_decide--") {
                scripts.push(path);
            }
        }
        for script in scripts {
            let text = fs::read_to_string(&script).unwrap();
            assert!(
                is_pinned(&text),
                "{} must begin with: {PIN}",
                script.display()
            );
        }
    }
}
