//! Bundles and their models as images: written when they come into force, or by who finds none, and mapped by all.

use std::cell::Cell;
use std::fmt::Write;
use std::time::Duration;

use pgrx::pg_sys::INT8OID;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::compiled::Compiled;
use super::scorers::Scorers;
use crate::error::Error;
use crate::govern::switches::Switches;
use crate::math::slab;
use crate::pg::image::{self, Image, Turn, remove_on_abort};
use crate::pg::{Statement, datum};

thread_local! {
    /// The bundle that was in force before the running transaction has published one, and is again if it is undone.
    static BEFORE: Cell<Option<BundleKey>> = const { Cell::new(None) };
    static FIND: Statement = const { Statement::new(
        "SELECT b.xmin::text::bigint, b.published_at FROM decide.bundle AS b WHERE b.bundle = $1", &[INT8OID]) };
}

const _: () = assert!(image::ALIGNMENT.is_multiple_of(slab::ALIGNMENT));

/// How long a session waits for another that makes the image which it needs; then it compiles for itself.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How many images of models of one bundle are kept: sessions change from one to the next.
const MODELS_KEPT: usize = 3;

/// How old images of other bundles are that nobody is about to put in force.
const OTHERS_KEPT: Duration = Duration::from_secs(600);

/// Which bundle it is. A number may come twice, where publishing it was undone or the extension was made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleKey {
    pub number: i64,
    /// The transaction that published it.
    pub published_in: u32,
    pub published_at: i64,
}

impl BundleKey {
    /// That of a row of decide.bundle. Needs to see what the running transaction has written.
    pub fn written(number: i64) -> Result<BundleKey, Error> {
        BundleKey::find(number, true)
    }

    pub fn of(number: i64) -> Result<BundleKey, Error> {
        BundleKey::find(number, false)
    }

    fn find(number: i64, own: bool) -> Result<BundleKey, Error> {
        let mut found: Option<BundleKey> = None;
        let mut note = |row: crate::pg::Row<'_>| {
            found = Some(BundleKey {
                number,
                published_in: row.must::<i64>(1) as u32,
                published_at: row.timestamp(2).unwrap_or(0),
            })
        };
        let args = [datum::int8(number)];
        FIND.with(|statement| match own {
            true => statement.write(&args, &mut note),
            false => statement.read(&args, &mut note),
        });
        found.ok_or(Error::UnknownBundle(number))
    }

    /// The name of the image of the bundle.
    fn name(&self) -> String {
        let BundleKey {
            number,
            published_in,
            published_at,
        } = self;
        format!("bundle.{number}.{published_in}.{published_at:x}")
    }

    /// The name of the image of its models, which depends on all that they look at.
    fn name_of_models(&self, snapshot: Option<i64>, switches: &Switches) -> String {
        let mut inputs = String::new();
        write!(inputs, "{snapshot:?}").expect("writing to memory");
        switches.write_of_models(&mut inputs);
        let hash = crate::math::hash::mix(crate::math::hash::fnv64a(&inputs));
        format!("{}{hash:x}", self.prefix_of_models())
    }

    fn prefix_of_models(&self) -> String {
        format!("{}.models.", self.name())
    }

    /// What the names of its images begin with.
    fn owns(&self, image: &str) -> bool {
        let name = self.name();
        image == name
            || image
                .strip_prefix(&name)
                .is_some_and(|rest| rest.starts_with('.'))
    }
}

/// What was compiled of a bundle: from its image, or by `compile`, which reads its content; then the image is made.
pub fn compiled(
    key: &BundleKey,
    compile: impl FnOnce() -> Result<Compiled, Error>,
) -> Result<Compiled, Error> {
    // Where nobody publishes, as on a standby, this is what removes the images of older bundles.
    let tidy = |turn: &Turn| turn.sweep(|image, age| key.owns(image) || age < OTHERS_KEPT);
    shared(&key.name(), compile, tidy)
}

/// The same of its models.
pub fn models(
    key: &BundleKey,
    snapshot: Option<i64>,
    switches: &Switches,
    compile: impl FnOnce() -> Result<Scorers, Error>,
) -> Result<Scorers, Error> {
    let name = key.name_of_models(snapshot, switches);
    shared(&name, compile, |turn| {
        turn.keep_newest(&key.prefix_of_models(), MODELS_KEPT)
    })
}

