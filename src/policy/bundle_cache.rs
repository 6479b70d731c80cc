//! The bundle in force, kept by each backend until another is published.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys::{self, INT8OID};

use super::bundle::Bundle;
use super::compile::compile;
use super::entity_snapshot::{self, EntitySnapshot, is_fresh};
use super::faults::Faults;
use super::publication::bundle_in_force;
use super::staging::add_staged;
use crate::caps::count_stripes;
use crate::error::Error;
use crate::govern::switches::Switches;
use crate::pg::invalidation::{self, Watch};
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Session, Statement, clock, datum};

thread_local! {
    static LIVE: RefCell<Option<LiveBundle>> = const { RefCell::new(None) };
    /// The last other bundle that was read by its number.
    static OTHER: RefCell<Option<OtherBundle>> = const { RefCell::new(None) };

    static WATCHED: Statement = const { Statement::new(
        "SELECT 'decide.publication'::pg_catalog.regclass::pg_catalog.oid, \
                'decide.entity_snapshot'::pg_catalog.regclass::pg_catalog.oid, \
                'decide.switch_change'::pg_catalog.regclass::pg_catalog.oid",
        &[],
    ) };
    static CONTENT: Statement = const { Statement::new(
        "SELECT b.content::text, b.xmin::text::bigint FROM decide.bundle AS b WHERE b.bundle = $1",
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
    bundle: Rc<Bundle>,
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
    WATCHED.with(|statement| {
        statement.read(&[], |row| {
            invalidation::watch(Watch::Publication, row.must::<pg_sys::Oid>(1));
            invalidation::watch(Watch::Snapshot, row.must::<pg_sys::Oid>(2));
            invalidation::watch(Watch::Switch, row.must::<pg_sys::Oid>(3));
        })
    });
    // A commit from here on moves the counts again.
    let published = invalidation::changes(Watch::Publication);
    let snapshots = invalidation::changes_seen(Watch::Snapshot);
    let switched = invalidation::changes_seen(Watch::Switch);
    on_latest_snapshot(|| {
        let number = bundle_in_force().ok_or(Error::NothingPublished)?;
        let newest = entity_snapshot::newest();
        let fresh = newest.filter(|&at| is_fresh(at));
        let same = known.filter(|kept| {
            kept.published == published
                && kept.bundle.number == number
                && kept.bundle.snapshot == fresh
                && kept.has_switches_of(now)
        });
        let bundle = match same {
            Some(kept) => kept.bundle,
            None => {
                let mut bundle = load(number, fresh, Switches::read(None, now))?;
                add_staged(&mut bundle)?;
                count_stripes(&bundle.caps);
                Rc::new(bundle)
            }
        };
        LIVE.set(Some(LiveBundle {
            published,
            snapshots,
            switched,
            newest,
            bundle: bundle.clone(),
        }));
        Ok(bundle)
    })
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
    fn is_with(&self, bundle: &Bundle) -> bool {
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

fn load(number: i64, snapshot: Option<i64>, switches: Switches) -> Result<Bundle, Error> {
    let mut found: Option<(String, i64)> = None;
    CONTENT.with(|statement| {
        statement.read(&[datum::int8(number)], |row| {
            found = Some((row.must(1), row.must(2)));
        })
    });
    let (text, published_in) = found.ok_or(Error::UnknownBundle(number))?;
    let content = serde_json::from_str(&text).map_err(|e| Error::Damaged(e.to_string()))?;
    let snapshot = match snapshot {
        None => None,
        Some(at) => {
            let values = EntitySnapshot::read(at)?;
            Some((at, values.ok_or(Error::UnknownSnapshot(number))?))
        }
    };
    let mut faults = Faults::default();
    let bundle = compile(number, &content, snapshot.as_ref(), switches, &mut faults);
    match faults.0.first() {
        None => {
            for surface in bundle.surfaces.values() {
                surface.rules.published_in.set(published_in as u32);
            }
            Ok(bundle)
        }
        Some(fault) => Err(Error::Damaged(fault.to_string())),
    }
}
