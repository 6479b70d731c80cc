//! The bundle in force, kept by each backend until another is published.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys::INT8OID;

use super::bundle::Bundle;
use super::bundle_image::{self, BundleKey};
use super::chunks;
use super::compile::compile;
use super::compiled::Compiled;
use super::entity_snapshot::{self, EntitySnapshot, is_fresh};
use super::faults::Faults;
use super::publication::bundle_in_force;
use super::scorers::{ModelInputs, Scorers};
use super::staging::add_staged;
use super::tables::Content;
use crate::caps::count_stripes;
use crate::error::Error;
use crate::govern::switches::Switches;
use crate::pg::catalog::{has_no_page, has_value, table};
use crate::pg::invalidation::{self, Watch};
use crate::pg::made::{self, Missed};
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Session, Statement, clock, datum, image, numbered};

thread_local! {
    static LIVE: RefCell<Option<LiveBundle>> = const { RefCell::new(None) };
    /// The last other bundle that was read by its number.
    static OTHER: RefCell<Option<OtherBundle>> = const { RefCell::new(None) };

    static IN_FORCE: Statement = const { Statement::new(include_str!("in_force.sql"), &[]) };
    static CONTENT: Statement = const { Statement::new(
        "SELECT b.content::text FROM decide.bundle AS b WHERE b.bundle = $1",
        &[INT8OID],
    ) };
}

/// The bundle in force, and at which change counts it was read.
#[derive(Clone)]
struct LiveBundle {
    published: u64,
    snapshots: u64,
    switched: u64,
    /// The newest snapshot at that time, used or not.
    newest: Option<i64>,
    key: BundleKey,
    bundle: Rc<Bundle>,
}

/// What is in force, by one statement.
struct InForce {
    key: BundleKey,
    /// When the newest values of features of actions and surfaces were taken.
    snapshot: Option<i64>,
    /// Whether a kill switch was ever used, and whether a feature is staged.
    has_switches: bool,
    has_staged: bool,
}

impl InForce {
    fn read() -> Result<InForce, Error> {
        let key = newest_key().or_else(newest_key_by_statement);
        Ok(InForce {
            key: key.ok_or(Error::NothingPublished)?,
            snapshot: match has_no_page("entity_snapshot") {
                true => None,
                false => entity_snapshot::newest(),
            },
            has_switches: !has_no_page("switch_change"),
            has_staged: has_value("feature_slot", c"staged_at"),
        })
    }
}

/// The bundle that was published last, without a statement where the tables are as they were made.
fn newest_key() -> Option<BundleKey> {
    let number = numbered::newest("publication", [c"bundle"], |row, [bundle]| row.must(bundle))?;
    numbered::by_number("bundle", [c"published_at"], number, |row, [at]| BundleKey {
        number,
        published_in: row.written_in(),
        published_at: row.timestamp(at).unwrap_or(0),
    })
}

fn newest_key_by_statement() -> Option<BundleKey> {
    let mut found = None;
    IN_FORCE.with(|statement| {
        statement.read(&[], |row| {
            found = Some(BundleKey {
                number: row.must(1),
                published_in: row.must::<i64>(2) as u32,
                published_at: row.timestamp(3).unwrap_or(0),
            })
        })
    });
    found
}

/// A bundle, and the change count at which it was read.
#[derive(Clone)]
struct OtherBundle {
    published: u64,
    bundle: Rc<Bundle>,
}

impl LiveBundle {
    /// Whether its models have the values that they should have now, and the switches are those of now.
    fn is_current(&self, now: i64) -> bool {
        self.has_switches_of(now)
            && (self.bundle.entities.is_empty()
                || self.snapshots == invalidation::changes_seen(Watch::Snapshot)
                    && self.newest.filter(|&at| is_fresh(at)) == self.bundle.snapshot)
    }

    fn has_switches_of(&self, now: i64) -> bool {
        self.switched == invalidation::changes_seen(Watch::Switch)
            && self.bundle.switches.hold_at(now)
    }
}

/// The bundle in force, for those who use no model and no kill switch. Costs nothing until another is
/// published.
pub fn live() -> Result<Rc<Bundle>, Error> {
    cached(clock::now(), |_| true)
}

/// The bundle in force, with the newest snapshot of features that is not too old, and with the kill
/// switches of that moment.
pub fn current(now: i64) -> Result<Rc<Bundle>, Error> {
    cached(now, |kept| kept.is_current(now))
}

