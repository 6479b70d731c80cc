//! The bundle in force, kept by each backend until another is published.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys::{self, INT8OID};

use super::bundle::Bundle;
use super::compile::compile;
use super::stage::add_staged;
use super::validate::Faults;
use crate::error::Error;
use crate::pg::invalidation::{self, Watch};
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Session, Statement, datum};

thread_local! {
    /// The change count at which it was read, and the bundle.
    static LIVE: RefCell<Option<(u64, Rc<Bundle>)>> = const { RefCell::new(None) };
    /// The last other bundle that was asked for by number.
    static OTHER: RefCell<Option<(u64, Rc<Bundle>)>> = const { RefCell::new(None) };

    static NEWEST: Statement = const { Statement::new(
        "SELECT 'decide.publication'::pg_catalog.regclass::pg_catalog.oid, \
                (SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1)",
        &[],
    ) };
    static CONTENT: Statement = const { Statement::new(
        "SELECT b.content::text FROM decide.bundle AS b WHERE b.bundle = $1",
        &[INT8OID],
    ) };
}

/// The bundle in force. Costs nothing while nobody publishes.
pub fn live() -> Result<Rc<Bundle>, Error> {
    let changes = invalidation::changes(Watch::Publication);
    if let Some((seen, bundle)) = LIVE.with_borrow(Option::clone)
        && seen == changes
    {
        return Ok(bundle);
    }
    let _session = Session::open();
    on_latest_snapshot(|| {
        let mut newest = None;
        NEWEST.with(|statement| {
            statement.read(&[], |row| {
                invalidation::watch(Watch::Publication, row.must::<pg_sys::Oid>(1));
                newest = row.get::<i64>(2);
            })
        });
        // Whatever is committed from here on moves the count again.
        let changes = invalidation::changes_seen(Watch::Publication);
        let mut bundle = load(newest.ok_or(Error::NothingPublished)?)?;
        add_staged(&mut bundle)?;
        let bundle = Rc::new(bundle);
        LIVE.set(Some((changes, bundle.clone())));
        Ok(bundle)
    })
}

/// A bundle by its number: the live one, or an old one for a replay.
pub fn by_number(number: i64) -> Result<Rc<Bundle>, Error> {
    if let Ok(bundle) = live()
        && bundle.number == number
    {
        return Ok(bundle);
    }
    let changes = invalidation::changes_seen(Watch::Publication);
    if let Some((seen, bundle)) = OTHER.with_borrow(Option::clone)
        && seen == changes
        && bundle.number == number
    {
        return Ok(bundle);
    }
    let _session = Session::open();
    let bundle = on_latest_snapshot(|| load(number).map(Rc::new))?;
    OTHER.set(Some((changes, bundle.clone())));
    Ok(bundle)
}

fn load(number: i64) -> Result<Bundle, Error> {
    let mut text = None;
    CONTENT.with(|statement| {
        statement.read(&[datum::int8(number)], |row| text = row.get::<String>(1))
    });
    let text = text.ok_or(Error::UnknownBundle(number))?;
    let content = serde_json::from_str(&text).map_err(|e| Error::Damaged(e.to_string()))?;
    let mut faults = Faults::default();
    let bundle = compile(number, &content, &mut faults);
    match faults.0.first() {
        None => Ok(bundle),
        Some(fault) => Err(Error::Damaged(fault.to_string())),
    }
}
