//! The bundle in force, kept by each backend until another is published.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys::{self, INT8OID};

use super::budget;
use super::bundle::Bundle;
use super::compile::compile;
use super::entity::{self, Snapshot, is_fresh};
use super::stage::add_staged;
use super::validate::Faults;
use crate::error::Error;
use crate::pg::invalidation::{self, Watch};
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Session, Statement, datum};

thread_local! {
    static LIVE: RefCell<Option<Kept>> = const { RefCell::new(None) };
    /// The last other bundle that was asked for by number, and the change count at which it was read.
    static OTHER: RefCell<Option<Other>> = const { RefCell::new(None) };

    static WATCHED: Statement = const { Statement::new(
        "SELECT 'decide.publication'::pg_catalog.regclass::pg_catalog.oid, \
                'decide.entity_snapshot'::pg_catalog.regclass::pg_catalog.oid",
        &[],
    ) };
    static NEWEST: Statement = const { Statement::new(
        "SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1",
        &[],
    ) };
    static CONTENT: Statement = const { Statement::new(
        "SELECT b.content::text FROM decide.bundle AS b WHERE b.bundle = $1",
        &[INT8OID],
    ) };
}

/// The bundle in force, and at which change counts it was read.
#[derive(Clone)]
struct Kept {
    published: u64,
    snapshots: u64,
    /// The newest snapshot of then, used or not.
    newest: Option<i64>,
    bundle: Rc<Bundle>,
}

#[derive(Clone)]
struct Other {
    published: u64,
    snapshot: Option<i64>,
    bundle: Rc<Bundle>,
}

impl Kept {
    /// Whether its models have the values that they should have now.
    fn is_current(&self) -> bool {
        self.bundle.entities.is_empty()
            || self.snapshots == invalidation::changes_seen(Watch::Snapshot)
                && self.newest.filter(|&at| is_fresh(at)) == self.bundle.snapshot
    }
}

/// The bundle in force, for whoever asks no model. Costs nothing while nobody publishes.
pub fn live() -> Result<Rc<Bundle>, Error> {
    kept(|_| true)
}

/// The bundle in force, with the newest snapshot of features that is not too old.
pub fn current() -> Result<Rc<Bundle>, Error> {
    kept(Kept::is_current)
}

fn kept(will_do: impl Fn(&Kept) -> bool) -> Result<Rc<Bundle>, Error> {
    let published = invalidation::changes(Watch::Publication);
    let known = LIVE.with_borrow(Option::clone);
    let known = known.filter(|kept| kept.published == published);
    if let Some(kept) = &known
        && will_do(kept)
    {
        return Ok(kept.bundle.clone());
    }
    let _session = Session::open();
    WATCHED.with(|statement| {
        statement.read(&[], |row| {
            invalidation::watch(Watch::Publication, row.must::<pg_sys::Oid>(1));
            invalidation::watch(Watch::Snapshot, row.must::<pg_sys::Oid>(2));
        })
    });
    // Whatever is committed from here on moves the counts again.
    let published = invalidation::changes(Watch::Publication);
    let snapshots = invalidation::changes_seen(Watch::Snapshot);
    on_latest_snapshot(|| {
        let mut number = None;
        NEWEST.with(|statement| statement.read(&[], |row| number = row.get::<i64>(1)));
        let number = number.ok_or(Error::NothingPublished)?;
        let newest = entity::newest();
        let fresh = newest.filter(|&at| is_fresh(at));
        let same = known.filter(|kept| {
            kept.published == published
                && kept.bundle.number == number
                && kept.bundle.snapshot == fresh
        });
        let bundle = match same {
            Some(kept) => kept.bundle,
            None => {
                let mut bundle = load(number, fresh)?;
                add_staged(&mut bundle)?;
                budget::count_stripes(&bundle.caps);
                Rc::new(bundle)
            }
        };
        LIVE.set(Some(Kept {
            published,
            snapshots,
            newest,
            bundle: bundle.clone(),
        }));
        Ok(bundle)
    })
}

/// A bundle by its number, with the snapshot of then: the live one, or an old one for a replay.
pub fn by_number(number: i64, snapshot: Option<i64>) -> Result<Rc<Bundle>, Error> {
    if let Ok(bundle) = live()
        && (bundle.number, bundle.snapshot) == (number, snapshot)
    {
        return Ok(bundle);
    }
    let published = invalidation::changes_seen(Watch::Publication);
    if let Some(other) = OTHER.with_borrow(Option::clone)
        && (other.published, other.snapshot) == (published, snapshot)
        && other.bundle.number == number
    {
        return Ok(other.bundle);
    }
    let _session = Session::open();
    let bundle = on_latest_snapshot(|| load(number, snapshot).map(Rc::new))?;
    OTHER.set(Some(Other {
        published,
        snapshot,
        bundle: bundle.clone(),
    }));
    Ok(bundle)
}

fn load(number: i64, snapshot: Option<i64>) -> Result<Bundle, Error> {
    let mut text = None;
    CONTENT.with(|statement| {
        statement.read(&[datum::int8(number)], |row| text = row.get::<String>(1))
    });
    let text = text.ok_or(Error::UnknownBundle(number))?;
    let content = serde_json::from_str(&text).map_err(|e| Error::Damaged(e.to_string()))?;
    let snapshot = match snapshot {
        None => None,
        Some(at) => {
            let values = Snapshot::read(at)?;
            Some((at, values.ok_or(Error::UnknownSnapshot(number))?))
        }
    };
    let mut faults = Faults::default();
    let bundle = compile(number, &content, snapshot.as_ref(), &mut faults);
    match faults.0.first() {
        None => Ok(bundle),
        Some(fault) => Err(Error::Damaged(fault.to_string())),
    }
}
