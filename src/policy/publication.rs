//! decide.publication: which bundle came into force when, and so which one is.

use pgrx::pg_sys::{self, INT8OID, TEXTOID};

use crate::error::Error;
use crate::govern::turn;
use crate::pg::{Statement, datum, invalidation};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "LOCK TABLE decide.publication IN SHARE ROW EXCLUSIVE MODE", &[]) };
    static NEWEST: Statement = const { Statement::new(
        "SELECT pg_catalog.max(p.publication) FROM decide.publication AS p", &[]) };
    static BUNDLE: Statement = const { Statement::new(
        "SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1",
        &[],
    ) };
    static ADD: Statement = const { Statement::new(
        "INSERT INTO decide.publication (publication, bundle, kind, by, acting_as, note) \
         SELECT COALESCE(pg_catalog.max(p.publication), 0) + 1, $1, $2, SESSION_USER, $4, $3 \
           FROM decide.publication AS p \
         RETURNING 'decide.publication'::pg_catalog.regclass::pg_catalog.oid",
        &[INT8OID, TEXTOID, TEXTOID, TEXTOID]) };
}

/// Locks the table until the transaction ends: sessions publish one after the other, while readers go on. An error
/// where the snapshot of the transaction is older than the newest publication, which it would overwrite unseen.
pub fn take_turn() -> Result<(), Error> {
    turn::take(&LOCK, &NEWEST, "published")
}

/// The bundle in force, if anything was published. Needs an open session.
pub fn bundle_in_force() -> Option<i64> {
    let mut bundle = None;
    BUNDLE.with(|statement| statement.read(&[], |row| bundle = row.get(1)));
    bundle
}

/// Puts a bundle in force from commit on, when every session hears of it. Needs an open session.
pub fn add(bundle: i64, kind: &str, note: Option<&str>, caller: &str) {
    ADD.with(|statement| {
        let args = [
            datum::int8(bundle),
            datum::text(kind),
            datum::optional_text(note),
            datum::text(caller),
        ];
        statement.write(&args, |row| {
            invalidation::announce(row.must::<pg_sys::Oid>(1))
        })
    });
}
