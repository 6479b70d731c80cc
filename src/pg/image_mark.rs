//! Which images have been read whole and found right: once, and not by every session.
//!
//! A mark is a file beside the image that says in which state of the file this was, and since which start of the server.
//! Whatever changes the file gives it another state, so that it is read whole again; so does a start of the server, since
//! a crash of the machine may have torn files. A file that was changed just now gets no mark: a change that comes a moment
//! later might bear the same time.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgrx::pg_sys;
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::image_file::{UNFINISHED, mode, open_plain, path};
use super::session;

/// What the names of marks begin with; the name of the image follows.
const PREFIX: &str = "checked.";

/// From how many bytes on an image gets a mark. To read a smaller one whole takes no longer than to read its mark.
const LARGE: u64 = 256 << 10;

/// How long after a change of a file another change has another time for certain.
const TICK: Duration = Duration::from_millis(20);

/// The state of a file that was found right.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Mark {
    /// The library that has checked it.
    build: u64,
    /// When the server was started, in microseconds since 2000.
    server_start: i64,
    device: u64,
    inode: u64,
    bytes: u64,
    /// When it was last changed: its content; its content, name or rights.
    modified: i64,
    modified_ns: i64,
    changed: i64,
    changed_ns: i64,
    /// Of all that.
    checksum: u64,
}

impl Mark {
    /// What a mark says of a file as it is now.
    pub fn of(file: &File, build: u64) -> Option<Mark> {
        let data = file.metadata().ok()?;
        let mut mark = Mark {
            build,
            // SAFETY: reads what the server has set at its start.
            server_start: unsafe { pg_sys::PgStartTime },
            device: data.dev(),
            inode: data.ino(),
            bytes: data.len(),
            modified: data.mtime(),
            modified_ns: data.mtime_nsec(),
            changed: data.ctime(),
            changed_ns: data.ctime_nsec(),
            checksum: 0,
        };
        mark.checksum = xxh3_64(mark.as_bytes());
        Some(mark)
    }

    /// For how long the file has been as it is.
    fn age(&self) -> Option<Duration> {
        let changed = Duration::new(
            self.changed.try_into().ok()?,
            self.changed_ns.try_into().ok()?,
        );
        SystemTime::now().duration_since(UNIX_EPOCH + changed).ok()
    }

    /// Whether the next change will have another time.
    fn is_settled(&self) -> bool {
        self.age().is_some_and(|age| age >= TICK)
    }

    /// How long it takes until it may be marked; None for a small file, which gets no mark.
    pub fn wait(&self) -> Option<Duration> {
        let age = self.age().unwrap_or_default();
        (self.bytes >= LARGE).then(|| TICK.saturating_sub(age))
    }
}

/// Whether the image is whole: as its mark says, or as `check` finds, which reads all of it. `state` is that of the file
/// before.
pub(super) fn is_checked(name: &str, state: &Mark, check: impl FnOnce() -> bool) -> bool {
    let is_large = state.bytes >= LARGE;
    if is_large && read(name) == Some(*state) {
        return true;
    }
    let may_mark = is_large && state.is_settled();
    let is_right = check();
    if is_right && may_mark {
        // Without a mark the next session reads it whole, too.
        let _ = write(name, state);
    }
    is_right
}

/// The image of a mark, by its name.
pub(super) fn image_of(mark: &str) -> Option<&str> {
    mark.strip_prefix(PREFIX)
}

/// Removes the mark of an image.
pub(super) fn forget(name: &str) {
    let _ = fs::remove_file(path(&format!("{PREFIX}{name}")));
}

fn read(name: &str) -> Option<Mark> {
    let mut bytes = [0; size_of::<Mark>()];
    let mut file = open_plain(&path(&format!("{PREFIX}{name}")))?;
    file.read_exact(&mut bytes).ok()?;
    Mark::read_from_bytes(&bytes).ok()
}

fn write(name: &str, mark: &Mark) -> std::io::Result<()> {
    let name = format!("{PREFIX}{name}");
    let unfinished = path(&format!("{name}.{}{UNFINISHED}", session::process()));
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(mode())
            .open(&unfinished)?;
        file.write_all(mark.as_bytes())?;
        fs::rename(&unfinished, path(&name))
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}
