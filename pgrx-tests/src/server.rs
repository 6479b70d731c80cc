//! One PostgreSQL server: a data folder, a folder for its socket, and what can be done with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use postgres::{Client, NoTls};

use crate::install::Install;
use crate::run;
use crate::user;

/// The superuser of every cluster that we make.
pub const SUPERUSER: &str = "postgres";

const SETTINGS: &str = "pg_decide.conf";

/// How a server is stopped.
#[derive(Clone, Copy)]
pub enum Stop {
    /// Disconnects clients and writes a checkpoint.
    Fast,
    /// Ends at once, as in a crash: the next start recovers from the log.
    Immediate,
}

/// A server; the folder belongs to the user that it runs as. Through the socket, which only that
/// user and root can reach, everybody is trusted; over TCP it takes the password.
#[derive(Clone)]
pub struct Server {
    pub install: Install,
    folder: PathBuf,
    sockets: PathBuf,
    port: u16,
}

impl Server {
    /// Describes the server that lives in a folder, whether it exists yet or not.
    pub fn at(install: &Install, folder: &Path, sockets: &Path, port: u16) -> Self {
        Self {
            install: install.clone(),
            folder: folder.to_owned(),
            sockets: sockets.to_owned(),
            port,
        }
    }

    /// Makes the cluster with a random password.
    pub fn create(&self) -> Result<()> {
        self.create_with(&[])
    }

    /// The same with further options of initdb.
    pub fn create_with(&self, options: &[&str]) -> Result<()> {
        user::create_private_dir(&self.folder)?;
        let password = self.folder.join("password");
        fs::write(&password, uuid::Uuid::new_v4().simple().to_string())?;
        user::give_to_server(&password)?;
        let mut initdb = user::command(self.install.program("initdb"));
        initdb
            .arg("--pgdata")
            .arg(self.data())
            .arg("--pwfile")
            .arg(&password)
            .args([
                "--username",
                SUPERUSER,
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"]);
        run::output(initdb.args(options)).context("cannot create the cluster")?;
        let main = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&main)?;
        fs::write(&main, format!("{text}\ninclude_if_exists '{SETTINGS}'\n"))?;
        Ok(())
    }

    /// Writes the settings that the next start takes.
    pub fn configure(&self, settings: &[(&str, String)]) -> Result<()> {
        let own = [
            ("port", self.port.to_string()),
            (
                "unix_socket_directories",
                self.sockets.display().to_string(),
            ),
        ];
        let lines: String = own
            .iter()
            .chain(settings)
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect();
        fs::write(self.data().join(SETTINGS), lines).context("cannot write the server's settings")
    }

    /// Starts the server and waits until it accepts connections.
    pub fn start(&self) -> Result<()> {
        user::create_private_dir(&self.sockets)?;
        let log = self.log_file();
        let started = run::output(
            self.pg_ctl()
                .arg("--log")
                .arg(&log)
                .args(["--wait", "start"]),
        );
        if let Err(error) = started {
            let said = fs::read_to_string(&log).unwrap_or_default();
            bail!(
                "the server does not start: {error:#}\nits log ends:\n{}",
                run::tail(&said, 30)
            );
        }
        Ok(())
    }

    /// Stops the server, if it runs.
    pub fn stop(&self, how: Stop) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        run::output(self.pg_ctl().args(["--wait", "--mode", mode, "stop"]))?;
        Ok(())
    }

    /// Stops and starts the server.
    pub fn restart(&self, how: Stop) -> Result<()> {
        self.stop(how)?;
        self.start()
    }

    /// Whether the server runs.
    pub fn is_running(&self) -> bool {
        self.exists() && run::output(self.pg_ctl().arg("status")).is_ok()
    }

    /// Whether the cluster was created to its end and configured.
    pub fn exists(&self) -> bool {
        self.data().join(SETTINGS).is_file()
    }

    /// Connects to a database as the superuser.
    pub fn connect(&self, database: &str) -> Result<Client> {
        self.connect_as(SUPERUSER, database)
    }

    /// Connects to a database as a role that may log in.
    pub fn connect_as(&self, role: &str, database: &str) -> Result<Client> {
        postgres::Config::new()
            .host_path(&self.sockets)
            .port(self.port)
            .user(role)
            .dbname(database)
            .connect(NoTls)
            .with_context(|| format!("cannot connect to {database} as {role}"))
    }

    /// A client program of this version, such as pgbench or pg_dump, led to a database.
    pub fn client(&self, program: &str, database: &str) -> Command {
        let mut command = run::command(self.install.program(program));
        command
            .env("PGHOST", &self.sockets)
            .env("PGPORT", self.port.to_string());
        command.env("PGUSER", SUPERUSER).env("PGDATABASE", database);
        command
    }

    /// A URI with password, for clients that connect over TCP.
    pub fn uri(&self, database: &str) -> Result<String> {
        let password = fs::read_to_string(self.folder.join("password"))
            .context("the cluster's password is missing")?;
        Ok(format!(
            "postgresql://{SUPERUSER}:{password}@127.0.0.1:{}/{database}",
            self.port
        ))
    }

    /// The folder of the socket, for programs that take it as host.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The port, which is also part of the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The server's log.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// How long the log is now, for `log_since`.
    pub fn log_length(&self) -> u64 {
        fs::metadata(self.log_file()).map_or(0, |found| found.len())
    }

    /// pg_ctl for this cluster, as the server's user.
    fn pg_ctl(&self) -> Command {
        let mut command = user::command(self.install.program("pg_ctl"));
        command.arg("--silent").arg("--pgdata").arg(self.data());
        command
    }
}