/// From an image that is there already.
pub fn compiled_before(key: &BundleKey) -> Option<Compiled> {
    open(&key.name())
}

/// From its image; else one session compiles and writes it, while others wait for that.
fn shared<T: Serialize + DeserializeOwned>(
    name: &str,
    compile: impl FnOnce() -> Result<T, Error>,
    tidy: impl FnOnce(&Turn),
) -> Result<T, Error> {
    if let Some(found) = open(name) {
        return Ok(found);
    }
    let turn = Turn::take(LONGEST_WAIT).ok();
    if let Some(found) = turn.as_ref().and_then(|_| open(name)) {
        return Ok(found);
    }
    let made = compile()?;
    let Some(turn) = turn else {
        return Ok(made);
    };
    if let Err(reason) = write(&turn, name, &made) {
        // Who has published was warned; each session that follows would say the same.
        pgrx::debug1!("{}", not_written(name, &reason));
        return Ok(made);
    }
    tidy(&turn);
    // What was made is given back, and the image is used as by all others.
    Ok(open(name).unwrap_or(made))
}

/// Writes the images of a bundle that comes into force when this transaction commits, and removes those that nobody
/// needs any more: all but these and those of the bundle that is in force, for this transaction and for the others.
pub fn prepare(
    key: &BundleKey,
    compiled: &Compiled,
    models: Option<(&Scorers, Option<i64>, &Switches)>,
    in_force: Option<&BundleKey>,
) {
    let turn = match Turn::take(LONGEST_WAIT) {
        Ok(turn) => turn,
        Err(error) => return warn(&key.name(), &error.to_string()),
    };
    if !image::has_written() {
        BEFORE.set(in_force.copied());
    }
    let kept = [Some(*key), in_force.copied(), BEFORE.get()];
    turn.sweep(|image, _| kept.iter().flatten().any(|key| key.owns(image)));
    if Image::open(&key.name()).is_none() {
        add(&turn, &key.name(), compiled);
    }
    if let Some((scorers, snapshot, switches)) = models {
        let name = key.name_of_models(snapshot, switches);
        if Image::open(&name).is_none() {
            add(&turn, &name, scorers);
        }
    }
}

/// Writes the image of models that the running transaction makes those of now, and removes older ones.
pub fn prepare_models(
    key: &BundleKey,
    models: &Scorers,
    snapshot: Option<i64>,
    switches: &Switches,
) {
    let name = key.name_of_models(snapshot, switches);
    let turn = match Turn::take(LONGEST_WAIT) {
        Ok(turn) => turn,
        Err(error) => return warn(&name, &error.to_string()),
    };
    add(&turn, &name, models);
    turn.keep_newest(&key.prefix_of_models(), MODELS_KEPT);
}

/// Writes an image that goes again if the running transaction is undone, or warns that it could not be written.
fn add<T: Serialize>(turn: &Turn, name: &str, made: &T) {
    remove_on_abort(name);
    write(turn, name, made).unwrap_or_else(|reason| warn(name, &reason));
}

fn open<T: DeserializeOwned>(name: &str) -> Option<T> {
    let image = Image::open(name)?;
    let (bytes, owner) = image.arena();
    let arena = slab::Arena { bytes, owner };
    slab::read(arena, || postcard::from_bytes(image.record())).ok()
}

/// Writes an image, or says why it could not be written.
fn write<T: Serialize>(turn: &Turn, name: &str, made: &T) -> Result<(), String> {
    let (record, arena) = slab::written(|| postcard::to_allocvec(made));
    let record = record.map_err(|error| error.to_string())?;
    let written = turn.write(name, &record, &arena);
    written.map_err(|error| error.to_string())
}

/// Tells who publishes, or runs the job, and the server's log.
fn warn(name: &str, reason: &str) {
    pgrx::warning!("{}", not_written(name, reason));
}

fn not_written(name: &str, reason: &str) -> String {
    format!("the image {name} could not be written: {reason}; each session compiles it for itself")
}
