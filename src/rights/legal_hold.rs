//! Legal holds: what must be kept for now is not erased, and an erasure waits until the hold is lifted.

use pgrx::pg_sys::{INT8OID, TEXTOID, UUIDARRAYOID, UUIDOID};
use uuid::Uuid;

use super::erase::erase_now;
use crate::error::Error;
use crate::govern::pseudonym;
use crate::govern::turn;
use crate::pg::{Session, Statement, datum};

thread_local! {
    static SET: Statement = const { Statement::new(
        "INSERT INTO decide.legal_hold AS h (user_key, why, acting_as) VALUES ($1, $2, $3) \
         ON CONFLICT (user_key) DO UPDATE SET why = excluded.why", &[UUIDOID, TEXTOID, TEXTOID]) };
    static LIFT: Statement = const { Statement::new(
        "WITH lifted AS (DELETE FROM decide.legal_hold AS h WHERE h.user_key = ANY ($1) RETURNING h.erasures) \
         SELECT e.erasure FROM lifted AS l LEFT JOIN LATERAL pg_catalog.unnest(l.erasures) AS e (erasure) ON true", &[UUIDARRAYOID]) };
    static GOES_ON: Statement = const { Statement::new(
        "UPDATE decide.erasure AS r SET held = r.held - 1, users = r.users + $2, waits_for = 'the job' WHERE r.erasure = $1", &[UUIDOID, INT8OID]) };
}

/// Places a person under a legal hold, or gives the hold that there is another reason.
pub fn set(user_key: Uuid, why: &str, caller: &str) -> Result<(), Error> {
    turn::check(why, None)?;
    let _session = Session::open();
    let args = [datum::uuid(user_key), datum::text(why), datum::text(caller)];
    SET.with(|statement| statement.write(&args, |_| {}));
    Ok(())
}

/// Lifts the hold of a person with these pseudonyms; erasures that have waited for it begin.
pub fn lift(user_keys: &[Uuid]) -> Result<(), Error> {
    let keys = pseudonym::keys()?;
    let _session = Session::open();
    let mut erasures: Vec<Option<Uuid>> = Vec::new();
    LIFT.with(|statement| {
        statement.write(&[datum::uuids(user_keys)], |row| erasures.push(row.uuid(1)))
    });
    if erasures.is_empty() {
        return Err(Error::NotHeld);
    }
    for erasure in erasures.into_iter().flatten() {
        let rows = erase_now(user_keys, erasure, &keys);
        let args = [datum::uuid(erasure), datum::int8(rows)];
        GOES_ON.with(|statement| statement.write(&args, |_| {}));
    }
    Ok(())
}
