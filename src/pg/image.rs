//! Images: what was compiled once, in a file that all sessions map read-only.
//!
//! The files are in the directory of the server's temporary statistics, which neither a base backup nor pg_rewind nor
//! pg_upgrade copies, and which every server has, with or without `shared_preload_libraries`; a file belongs to one
//! database, whose OID is in its name. They hold derived data: one that is missing, torn, of another build of the library
//! or of another platform is made anew, and nothing is read of it before its checksum is right.
//!
//! A file is written under another name and renamed when it is whole. A session that has mapped one keeps it, also when
//! it is removed.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant, SystemTime};

use memmap2::Mmap;
use pgrx::{pg_guard, pg_sys};
use xxhash_rust::xxh3::Xxh3;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::image_file::{self, UNFINISHED, files, mode, open_plain, path, this_database};
use super::image_mark::{self, Mark};
use super::session;

/// Where the arena of an image begins: at a multiple of so many bytes.
pub const ALIGNMENT: usize = 64;

/// The file that a session locks while it writes or removes images.
const LOCK: &str = "lock";

/// The largest image. What is larger is compiled by each session for itself.
const MOST_BYTES: usize = 1 << 30;

/// What every file begins with.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    /// Of the name, the lengths and all that follows.
    checksum: u64,
    /// The library that wrote it.
    build: u64,
    /// Bytes of the record, which follows the header, and of the arena behind it, which is aligned.
    record: u64,
    arena: u64,
    unused: [u64; 3],
}

const MAGIC: [u8; 8] = *b"pgdecide";
const HEADER: usize = size_of::<Header>();
const BUILD: u64 = build(env!("PG_DECIDE_BUILD"));

const fn build(digits: &str) -> u64 {
    match u64::from_str_radix(digits, 16) {
        Ok(build) => build,
        Err(_) => panic!("the build script gives a number"),
    }
}

/// An image that this session has mapped.
pub struct Image {
    map: Rc<Mmap>,
    record: usize,
    arena: usize,
}

impl Image {
    /// The image of a name, if there is one and it is whole. One that is large is read whole only if nobody has done so
    /// since it was last changed.
    pub fn open(name: &str) -> Option<Image> {
        let file = open_plain(&path(name))?;
        let state = Mark::of(&file, BUILD)?;
        // SAFETY: what changes a file that is mapped changes what is read of it; the files belong to the server's own
        // user, and nobody of ours writes to one that has its name. Other users of the operating system cannot.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let (header, rest) = Header::read_from_prefix(&map).ok()?;
        let (record, arena) = (
            usize::try_from(header.record).ok()?,
            usize::try_from(header.arena).ok()?,
        );
        let first = arena_offset(record)?;
        let is_whole = header.magic == MAGIC
            && header.build == BUILD
            && header.unused == [0; 3]
            && first.checked_add(arena)? == map.len()
            && image_mark::is_checked(name, &state, || {
                header.checksum == checksum(name, record, arena, &[rest])
            });
        is_whole.then(|| {
            let map = Rc::new(map);
            note_opened(name, &map);
            Image { map, record, arena }
        })
    }

    /// The record, in which slabs stand by their offsets.
    pub fn record(&self) -> &[u8] {
        &self.map[HEADER..HEADER + self.record]
    }

    /// The arena, and what keeps it mapped: the bytes must not be looked at any longer than that lives.
    pub fn arena(&self) -> (&'static [u8], Rc<dyn Any>) {
        let bytes = &self.map[self.map.len() - self.arena..];
        // SAFETY: the bytes stay where they are, mapped, as long as the owner lives that goes with them.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        (bytes, self.map.clone())
    }
}

/// Where the arena begins behind a record of that many bytes.
fn arena_offset(record: usize) -> Option<usize> {
    HEADER
        .checked_add(record)?
        .checked_next_multiple_of(ALIGNMENT)
}

fn checksum(name: &str, record: usize, arena: usize, parts: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(std::env::consts::ARCH.as_bytes());
    hash.update(name.as_bytes());
    hash.update(&(record as u64).to_ne_bytes());
    hash.update(&(arena as u64).to_ne_bytes());
    for part in parts {
        hash.update(part);
    }
    hash.digest()
}

/// A file with an image of this database.
pub struct ImageFacts {
    pub name: String,
    pub bytes: i64,
    /// When it was written, in microseconds since 1970.
    pub made_at: i64,
    /// Whether this session has mapped it.
    pub mapped: bool,
}

/// All images of this database, by name, but for those that are being written.
pub fn all() -> Vec<ImageFacts> {
    let is_image = |name: &str| {
        name != LOCK && !name.ends_with(UNFINISHED) && image_mark::image_of(name).is_none()
    };
    let own = files().filter(|file| file.database == this_database() && is_image(&file.name));
    let facts = own.filter_map(|file| {
        let data = fs::metadata(&file.path).ok()?;
        let made_at = data.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH);
        Some(ImageFacts {
            bytes: i64::try_from(data.len()).ok()?,
            made_at: i64::try_from(made_at.ok()?.as_micros()).ok()?,
            mapped: is_mapped(&file.name),
            name: file.name,
        })
    });
    let mut facts: Vec<ImageFacts> = facts.collect();
    facts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    facts
}

thread_local! {
    /// Images that this session has opened; those that it has given back are gone.
    static OPENED: RefCell<Vec<(String, Weak<Mmap>)>> = const { RefCell::new(Vec::new()) };
}

fn note_opened(name: &str, map: &Rc<Mmap>) {
    OPENED.with_borrow_mut(|opened| {
        opened.retain(|(_, map)| map.strong_count() > 0);
        opened.push((name.to_owned(), Rc::downgrade(map)));
    });
}

