//! Who runs the servers: PostgreSQL refuses to run as root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::{Uid, User, chown, geteuid};

use crate::run;

/// The system user that servers run as when we are root.
pub const SERVER_USER: &str = "postgres";

/// Whether we are root, and servers therefore run as somebody else.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The system user that servers run as when we are root, if it is there.
pub fn server_user() -> Result<Option<User>> {
    Ok(User::from_name(SERVER_USER)?)
}

/// The name of the user that servers run as.
pub fn server_user_name() -> Result<String> {
    if is_root() {
        return Ok(SERVER_USER.into());
    }
    let user = User::from_uid(geteuid())?.context("your user has no name in the user database")?;
    Ok(user.name)
}

/// A command that runs as the server's user.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    if !is_root() {
        return run::command(program);
    }
    let mut command = run::command("setpriv");
    command
        .args([
            "--reuid",
            SERVER_USER,
            "--regid",
            SERVER_USER,
            "--init-groups",
            "--",
        ])
        .arg(program);
    command.current_dir("/");
    command
}

/// Creates a folder that only the server's user can enter.
pub fn create_private_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    let owner = Uid::from_raw(fs::metadata(path)?.uid());
    let trusted = owner == geteuid() || server_user()?.is_some_and(|user| user.uid == owner);
    ensure!(
        trusted,
        "{} belongs to another user; delete it",
        path.display()
    );
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    give_to_server(path)
}

/// Makes a file or folder the server's.
pub fn give_to_server(path: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let user = server_user()?
        .with_context(|| format!("the user {SERVER_USER} is missing; call `cargo dev setup`"))?;
    chown(path, Some(user.uid), Some(user.gid))
        .with_context(|| format!("cannot give {} to {SERVER_USER}", path.display()))
}
