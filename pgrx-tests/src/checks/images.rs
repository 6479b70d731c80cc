//! Images of bundles: made at publish, mapped by every session, and never read where they are not whole.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postgres::Client;

use super::{crashes, shop};
use crate::temporary::Database;

/// A publish leaves an image, and new sessions map it; one that is undone leaves none. Old ones go.
pub fn are_made_by_publishing(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    ensure!(
        images(database)?.len() == 2,
        "there are {:?}",
        images(database)?
    );
    decides_on_image(database)?;
    let before = images(database)?;
    client.batch_execute("BEGIN; SELECT decide.publish('undone'); ROLLBACK")?;
    ensure!(
        images(database)? == before,
        "an undone publish left {:?}",
        images(database)?
    );
    client.batch_execute(
        "BEGIN; SAVEPOINT s; SELECT decide.publish('undone'); ROLLBACK TO s; SELECT decide.publish('kept'); COMMIT",
    )?;
    decides_on_image(database)?;
    for _ in 0..20 {
        client.batch_execute("SELECT decide.publish('again')")?;
    }
    let left = images(database)?;
    ensure!(left.len() <= 4, "of 22 bundles there are still {left:?}");
    decides_on_image(database)?;
    client.batch_execute("SELECT decide.rollback(1, 'back')")?;
    decides_on_image(database)?;
    let killable = [
        ("feature", "clicks"),
        ("coefficient", "value:action.value"),
        ("coefficient", "value:user.clicks*action.value"),
    ];
    for verb in ["kill", "revive"] {
        for (kind, name) in killable {
            client.batch_execute(&format!(
                "SELECT decide.{verb}('{kind}', '{name}', 'a test')"
            ))?;
            decides_on_image(database)?;
        }
    }
    let models = images(database)?;
    let models = models
        .iter()
        .filter(|path| path.to_string_lossy().contains(".bundle.1."));
    ensure!(
        models.count() <= 4,
        "images of models pile up: {:?}",
        images(database)?
    );
    replays_all(&mut client)
}

/// What is done to a file.
type Damage = fn(&mut fs::File) -> Result<()>;

/// Missing, torn, changed in any bit, of another build, of another name: the image is made anew, and the answers are the
/// right ones.
pub fn are_not_read_unless_whole(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let right = answers(&mut database.connect()?)?;
    let damages: [(&str, Damage); 6] = [
        ("a torn one", |file| {
            Ok(file.set_len(file.metadata()?.len() / 2)?)
        }),
        ("an empty one", |file| Ok(file.set_len(0)?)),
        ("one of another build", |file| flip(file, 16)),
        ("a changed header", |file| flip(file, 25)),
        ("a changed record", |file| flip(file, 70)),
        ("a changed end", |file| {
            let length = file.metadata()?.len();
            flip(file, length - 1)
        }),
    ];
    for (what, damage) in damages {
        for path in images(database)? {
            // As a crash of the machine leaves it: sessions that have mapped the file keep theirs.
            let copy = path.with_extension("copy");
            fs::copy(&path, &copy)?;
            damage(&mut OpenOptions::new().read(true).write(true).open(&copy)?)?;
            chown_like(&path, &copy)?;
            fs::rename(&copy, &path)?;
        }
        let found = answers(&mut database.connect()?)?;
        ensure!(
            found == right,
            "with {what} it answers {found:?}, not {right:?}"
        );
        decides_on_image(database).with_context(|| format!("after {what}"))?;
    }
    for path in images(database)? {
        // Others might change what is read.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    }
    ensure!(
        answers(&mut database.connect()?)? == right,
        "with files of all it answers otherwise"
    );
    for path in images(database)? {
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{} has the mode {mode:o}", path.display());
    }
    let paths = images(database)?;
    fs::remove_file(&paths[0])?;
    ensure!(
        answers(&mut database.connect()?)? == right,
        "without an image it answers otherwise"
    );
    decides_on_image(database)?;
    replays_all(&mut client)
}

/// A large image is read whole by who publishes, and marked; what changes the file afterwards is noticed all the same.
pub fn are_marked_when_large(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    client.batch_execute(
        "INSERT INTO decide.action (action, surfaces, attributes) SELECT 'x' || i, '{home}', jsonb_build_object('value', i % 7) FROM generate_series(1, 40000) AS i;
         SELECT decide.publish('large')",
    )?;
    let right = answers(&mut database.connect()?)?;
    let marks = |wanted: usize| -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory(database))? {
            let path = entry?.path();
            if path.to_string_lossy().contains(".checked.bundle.2.") {
                found.push(path);
            }
        }
        ensure!(found.len() == wanted, "there are marks {found:?}");
        Ok(found)
    };
    // That of the bundle, and that of its models.
    for mark in marks(2)? {
        fs::remove_file(mark)?;
    }
    std::thread::sleep(Duration::from_millis(50));
    decides_on_image(database)?;
    marks(2)?;
    drop(client);
    for path in images(database)? {
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        flip(&mut file, length / 2)?;
    }
    ensure!(
        answers(&mut database.connect()?)? == right,
        "with a changed file that was marked it answers otherwise"
    );
    decides_on_image(database)?;
    let mut client = database.connect()?;
    client.batch_execute("BEGIN; SELECT decide.publish('undone'); ROLLBACK")?;
    for _ in 0..3 {
        client.batch_execute("SELECT decide.publish('again')")?;
    }
    marks(0)?;
    replays_all(&mut client)
}

