//! SQL suites and isolation specs, run by PostgreSQL's own drivers and compared with what they
//! should print.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::{self, tail};
use crate::server::SUPERUSER;
use crate::temporary::TemporaryServer;
use crate::workspace::Workspace;

/// A kind of test that PostgreSQL brings a driver for.
struct Kind {
    folder: &'static str,
    sources: &'static str,
    extension: &'static str,
    driver: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        folder: "regress",
        sources: "sql",
        extension: "sql",
        driver: "regress/pg_regress",
    },
    Kind {
        folder: "isolation",
        sources: "specs",
        extension: "spec",
        driver: "isolation/pg_isolation_regress",
    },
];

/// One file of SQL or one isolation spec.
pub struct Suite {
    /// Such as pg18/regress/features.
    pub name: String,
    stem: String,
    folder: PathBuf,
    driver: &'static str,
}

impl Suite {
    /// All that there are, in alphabetical order within their kind.
    pub fn collect(workspace: &Workspace, label: &str) -> Result<Vec<Self>> {
        let mut suites = Vec::new();
        for kind in &KINDS {
            let folder = workspace.root().join("pgrx-tests").join(kind.folder);
            for stem in stems(&folder.join(kind.sources), kind.extension)? {
                let name = format!("{label}/{}/{stem}", kind.folder);
                suites.push(Self {
                    name,
                    stem,
                    folder: folder.clone(),
                    driver: kind.driver,
                });
            }
        }
        Ok(suites)
    }

    /// Runs it in a fresh database with the extension; fails with the difference.
    pub fn run(&self, server: &TemporaryServer, accept: bool) -> Result<()> {
        let database = server.create_database()?;
        let results = server.scratch(&self.name)?;
        let mut driver = run::command(server.install.test_driver(self.driver)?);
        driver
            .current_dir(&results)
            // Policies of tests have much that has no effect; the test policy_warnings asks for what is said of that.
            .env("PGOPTIONS", "-c pg_decide.publish_warnings=off")
            .arg(option("inputdir", &self.folder))
            .arg(option("outputdir", &results))
            .arg(option("bindir", &server.install.program("")))
            .arg(option("host", server.sockets()))
            .arg(format!("--port={}", server.port()))
            .args([
                &format!("--user={SUPERUSER}"),
                &format!("--dbname={}", database.name),
            ])
            .args(["--use-existing", &self.stem]);
        let outcome = run::output(&mut driver);
        let printed = results
            .join("results")
            .join(&self.stem)
            .with_extension("out");
        let expected = self
            .folder
            .join("expected")
            .join(&self.stem)
            .with_extension("out");
        if accept && printed.is_file() {
            fs::create_dir_all(self.folder.join("expected"))?;
            fs::copy(&printed, &expected)
                .with_context(|| format!("cannot write {}", expected.display()))?;
            return Ok(());
        }
        let Err(error) = outcome else { return Ok(()) };
        if !expected.is_file() {
            let text = fs::read_to_string(&printed).unwrap_or_default();
            bail!(
                "there is no expected output yet; if this is right, accept it with --accept:
{}",
                tail(&text, 200)
            );
        }
        match fs::read_to_string(results.join("regression.diffs")) {
            Ok(difference) => bail!("{}", tail(&difference, 300)),
            Err(_) => Err(error),
        }
    }
}

/// An option with a path.
fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(format!("--{name}="));
    text.push(path);
    text
}

/// The names of the files with this extension, without it.
fn stems(folder: &Path, extension: &str) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut stems = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            stems.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    stems.sort();
    Ok(stems)
}