fn cached(now: i64, is_good: impl Fn(&LiveBundle) -> bool) -> Result<Rc<Bundle>, Error> {
    let published = invalidation::changes(Watch::Publication);
    let known = LIVE.with_borrow(Option::clone);
    let known = known.filter(|kept| kept.published == published);
    if let Some(kept) = &known
        && is_good(kept)
    {
        return Ok(kept.bundle.clone());
    }
    let _session = Session::open();
    invalidation::watch(Watch::Publication, table("publication"));
    invalidation::watch(Watch::Snapshot, table("entity_snapshot"));
    invalidation::watch(Watch::Switch, table("switch_change"));
    // A commit from here on moves the counts again.
    let published = invalidation::changes(Watch::Publication);
    let snapshots = invalidation::changes_seen(Watch::Snapshot);
    let switched = invalidation::changes_seen(Watch::Switch);
    on_latest_snapshot(|| {
        let in_force = InForce::read()?;
        let (key, newest) = (in_force.key, in_force.snapshot);
        let fresh = newest.filter(|&at| is_fresh(at));
        let known = known.filter(|kept| kept.key == key);
        let same = known.as_ref().filter(|kept| {
            kept.published == published
                && kept.bundle.snapshot == fresh.filter(|_| !kept.bundle.entities.is_empty())
                && kept.has_switches_of(now)
        });
        let bundle = match same {
            Some(kept) => kept.bundle.clone(),
            None => {
                let compiled = known.map(|kept| kept.bundle.compiled().clone());
                let bundle = load_live(&in_force, compiled, fresh, now)?;
                count_stripes(&bundle.caps);
                Rc::new(bundle)
            }
        };
        LIVE.set(Some(LiveBundle {
            published,
            snapshots,
            switched,
            newest,
            key,
            bundle: bundle.clone(),
        }));
        Ok(bundle)
    })
}

/// The bundle in force: what was compiled of it is mapped, unless this session has it already.
fn load_live(
    in_force: &InForce,
    compiled: Option<Rc<Compiled>>,
    snapshot: Option<i64>,
    now: i64,
) -> Result<Bundle, Error> {
    let key = &in_force.key;
    let compiled = match compiled {
        Some(compiled) => compiled,
        None => {
            made::note(Missed::Bundle);
            let compiled = bundle_image::compiled(key, || compile_content(key.number))?;
            ready(compiled, key)
        }
    };
    let switches = match in_force.has_switches {
        false => Switches::default(),
        true => Switches::read(None, now),
    };
    let snapshot = snapshot.filter(|_| !compiled.entities.is_empty());
    let scorers = match compiled.has_models() {
        false => Scorers::default(),
        true => {
            made::note(Missed::Models);
            bundle_image::models(key, snapshot, &switches, || {
                compile_models(key.number, &compiled, snapshot, &switches)
            })?
        }
    };
    let mut bundle = Bundle::new(key.number, compiled, scorers, snapshot, switches);
    if in_force.has_staged {
        add_staged(&mut bundle)?;
    }
    Ok(bundle)
}

fn ready(compiled: Compiled, key: &BundleKey) -> Rc<Compiled> {
    for surface in compiled.surfaces.values() {
        surface.rules.published_in.set(key.published_in);
    }
    Rc::new(compiled)
}

/// Makes the images of a bundle that the running transaction puts in force, as sessions will look for them. `plain` are its
/// models without what is switched or known of entities, if they were compiled already.
pub fn prepare_images(
    number: i64,
    compiled: &Rc<Compiled>,
    plain: Option<Scorers>,
) -> Result<(), Error> {
    let key = BundleKey::written(number)?;
    let in_force = bundle_in_force().map(BundleKey::of).transpose()?;
    let now = clock::now();
    let switches = Switches::read(None, now);
    let snapshot = entity_snapshot::newest().filter(|&at| is_fresh(at));
    let snapshot = snapshot.filter(|_| !compiled.entities.is_empty());
    let plain = plain.filter(|_| snapshot.is_none() && !switches.change_models());
    let scorers = match (compiled.has_models(), plain) {
        (false, _) => None,
        (true, Some(plain)) => Some(plain),
        (true, None) => Some(compile_models(number, compiled, snapshot, &switches)?),
    };
    let models = scorers
        .as_ref()
        .map(|scorers| (scorers, snapshot, &switches));
    bundle_image::prepare(&key, compiled, models, in_force.as_ref());
    Ok(())
}

/// Makes the image of the models of the bundle in force with a snapshot that the running transaction writes.
pub fn prepare_models(
    bundle: &Bundle,
    taken_at: i64,
    snapshot: &EntitySnapshot,
) -> Result<(), Error> {
    if !bundle.has_models() {
        return Ok(());
    }
    let key = BundleKey::of(bundle.number)?;
    let switches = Switches::read(None, clock::now());
    let inputs = ModelInputs {
        snapshot: Some(snapshot),
        switches: &switches,
    };
    let scorers = without_faults(|faults| Scorers::compile(bundle, inputs, faults))?;
    bundle_image::prepare_models(&key, &scorers, Some(taken_at), &switches);
    image::check_written();
    Ok(())
}

/// What a decision was made with, as its trace names it.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecisionInputs {
    pub bundle: i64,
    pub snapshot: Option<i64>,
    /// The newest change of a kill switch.
    pub switches: Option<i64>,
    pub at: i64,
}

