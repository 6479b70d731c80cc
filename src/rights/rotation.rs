//! Rotation of the pseudonyms: a new key, under which new persons are found from commit on. Nothing is moved here; who is
//! known is found under the older keys (`policy::user_key`), and the job `pseudonyms` does the rest.

use pgrx::pg_sys::INT2OID;

use crate::error::Error;
use crate::govern::{pseudonym, turn};
use crate::pg::{Session, Statement, datum};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "LOCK TABLE decide.secret IN SHARE ROW EXCLUSIVE MODE", &[]) };
    static NEWEST: Statement = const { Statement::new(
        "SELECT (EXTRACT(epoch FROM pg_catalog.max(s.created_at)) * 1000000)::pg_catalog.int8 FROM decide.secret AS s", &[]) };
    static UNSETTLED: Statement = const { Statement::new(
        "SELECT s.number FROM decide.secret AS s WHERE NOT s.settled", &[]) };
    static FREE: Statement = const { Statement::new(
        "SELECT n.number::pg_catalog.int2 \
           FROM (SELECT (l.number + i) % $1 AS number, i \
                   FROM (SELECT s.number FROM decide.secret AS s ORDER BY s.created_at DESC LIMIT 1) AS l, pg_catalog.generate_series(1, $1) AS i) AS n \
          WHERE NOT EXISTS (SELECT FROM decide.secret AS s WHERE s.number = n.number) ORDER BY n.i LIMIT 1", &[INT2OID]) };
}

/// Adds a key; answers its number.
pub fn rotate(caller: &str) -> Result<i32, Error> {
    pseudonym::keys()?;
    let _session = Session::open();
    turn::take(&LOCK, &NEWEST, "rotated the pseudonyms")?;
    if UNSETTLED.with(|statement| statement.write(&[], |_| {})) > 0 {
        return Err(Error::Refused(
            "the rotation before is not settled yet".into(),
            "It is once the transactions have ended that were open then, and the job \"pseudonyms\" has run twice since: decide.run_job('pseudonyms').",
        ));
    }
    let mut free: Option<i16> = None;
    let most = datum::int2(pseudonym::MOST_KEYS.into());
    FREE.with(|statement| statement.write(&[most], |row| free = row.get(1)));
    let number = free.ok_or_else(|| {
        Error::Refused(
            format!("there are {} living keys already", pseudonym::MOST_KEYS),
            "decide.pseudonym_key says in which tables there are still rows under older ones; a key goes with the last of these.",
        )
    })?;
    pseudonym::add(number, false, caller)?;
    Ok(number.into())
}
