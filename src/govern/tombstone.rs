//! Persons who were erased: found by a keyed hash of their pseudonym, which does not tell it.

use uuid::Uuid;

use super::pseudonym;
use crate::pg::lookup::Keyed;
use crate::pg::plan::on_latest_snapshot;

const TOMBSTONE: Keyed = Keyed {
    schema: c"decide",
    table: c"tombstone",
    counts: false,
};

/// The columns of decide.tombstone after the key.
const ERASED_AT: i32 = 2;

/// When the person was erased last, as far as that is committed by now or was done in this transaction; None also once
/// the tombstone has expired.
pub fn erased_at(user_key: Uuid) -> Option<i64> {
    let person = pseudonym::keys().ok()?.person(user_key)?;
    let mut erased_at = None;
    on_latest_snapshot(|| TOMBSTONE.read(person, |row| erased_at = row.timestamp(ERASED_AT)));
    erased_at
}