fn is_mapped(name: &str) -> bool {
    OPENED.with_borrow(|opened| {
        let mut opened = opened.iter();
        opened.any(|(other, map)| other == name && map.strong_count() > 0)
    })
}

/// The right to write and remove the images of this database; one session has it at a time.
pub struct Turn {
    _locked: File,
}

impl Turn {
    /// Waits for it for so long at most. An error says why it was not had: others had it all the time, or no file can
    /// be written.
    pub fn take(longest: Duration) -> io::Result<Turn> {
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(mode())
            .open(path(LOCK))?;
        let until = Instant::now() + longest;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Turn { _locked: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    session::check_interrupts();
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes an image, so that other sessions find it from now on. An error says why not.
    pub fn write(&self, name: &str, record: &[u8], arena: &[u8]) -> io::Result<()> {
        let first = arena_offset(record.len()).filter(|first| first + arena.len() <= MOST_BYTES);
        let first = first.ok_or_else(|| io::Error::other("it would be larger than 1 GB"))?;
        let padding = &[0; ALIGNMENT][..first - HEADER - record.len()];
        let header = Header {
            magic: MAGIC,
            checksum: checksum(name, record.len(), arena.len(), &[record, padding, arena]),
            build: BUILD,
            record: record.len() as u64,
            arena: arena.len() as u64,
            unused: [0; 3],
        };
        let unfinished = path(&format!("{name}.{}{UNFINISHED}", session::process()));
        let write = || {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(mode())
                .open(&unfinished)?;
            for part in [header.as_bytes(), record, padding, arena] {
                file.write_all(part)?;
            }
            fs::rename(&unfinished, path(name))
        };
        let written = write();
        if written.is_err() {
            // What could not be written may be there in part.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Removes the images of this database whose names begin with that, but for so many that were written last.
    pub fn keep_newest(&self, prefix: &str, most: usize) {
        let of_prefix = files()
            .filter(|file| file.database == this_database() && file.name.starts_with(prefix));
        let mut found: Vec<image_file::ImageFile> = of_prefix.collect();
        found.sort_unstable_by_key(|file| file.age);
        for file in found.iter().skip(most) {
            remove(&file.name);
        }
    }

    /// Removes the images of this database that are not to be kept, what was left of writing others, and the images of
    /// databases that there are no more. `keeps` is given the name of an image, and how long ago it was written.
    pub fn sweep(&self, keeps: impl Fn(&str, Duration) -> bool) {
        for file in files() {
            let name = &file.name;
            let image = image_mark::image_of(name).unwrap_or(name);
            let is_garbage = match file.database == this_database() {
                true => name != LOCK && (name.ends_with(UNFINISHED) || !keeps(image, file.age)),
                false => !database_exists(file.database),
            };
            if is_garbage {
                let _ = fs::remove_file(&file.path);
            }
        }
    }
}

/// Removes an image of this database, and what was noted of it.
fn remove(name: &str) {
    let _ = fs::remove_file(path(name));
    image_mark::forget(name);
}

thread_local! {
    /// Images of the running transaction, and the subtransactions that wrote them.
    static WRITTEN: RefCell<Vec<(u32, String)>> = const { RefCell::new(Vec::new()) };
}

/// Registers the callbacks. Once per process, from `_PG_init`.
pub fn init() {
    // SAFETY: the callbacks live as long as the process, and are guarded, so that no panic crosses into C.
    unsafe {
        pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction_ended), std::ptr::null_mut());
    }
}

/// Whether the running transaction has written an image.
pub fn has_written() -> bool {
    WRITTEN.with_borrow(|written| !written.is_empty())
}

/// Reads the images whole that the running transaction has written, so that others need not: shortly after they were
/// written, for which large ones are waited for.
pub fn check_written() {
    let names = WRITTEN.with_borrow(|written| {
        written
            .iter()
            .map(|(_, name)| name.clone())
            .collect::<Vec<_>>()
    });
    for name in names {
        let file = open_plain(&path(&name));
        let state = file.and_then(|file| Mark::of(&file, BUILD));
        if let Some(wait) = state.and_then(|state| state.wait()) {
            std::thread::sleep(wait);
            Image::open(&name);
        }
    }
}

/// Removes an image again if the running transaction, or subtransaction, is undone.
pub fn remove_on_abort(name: &str) {
    let entry = (session::subtransaction(), name.to_owned());
    WRITTEN.with_borrow_mut(|written| written.push(entry));
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    match event {
        XACT_EVENT_ABORT => remove_written(|_| true),
        // What was prepared may still be undone: then its images are swept away some day.
        XACT_EVENT_COMMIT | XACT_EVENT_PREPARE => WRITTEN.with_borrow_mut(Vec::clear),
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn subtransaction_ended(
    event: pg_sys::SubXactEvent::Type,
    undone: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // Subtransactions within one have larger numbers; those beside it that are over have smaller ones.
        remove_written(|subtransaction| subtransaction >= undone);
    }
}

/// Removes what the transaction has written in those subtransactions.
fn remove_written(of: impl Fn(u32) -> bool) {
    WRITTEN.with_borrow_mut(|written| {
        for (_, name) in written.extract_if(.., |(by, _)| of(*by)) {
            remove(&name);
        }
    });
}

fn database_exists(database: u32) -> bool {
    let oid = pg_sys::Datum::from(pg_sys::Oid::from(database));
    let none = pg_sys::Datum::from(0);
    // SAFETY: a look into a system catalog, within a transaction, with the key that this cache has.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::DATABASEOID;
        pg_sys::SearchSysCacheExists(cache as i32, oid, none, none, none)
    }
}
