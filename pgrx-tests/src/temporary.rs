//! Servers and databases for tests: made for the moment, gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use postgres::Client;
use std::process::Command;

use crate::install::Install;
use crate::interrupt::Cleanup;
use crate::run;
use crate::server::{SUPERUSER, Server, Stop};
use crate::user;

/// A server with the extension preloaded; it is stopped and deleted when this is dropped.
pub struct TemporaryServer {
    server: Server,
    folder: PathBuf,
    databases: AtomicU32,
    _cleanup: Cleanup,
}

impl TemporaryServer {
    /// Creates and starts a server.
    pub fn start(install: &Install) -> Result<Self> {
        let folder = temporary_folder()?;
        // Only a socket in a private folder: the port is nothing but part of its name.
        let server = Server::at(
            install,
            &folder.join("server"),
            &folder.join("socket"),
            5432,
        );
        let cleanup = Cleanup::new({
            let (server, folder) = (server.clone(), folder.clone());
            move || {
                let _ = server.stop(Stop::Immediate);
                let _ = fs::remove_dir_all(folder);
            }
        });
        server.create()?;
        let temporary = Self {
            server,
            folder,
            databases: AtomicU32::new(0),
            _cleanup: cleanup,
        };
        temporary.server.configure(&settings("pg_decide"))?;
        temporary.server.start()?;
        Ok(temporary)
    }

    /// Creates a database, with the extension in it.
    pub fn create_database(&self) -> Result<Database<'_>> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut client = self.server.connect("postgres")?;
        client.batch_execute(&format!("CREATE DATABASE {name}"))?;
        let database = Database { server: self, name };
        database
            .connect()?
            .batch_execute("CREATE EXTENSION pg_decide")?;
        Ok(database)
    }

    /// Restarts the server with these libraries preloaded instead; `""` is none at all.
    pub fn restart_with_preload(&self, libraries: &str) -> Result<()> {
        self.server.configure(&settings(libraries))?;
        self.server.restart(Stop::Fast)
    }

    /// Puts the server back into the state in which each test expects it.
    pub fn reset(&self) -> Result<()> {
        let overrides = self.server.data().join("postgresql.auto.conf");
        let untouched = fs::read_to_string(&overrides)?
            .lines()
            .all(|line| line.starts_with('#') || line.trim().is_empty());
        let preloaded = || -> Result<bool> {
            let row = self
                .connect("postgres")?
                .query_one("SHOW shared_preload_libraries", &[])?;
            Ok(row.get::<_, String>(0) == "pg_decide")
        };
        if untouched && self.is_running() && preloaded().unwrap_or(false) {
            return Ok(());
        }
        fs::write(&overrides, "")?;
        self.restart_with_preload("pg_decide")
    }

    /// A folder for a test's files, deleted with the server.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join("scratch").join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

impl std::ops::Deref for TemporaryServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// A fresh database with the extension; dropped with this.
pub struct Database<'server> {
    pub server: &'server TemporaryServer,
    pub name: String,
}

impl Database<'_> {
    /// A connection as the superuser.
    pub fn connect(&self) -> Result<Client> {
        self.server.connect(&self.name)
    }

    /// A connection as a role that may log in.
    pub fn connect_as(&self, role: &str) -> Result<Client> {
        self.server.connect_as(role, &self.name)
    }

    /// A connection as soon as the server takes one again, after a crash.
    pub fn reconnect(&self, patience: Duration) -> Result<Client> {
        let begun = Instant::now();
        loop {
            match self.connect() {
                Err(error) if begun.elapsed() > patience => {
                    return Err(error).context("the server does not come back");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
                connected => return connected,
            }
        }
    }

    /// A client program such as psql, pgbench or pg_dump, led to this database.
    pub fn client(&self, program: &str) -> Command {
        self.server.client(program, &self.name)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if let Ok(mut client) = self.server.connect("postgres") {
            let _ = client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// A standby that follows a server by streaming; stopped when this is dropped.
pub struct Standby(Server);

impl Standby {
    /// Copies a running server and starts the copy.
    pub fn of(server: &TemporaryServer) -> Result<Self> {
        let folder = server.scratch("standby")?.join("server");
        // of a standby before this one
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        user::create_private_dir(&folder)?;
        let standby = Self(Server::at(
            &server.install,
            &folder,
            &folder.join("socket"),
            server.port(),
        ));
        let mut copy = user::command(server.install.program("pg_basebackup"));
        copy.arg("--pgdata").arg(standby.data());
        copy.arg("--host").arg(server.sockets());
        copy.arg(format!("--port={}", server.port()));
        copy.args(["--username", SUPERUSER, "--checkpoint=fast", "--no-sync"]);
        run::output(copy.arg("--write-recovery-conf")).context("cannot copy the server")?;
        standby.configure(&settings("pg_decide"))?;
        standby.start()?;
        Ok(standby)
    }
}

impl std::ops::Deref for Standby {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let _ = self.0.stop(Stop::Immediate);
    }
}

/// A new folder that the server's user can enter, deleted by whoever asked for it.
pub fn temporary_folder() -> Result<PathBuf> {
    let folder = tempfile::Builder::new()
        .prefix("pg_decide-")
        .tempdir()
        .context("cannot create a temporary folder")?
        .keep();
    user::give_to_server(&folder)?;
    Ok(folder)
}

/// Settings for tests: nothing survives a power cut, and nothing depends on the machine.
fn settings(preload: &str) -> Vec<(&'static str, String)> {
    [
        ("shared_preload_libraries", preload),
        ("listen_addresses", ""),
        ("max_connections", "200"),
        ("max_prepared_transactions", "20"),
        ("shared_buffers", "256MB"),
        ("max_wal_size", "4GB"),
        ("fsync", "off"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("lc_messages", "C"),
        ("log_line_prefix", "%m [%p] %d "),
        ("pg_decide.enforce_latency_budget", "off"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// What a server wrote to its log since a moment, given as the length that the log had then.
pub fn log_since(log: &Path, length: u64) -> String {
    let content = fs::read(log).unwrap_or_default();
    let from = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(content.len());
    String::from_utf8_lossy(&content[from..]).into_owned()
}
