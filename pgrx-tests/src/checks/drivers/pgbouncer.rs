//! A PgBouncer in transaction mode, in front of one database.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupt::Cleanup;
use crate::temporary::Database;
use crate::user;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A running PgBouncer; stopped when this is dropped.
pub struct PgBouncer {
    process: Child,
    programs: PathBuf,
    database: String,
    port: u16,
    on_interrupt: Option<Cleanup>,
}

impl PgBouncer {
    /// Starts it on a free port of this machine. Whoever connects there is this role, which may do what an application may.
    pub fn start(programs: &Path, folder: &Path, database: &Database, role: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings = folder.join("pgbouncer.ini");
        fs::write(
            &settings,
            format!(
                "[databases]\n{name} = host={sockets} port={server} user={role}\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = any\npool_mode = transaction\nignore_startup_parameters = extra_float_digits\n",
                name = database.name,
                sockets = database.server.sockets().display(),
                server = database.server.port(),
            ),
        )?;
        let log = folder.join("pgbouncer.log");
        let mut command = user::command(programs.join("usr/sbin/pgbouncer"));
        command
            .env("LD_LIBRARY_PATH", libraries(programs)?)
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let process = command.spawn().context("cannot run PgBouncer")?;
        let pid = Pid::from_raw(i32::try_from(process.id())?);
        let mut bouncer = Self {
            process,
            programs: programs.to_owned(),
            database: database.name.clone(),
            port,
            on_interrupt: Some(Cleanup::new(move || {
                let _ = kill(pid, Signal::SIGKILL);
            })),
        };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if bouncer.process.try_wait()?.is_some() || begun.elapsed() > TIMEOUT {
                let log = fs::read_to_string(&log).unwrap_or_default();
                bail!("PgBouncer does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(bouncer)
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database behind it.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The folder of the packages that it is from.
    pub fn programs(&self) -> &Path {
        &self.programs
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Its number may be another process's from now on.
        if let Some(on_interrupt) = self.on_interrupt.take() {
            on_interrupt.disarm();
        }
    }
}

/// The folder of shared libraries of unpacked packages, which has the name of the machine's architecture.
fn libraries(programs: &Path) -> Result<PathBuf> {
    let folders = fs::read_dir(programs.join("usr/lib"))?.flatten();
    folders
        .map(|folder| folder.path())
        .find(|folder| folder.join("libcares.so.2").exists())
        .context("the packages of PgBouncer's libraries have other files than usual")
}