/// Where no file can be written each session compiles for itself.
pub fn can_be_done_without(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let right = answers(&mut database.connect()?)?;
    let directory = directory(database);
    let mode = fs::metadata(&directory)?.permissions();
    for path in images(database)? {
        fs::remove_file(path)?;
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o500))?;
    let mut work = || {
        ensure!(
            answers(&mut database.connect()?)? == right,
            "it answers otherwise"
        );
        client.batch_execute("SELECT decide.publish('without files')")?;
        ensure!(
            answers(&mut database.connect()?)? == right,
            "after a publish it answers otherwise"
        );
        Ok(())
    };
    let done = work();
    fs::set_permissions(&directory, mode)?;
    done?;
    decides_on_image(database)
}

/// Publishing sessions are killed at any moment while others decide: every answer is that of some bundle, and nothing is
/// left behind.
pub fn survive_crashes(database: &Database) -> Result<()> {
    shop::open(&mut database.connect()?)?;
    let right = answers(&mut database.connect()?)?;
    for round in 0..4u64 {
        let mut publisher = database.connect()?;
        let pid: i32 = publisher.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        let working = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let working = &working;
            scope.spawn(move || {
                while working.load(Ordering::Relaxed) {
                    if publisher
                        .batch_execute("SELECT decide.publish('again')")
                        .is_err()
                    {
                        break;
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(300 + 37 * round));
            let killed = kill(Pid::from_raw(pid), Signal::SIGKILL);
            std::thread::sleep(Duration::from_millis(100));
            working.store(false, Ordering::Relaxed);
            killed
        })?;
        let mut client = crashes::revive(database)?;
        ensure!(
            answers(&mut client)? == right,
            "after a crash it answers otherwise"
        );
        decides_on_image(database)?;
        client.batch_execute("SELECT decide.publish('after the crash')")?;
        let left = images(database)?;
        ensure!(left.len() <= 4, "after a crash there are {left:?}");
    }
    replays_all(&mut database.connect()?)
}

/// The images of a database go when another publishes after it was dropped.
pub fn go_with_their_database(database: &Database) -> Result<()> {
    let other = database.server.create_database()?;
    shop::open(&mut other.connect()?)?;
    let left = images(&other)?;
    ensure!(!left.is_empty(), "there is no image to begin with");
    let name = other
        .connect()?
        .query_one("SELECT current_database()::text", &[])?;
    let name: String = name.get(0);
    let mut client = database.connect()?;
    client.batch_execute(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"))?;
    shop::open(&mut client)?;
    ensure!(
        left.iter().all(|path| !path.exists()),
        "the images of a dropped database are there still"
    );
    Ok(())
}

fn directory(database: &Database) -> PathBuf {
    database.server.data().join("pg_stat_tmp")
}

/// The images of a database, in order of their names.
fn images(database: &Database) -> Result<Vec<PathBuf>> {
    let oid = "SELECT oid FROM pg_database WHERE datname = current_database()";
    let oid: u32 = database.connect()?.query_one(oid, &[])?.get(0);
    let prefix = format!("pg_decide.{oid}.bundle.");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory(database))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A new session decides, and has mapped the image of the bundle in force.
fn decides_on_image(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    answers(&mut client)?;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let bundle: i64 = client
        .query_one(
            "SELECT bundle FROM decide.publication ORDER BY publication DESC LIMIT 1",
            &[],
        )?
        .get(0);
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let is_mapped = maps
        .lines()
        .any(|line| line.contains(&format!(".bundle.{bundle}.")) && !line.ends_with("(deleted)"));
    ensure!(is_mapped, "bundle {bundle} is not mapped from an image");
    Ok(())
}

/// Every candidate with its score and probability, for some users.
fn answers(client: &mut Client) -> Result<Vec<String>> {
    let rows = client.query(
        "SELECT e::text FROM generate_series(1, 5) AS i, decide.explain(i, 'home', '{\"device\": \"x\"}', i) AS e ORDER BY i, 1",
        &[],
    )?;
    client.batch_execute("SELECT * FROM decide(1, 'home')")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn replays_all(client: &mut Client) -> Result<()> {
    ensure!(shop::replay_all(client)? > 0, "there are no traces");
    Ok(())
}

/// Changes one bit.
fn flip(file: &mut fs::File, at: u64) -> Result<()> {
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&[byte[0] ^ 4])?;
    Ok(())
}

/// Gives a copy to the user of the original.
fn chown_like(original: &std::path::Path, copy: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let data = fs::metadata(original)?;
    Ok(std::os::unix::fs::chown(
        copy,
        Some(data.uid()),
        Some(data.gid()),
    )?)
}
