//! The snippets of docs/drivers.md run as they stand, with the drivers that this machine can have.

mod pgbouncer;
mod runtimes;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::docs::{self, Block};
use crate::run;
use crate::temporary::Database;
use crate::workspace::Workspace;
use pgbouncer::PgBouncer;

const DOCUMENT: &str = "docs/drivers.md";

/// What an application has, and all that it may do: decide and track.
const APPLICATION: &str = "driver_application";

/// Each snippet runs by itself. Some run behind PgBouncer once more, in another database and as a role that may only decide
/// and track. What this machine has no runtime for is named, and left out.
pub fn snippets_run(database: &Database) -> Result<()> {
    let workspace = Workspace::find()?;
    let text = fs::read_to_string(workspace.root().join(DOCUMENT))?;
    docs::run(database, DOCUMENT)?;
    let folder = database.server.scratch("drivers")?;
    let behind = database.server.create_database()?;
    docs::run(&behind, DOCUMENT)?;
    let bouncer = start_pgbouncer(&behind, &workspace, &folder)?;
    let mut ran = 0;
    for (number, block) in docs::blocks(&text)?.iter().enumerate() {
        let title = title(&text, block);
        let snippet = Snippet {
            database,
            workspace: &workspace,
            folder: &folder,
            name: format!("snippet{number}"),
            code: &block.body,
        };
        let outcome = match block.language {
            "python" => snippet.python(bouncer.as_ref().filter(|_| title == "asyncpg")),
            "javascript" => {
                snippet.javascript(bouncer.as_ref().filter(|_| title == "node-postgres"))
            }
            "java" => snippet.java(bouncer.as_ref()),
            "go" => Ok(Some("Go, which a build of its own would need")),
            _ => continue,
        };
        let outcome =
            outcome.with_context(|| format!("{DOCUMENT}, line {}, {title}", block.line))?;
        match outcome {
            None => ran += 1,
            Some(missing) => run::print(&format!("skipped {title} of {DOCUMENT}: needs {missing}")),
        }
    }
    drop(bouncer);
    behind.connect()?.batch_execute(&format!(
        "SELECT decide.revoke('{APPLICATION}', 'serve'); DROP OWNED BY {APPLICATION}; DROP ROLE {APPLICATION}"
    ))?;
    let runtimes = runtimes::python(&workspace)?.is_some() || runtimes::node(&workspace)?.is_some();
    ensure!(
        ran > 0 || !runtimes,
        "{DOCUMENT} shows nothing that could run"
    );
    Ok(())
}

/// A PgBouncer in front of the database, if this machine can have one.
fn start_pgbouncer(
    database: &Database,
    workspace: &Workspace,
    folder: &Path,
) -> Result<Option<PgBouncer>> {
    database.connect()?.batch_execute(&format!(
        "CREATE ROLE {APPLICATION} LOGIN; SELECT decide.grant('{APPLICATION}', 'serve')"
    ))?;
    let Some(programs) = runtimes::debian(workspace)? else {
        return Ok(None);
    };
    PgBouncer::start(&programs, folder, database, APPLICATION).map(Some)
}

/// The heading above a block.
fn title<'text>(text: &'text str, block: &Block) -> &'text str {
    let above = text.lines().take(block.line);
    let heading = above.filter_map(|line| line.strip_prefix("## ")).last();
    heading.unwrap_or("the beginning")
}

/// One block of the document, and what it runs against.
struct Snippet<'a> {
    database: &'a Database<'a>,
    workspace: &'a Workspace,
    folder: &'a Path,
    name: String,
    code: &'a str,
}

/// What kept a snippet from being run, if anything.
type Outcome = Result<Option<&'static str>>;

impl Snippet<'_> {
    /// Runs it; behind PgBouncer with the change that the document names for that.
    fn python(&self, bouncer: Option<&PgBouncer>) -> Outcome {
        let Some(packages) = runtimes::python(self.workspace)? else {
            return Ok(Some("python3 with pip"));
        };
        let python = |script: &Path| {
            let mut python = run::command("python3");
            python
                .arg(script)
                .env("PYTHONPATH", &packages)
                .env("PYTHONDONTWRITEBYTECODE", "1");
            python
        };
        self.directly(&mut python(&self.write("py", self.code)?))?;
        if let Some(bouncer) = bouncer {
            let code = self.code.replacen(
                "asyncpg.connect()",
                "asyncpg.connect(statement_cache_size=0)",
                1,
            );
            ensure!(code != self.code, "asyncpg connects in another way");
            self.behind(bouncer, &mut python(&self.write("behind.py", &code)?))?;
        }
        Ok(None)
    }

    fn javascript(&self, bouncer: Option<&PgBouncer>) -> Outcome {
        let Some(packages) = runtimes::node(self.workspace)? else {
            return Ok(Some("node with npm"));
        };
        let link = self.folder.join("node_modules");
        if !link.exists() {
            std::os::unix::fs::symlink(packages, link)?;
        }
        let mut node = run::command("node");
        node.arg(self.write("mjs", self.code)?);
        self.directly(&mut node)?;
        if let Some(bouncer) = bouncer {
            self.behind(bouncer, &mut node)?;
        }
        Ok(None)
    }

    /// Runs it behind PgBouncer, since JDBC does not connect to the socket of a temporary server.
    fn java(&self, bouncer: Option<&PgBouncer>) -> Outcome {
        let Some(bouncer) = bouncer else {
            return Ok(Some("PgBouncer, for a port"));
        };
        if !runtimes::has("javac") {
            return Ok(Some("java with a compiler"));
        }
        let mut java = run::command("java");
        java.arg("-XX:TieredStopAtLevel=1")
            .arg("-cp")
            .arg(bouncer.programs().join("usr/share/java/postgresql.jar"))
            .arg(self.write("java", self.code)?);
        self.behind(bouncer, &mut java)?;
        Ok(None)
    }

    /// Writes the code into a file.
    fn write(&self, extension: &str, code: &str) -> Result<std::path::PathBuf> {
        let file = self.folder.join(format!("{}.{extension}", self.name));
        fs::write(&file, code)?;
        Ok(file)
    }

    /// Runs a program on the socket of the server, as its superuser.
    fn directly(&self, program: &mut Command) -> Result<()> {
        let environment = self.database.client("psql");
        for (name, value) in environment.get_envs() {
            match value {
                Some(value) => program.env(name, value),
                None => program.env_remove(name),
            };
        }
        complete(program)
    }

    /// Runs a program behind PgBouncer.
    fn behind(&self, bouncer: &PgBouncer, program: &mut Command) -> Result<()> {
        let database = bouncer.database();
        program
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", bouncer.port().to_string())
            .env("PGUSER", APPLICATION)
            .env("PGDATABASE", database)
            .env(
                "JDBC_URL",
                format!(
                    "jdbc:postgresql://127.0.0.1:{}/{database}?user={APPLICATION}&prepareThreshold=0",
                    bouncer.port()
                ),
            );
        complete(program).context("behind PgBouncer")
    }
}

/// Runs a program to its end, which must be a success.
fn complete(program: &mut Command) -> Result<()> {
    let output = program
        .output()
        .with_context(|| format!("cannot run {}", program.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