impl DecisionInputs {
    /// Whether that bundle is with these.
    pub fn is_with(&self, bundle: &Bundle) -> bool {
        (bundle.number, bundle.snapshot) == (self.bundle, self.snapshot)
            && bundle.switches.number == self.switches
            && bundle.switches.hold_at(self.at)
    }
}

/// A bundle by its number, without any snapshot, and with nothing killed.
pub fn by_number(bundle: i64) -> Result<Rc<Bundle>, Error> {
    with_inputs(DecisionInputs {
        bundle,
        ..DecisionInputs::default()
    })
}

/// The bundle of a decision, with its snapshot and its kill switches: the live one, or an old
/// one for a replay.
pub fn with_inputs(inputs: DecisionInputs) -> Result<Rc<Bundle>, Error> {
    if let Ok(bundle) = live()
        && inputs.is_with(&bundle)
    {
        return Ok(bundle);
    }
    let published = invalidation::changes_seen(Watch::Publication);
    if let Some(other) = OTHER.with_borrow(Option::clone)
        && other.published == published
        && inputs.is_with(&other.bundle)
    {
        return Ok(other.bundle);
    }
    let _session = Session::open();
    let bundle = on_latest_snapshot(|| {
        let mut switches = Switches::default();
        switches.turn_to(inputs.switches, inputs.at);
        load(inputs.bundle, inputs.snapshot, switches).map(Rc::new)
    })?;
    OTHER.set(Some(OtherBundle {
        published,
        bundle: bundle.clone(),
    }));
    Ok(bundle)
}

/// Any bundle by its number. What is compiled of it is not kept for other sessions.
fn load(number: i64, snapshot: Option<i64>, switches: Switches) -> Result<Bundle, Error> {
    let (compiled, key) = compiled_of(number)?;
    let compiled = ready(compiled, &key);
    let scorers = compile_models(number, &compiled, snapshot, &switches)?;
    Ok(Bundle::new(number, compiled, scorers, snapshot, switches))
}

/// The bundle of a decision with other policies than were in force; what is wrong with these is among the faults.
pub fn with_policies(
    inputs: DecisionInputs,
    faults: &mut Faults,
    replace: impl FnOnce(&mut Compiled),
) -> Result<Bundle, Error> {
    let _session = Session::open();
    on_latest_snapshot(|| {
        let (number, snapshot) = (inputs.bundle, inputs.snapshot);
        let (mut compiled, key) = compiled_of(number)?;
        replace(&mut compiled);
        let compiled = ready(compiled, &key);
        let mut switches = Switches::default();
        switches.turn_to(inputs.switches, inputs.at);
        let known = snapshot_of(number, snapshot)?;
        let looked_at = ModelInputs {
            snapshot: known.as_ref(),
            switches: &switches,
        };
        let scorers = Scorers::compile(&compiled, looked_at, faults);
        Ok(Bundle::new(number, compiled, scorers, snapshot, switches))
    })
}

fn compiled_of(number: i64) -> Result<(Compiled, BundleKey), Error> {
    let key = BundleKey::of(number)?;
    let compiled = match bundle_image::compiled_before(&key) {
        Some(compiled) => compiled,
        None => compile_content(number)?,
    };
    Ok((compiled, key))
}

fn compile_content(number: i64) -> Result<Compiled, Error> {
    let mut found: Option<String> = None;
    CONTENT
        .with(|statement| statement.read(&[datum::int8(number)], |row| found = Some(row.must(1))));
    let text = found.ok_or(Error::UnknownBundle(number))?;
    let mut content: Content =
        serde_json::from_str(&text).map_err(|e| Error::Damaged(e.to_string()))?;
    content.actions = chunks::of_bundle(number)?;
    without_faults(|faults| compile(number, &content, faults))
}

fn compile_models(
    number: i64,
    compiled: &Compiled,
    snapshot: Option<i64>,
    switches: &Switches,
) -> Result<Scorers, Error> {
    let snapshot = snapshot_of(number, snapshot)?;
    let inputs = ModelInputs {
        snapshot: snapshot.as_ref(),
        switches,
    };
    without_faults(|faults| Scorers::compile(compiled, inputs, faults))
}

fn snapshot_of(number: i64, taken_at: Option<i64>) -> Result<Option<EntitySnapshot>, Error> {
    match taken_at {
        None => Ok(None),
        Some(at) => EntitySnapshot::read(at)?
            .ok_or(Error::UnknownSnapshot(number))
            .map(Some),
    }
}

/// Faults were found when the bundle was published: one of now is damage.
fn without_faults<T>(work: impl FnOnce(&mut Faults) -> T) -> Result<T, Error> {
    let mut faults = Faults::default();
    let made = work(&mut faults);
    match faults.0.first() {
        None => Ok(made),
        Some(fault) => Err(Error::Damaged(fault.to_string())),
    }
}
