//! The files of images: where they are, what they are called, and which are the server's own.

use std::ffi::c_int;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pgrx::pg_sys;

// Of the server, which pgrx does not declare (`common/file_perm.h`, the same since version 11).
unsafe extern "C" {
    static pg_file_create_mode: c_int;
}

/// Where the files are, in the data directory, in which every backend runs.
const DIRECTORY: &str = "pg_stat_tmp";

/// What their names begin with; the OID of the database, a dot and the name of the image follow.
const PREFIX: &str = "pg_decide.";

/// What the names of files end with that are not whole.
pub(super) const UNFINISHED: &str = ".tmp";

/// A file of ours, of any database.
pub(super) struct ImageFile {
    pub database: u32,
    pub name: String,
    /// How long ago it was written.
    pub age: Duration,
    pub path: PathBuf,
}

/// All that are there by now.
pub(super) fn files() -> impl Iterator<Item = ImageFile> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let file = entry.file_name();
        let (database, name) = parts(file.to_str()?)?;
        let written = entry.metadata().and_then(|data| data.modified()).ok()?;
        Some(ImageFile {
            database,
            name: name.to_owned(),
            age: SystemTime::now()
                .duration_since(written)
                .unwrap_or_default(),
            path: entry.path(),
        })
    })
}

/// Opens a file, unless it is none of the server's own: a link, a pipe, or one that others may write to.
pub(super) fn open_plain(path: &Path) -> Option<File> {
    let (data, own) = (fs::symlink_metadata(path).ok()?, fs::metadata(".").ok()?);
    let is_own = data.is_file() && data.uid() == own.uid() && data.mode() & 0o022 == 0;
    is_own.then(|| File::open(path).ok())?
}

pub(super) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{PREFIX}{}.{name}", this_database()))
}

/// The database and the image of the name of a file.
fn parts(file: &str) -> Option<(u32, &str)> {
    let (database, name) = file.strip_prefix(PREFIX)?.split_once('.')?;
    Some((database.parse().ok()?, name))
}

pub(super) fn this_database() -> u32 {
    // SAFETY: reads what is set as long as there is a session.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// The permissions of the server's own files.
pub(super) fn mode() -> u32 {
    // SAFETY: reads what the server has set at its start.
    (unsafe { pg_file_create_mode }) as u32
}
