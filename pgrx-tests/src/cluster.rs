//! The private server of a developer: `start`, `stop` and `psql`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::extension::{self, Fingerprint};
use crate::install::{Install, Profile, Target};
use crate::server::{Server, Stop};
use crate::setup;
use crate::workspace::{Workspace, short_hash};

/// The database that holds the extension.
pub const DATABASE: &str = "pg_decide";

/// What we remember of a cluster between calls.
#[derive(Serialize, Deserialize)]
struct Memory {
    pg_config: PathBuf,
    port: u16,
    /// What the running server has loaded, and what the database has created.
    installed: Option<Fingerprint>,
}

/// Builds, starts and prepares everything; returns the URI.
pub fn start(workspace: &Workspace, target: &Target, fresh: bool) -> Result<String> {
    running(workspace, target, fresh)?.uri(DATABASE)
}

/// The private server with the latest build of the extension, running.
pub fn running(workspace: &Workspace, target: &Target, fresh: bool) -> Result<Server> {
    let ready = setup::ensure(workspace, std::slice::from_ref(target))?;
    let folder = target.cluster_dir(workspace);
    let _lock = workspace.lock("cluster")?;
    if fresh {
        discard(&folder)?;
    }
    let install = extension::install(workspace, &ready, target, Profile::Release)?;
    let now = Fingerprint::of(&install)?;
    let mut memory = Memory::load(&folder).unwrap_or(Memory {
        pg_config: install.pg_config.clone(),
        port: free_port()?,
        installed: None,
    });
    let mut server = server_of(&install, &folder, memory.port);
    if !server.exists() {
        eprintln!("creating a cluster in {}", folder.display());
        discard(&folder)?;
        server.create()?;
    }
    let before = memory.installed.clone();
    let stale = before
        .as_ref()
        .is_none_or(|before| before.library != now.library);
    if server.is_running() && stale {
        eprintln!("restarting the server with the new build");
        server.stop(Stop::Fast)?;
    }
    if !server.is_running() {
        if TcpListener::bind(("127.0.0.1", memory.port)).is_err() {
            memory.port = free_port()?;
            server = server_of(&install, &folder, memory.port);
        }
        server.configure(&settings())?;
        memory.save(&folder)?;
        server.start()?;
    }
    let created = create_extension(&server)?;
    let scripts = match before {
        Some(before) if !created => before.scripts,
        _ => now.scripts.clone(),
    };
    if scripts != now.scripts {
        eprintln!(
            "note: the extension's SQL has changed since this database was made; \
             `cargo dev start --fresh` begins anew"
        );
    }
    memory.installed = Some(Fingerprint {
        library: now.library,
        scripts,
    });
    memory.save(&folder)?;
    Ok(server)
}

/// Stops the server, if there is one.
pub fn stop(workspace: &Workspace, target: &Target) -> Result<()> {
    let _lock = workspace.lock("cluster")?;
    match existing(&target.cluster_dir(workspace))? {
        Some(server) if server.is_running() => {
            server.stop(Stop::Fast)?;
            eprintln!("stopped");
        }
        _ => eprintln!("not running"),
    }
    Ok(())
}

/// Becomes psql, connected to the server.
pub fn psql(workspace: &Workspace, target: &Target, arguments: &[String]) -> Result<()> {
    let server = existing(&target.cluster_dir(workspace))?
        .filter(Server::is_running)
        .context("the server is not running; start it with `cargo dev start`")?;
    let mut psql = server.client("psql", DATABASE);
    Err(psql.args(arguments).stdin(Stdio::inherit()).exec()).context("cannot run psql")
}

/// Creates the database and the extension in it, unless they are there; tells whether it did.
fn create_extension(server: &Server) -> Result<bool> {
    let mut client = server.connect("postgres")?;
    let found = client.query(
        "SELECT FROM pg_catalog.pg_database WHERE datname = $1",
        &[&DATABASE],
    )?;
    if found.is_empty() {
        client.batch_execute(&format!("CREATE DATABASE {DATABASE}"))?;
    }
    let mut client = server.connect(DATABASE)?;
    let found = client.query(
        "SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_decide'",
        &[],
    )?;
    if found.is_empty() {
        client
            .batch_execute("CREATE EXTENSION pg_decide")
            .context("CREATE EXTENSION failed")?;
    }
    Ok(found.is_empty())
}

/// The server in a folder, if there is a cluster.
pub fn existing(folder: &Path) -> Result<Option<Server>> {
    let Some(memory) = Memory::load(folder) else {
        return Ok(None);
    };
    let install = Install::describe(&memory.pg_config)?;
    Ok(Some(server_of(&install, folder, memory.port)))
}

/// Stops what runs in a folder and deletes it.
fn discard(folder: &Path) -> Result<()> {
    if let Some(server) = existing(folder)? {
        server.stop(Stop::Immediate)?;
    }
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    Ok(())
}

/// The server in a folder; the path of a socket must be short, so that a deep checkout has it elsewhere.
fn server_of(install: &Install, folder: &Path, port: u16) -> Server {
    let near = folder.join("socket");
    let sockets = if near.as_os_str().len() <= 80 {
        near
    } else {
        let hash = short_hash(folder.as_os_str().as_encoded_bytes());
        std::env::temp_dir().join(format!("pg_decide-{hash}"))
    };
    Server::at(install, folder, &sockets, port)
}

/// Settings for work on real data: durable, and with a cache that fits the machine.
fn settings() -> Vec<(&'static str, String)> {
    // A quarter of the memory, as PostgreSQL's manual advises.
    let buffers = match memory_in_gigabytes() {
        0..=3 => "256MB",
        4..=7 => "1GB",
        8..=15 => "2GB",
        _ => "4GB",
    };
    [
        ("shared_preload_libraries", "pg_decide"),
        ("pg_decide.databases", DATABASE),
        ("listen_addresses", "127.0.0.1"),
        // As many as the bench has at once, and a few.
        ("max_connections", "230"),
        ("shared_buffers", buffers),
        ("max_wal_size", "4GB"),
        ("log_line_prefix", "%m [%p] %d "),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// The memory of this machine, or 0 where it cannot be told.
fn memory_in_gigabytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = text.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    kilobytes.unwrap_or(0) / (1024 * 1024)
}

/// A port that nobody listens on.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no loopback port is free")?;
    Ok(listener.local_addr()?.port())
}

impl Memory {
    /// The file beside the data.
    fn file(folder: &Path) -> PathBuf {
        folder.join("cluster.json")
    }

    /// Reads what was remembered; nothing if there is no cluster.
    fn load(folder: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(Self::file(folder)).ok()?).ok()
    }

    /// Writes it down.
    fn save(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(Self::file(folder), text + "\n").context("cannot write cluster.json")
    }
}
