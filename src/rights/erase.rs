//! Erasure: the row of the person goes at once, under its lock. What is large is noted for the job `erasure`, which goes
//! through every table once for all persons who wait; until then views and training leave those rows out.
//!
//! 1. The row of the user is locked, or made, and those of all who were merged with them: an event or a decision that is
//!    changing it is waited for, and the ones that come later find a tombstone.
//! 2. It is deleted, which has every session forget, at commit, what it remembers of it.
//! 3. The tombstone, a keyed hash of the pseudonym, keeps late events from bringing the person back.
//! 4. `decide.erasing` notes the pseudonym until the job is done.

use std::collections::HashSet;

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID, UUIDARRAYOID, UUIDOID};
use uuid::Uuid;

use crate::error::Error;
use crate::govern::pseudonym::{self, Keys};
use crate::govern::waiting::{Awaited, waiting_for};
use crate::math::identifier::time_ordered;
use crate::pg::clock::{self, chance, to_unix_micros};
use crate::pg::{Session, Statement, datum, session};
use crate::policy::{UserRow, person_of};

thread_local! {
    static HELD: Statement = const { Statement::new(
        "UPDATE decide.legal_hold AS h SET erasures = pg_catalog.array_append(h.erasures, $2) WHERE h.user_key = ANY ($1)", &[UUIDARRAYOID, UUIDOID]) };
    static FORGET: Statement = const { Statement::new(
        "DELETE FROM decide.consent_log AS l WHERE l.user_key = $1", &[UUIDOID]) };
    static FORGET_REQUESTS: Statement = const { Statement::new(
        "DELETE FROM decide.request AS r WHERE r.user_key = $1", &[UUIDOID]) };
    static FORGET_ADJUSTMENTS: Statement = const { Statement::new(
        "SELECT decide.forget_corrections($1)", &[UUIDOID]) };
    static FORGET_MERGES: Statement = const { Statement::new(
        "DELETE FROM decide.user_merge AS m WHERE m.user_key = $1 OR m.merged_into = $1", &[UUIDOID]) };
    static FORGET_MOVES: Statement = const { Statement::new(
        "DELETE FROM decide.pseudonym_move AS m WHERE m.old_key = $1", &[UUIDOID]) };
    /// Whose a text is that could not be read is not known.
    static FORGET_TEXTS: Statement = const { Statement::new(
        "UPDATE decide.quarantine AS q SET payload = NULL WHERE q.payload OPERATOR(pg_catalog.?) 'unreadable'", &[]) };
    static TOMBSTONE: Statement = const { Statement::new(
        "INSERT INTO decide.tombstone AS t (person, erased_at) VALUES ($1, $2) \
         ON CONFLICT (person) DO UPDATE SET erased_at = GREATEST(t.erased_at, excluded.erased_at)", &[UUIDOID, TIMESTAMPTZOID]) };
    static ERASING: Statement = const { Statement::new(
        "INSERT INTO decide.erasing (erasure, user_key, erased_at) VALUES ($1, $2, $3)", &[UUIDOID, UUIDOID, TIMESTAMPTZOID]) };
    static RECEIPT: Statement = const { Statement::new(
        "INSERT INTO decide.erasure (erasure, asked_at, acting_as, persons, held, users, waits_for) \
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $4 = $5 THEN 'a legal hold' ELSE 'the job' END)",
        &[UUIDOID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT4OID, INT8OID]) };
}

/// Most persons of one call: it locks the rows of all of them.
const MOST: usize = 10_000;

/// Erases these persons, each given by a pseudonym or several; answers the receipt.
pub fn erase(mut users: Vec<Vec<Uuid>>, caller: &str) -> Result<Uuid, Error> {
    if users.len() > MOST {
        return Err(Error::TooMany {
            what: "user_keys",
            number: users.len(),
            most: MOST,
        });
    }
    // In the order in which all sessions lock them.
    users.sort_unstable();
    users.dedup();
    let keys = pseudonym::keys()?;
    let _session = Session::open();
    let asked_at = clock::now();
    let erasure = time_ordered(to_unix_micros(asked_at), chance());
    let (mut persons, mut held, mut rows) = (0, 0, 0);
    let mut done: HashSet<Uuid> = HashSet::new();
    for user_keys in &users {
        session::check_interrupts();
        if user_keys.iter().all(|user_key| done.contains(user_key)) {
            continue;
        }
        persons += 1;
        let person = locked_person(user_keys);
        done.extend(&person);
        let args = [datum::uuids(&person), datum::uuid(erasure)];
        if HELD.with(|statement| statement.write(&args, |_| {})) > 0 {
            held += 1;
            continue;
        }
        for key_of_person in person {
            rows += i64::from(erase_row(key_of_person, erasure, &keys));
        }
    }
    FORGET_TEXTS.with(|statement| statement.write(&[], |_| {}));
    RECEIPT.with(|statement| {
        let args = [
            datum::uuid(erasure),
            datum::timestamp(asked_at),
            datum::text(caller),
            datum::int4(persons),
            datum::int4(held),
            datum::int8(rows),
        ];
        statement.write(&args, |_| {})
    });
    Ok(erasure)
}

/// Erases a person whom no legal hold protects any more; how many rows of users there were. Needs an open session.
pub fn erase_now(user_keys: &[Uuid], erasure: Uuid, keys: &Keys) -> i64 {
    FORGET_TEXTS.with(|statement| statement.write(&[], |_| {}));
    let person = locked_person(user_keys).into_iter();
    let rows = person.map(|user_key| i64::from(erase_row(user_key, erasure, keys)));
    rows.sum()
}

/// How often others may merge users of a person while their rows are waited for.
const MOST_ATTEMPTS: u32 = 8;

/// The pseudonyms of a person: of the user, under every living key, and of all who were merged with them. Their rows are locked, or made: whoever
/// is changing one is waited for, and whoever makes one later finds the tombstone.
fn locked_person(user_keys: &[Uuid]) -> Vec<Uuid> {
    let mut person = person_of(user_keys);
    for _ in 0..MOST_ATTEMPTS {
        for &user_key in &person {
            let row = Awaited {
                what: "the row of a user".into(),
                by: "Another transaction has tracked or decided for that user and has not ended.",
            };
            waiting_for(row, || {
                if UserRow::lock_existing(user_key).is_none() {
                    UserRow::lock(user_key);
                }
            });
        }
        let now = person_of(user_keys);
        if now == person {
            break;
        }
        person = now;
    }
    person
}

/// Deletes a row that is locked, and notes what is left to do; whether anything was in it.
fn erase_row(user_key: Uuid, erasure: Uuid, keys: &Keys) -> bool {
    let was_there = UserRow::newest(user_key).is_some_and(|(row, _)| !row.is_blank());
    let erased_at = datum::timestamp(clock::now());
    UserRow::delete(user_key);
    for forget in [
        &FORGET,
        &FORGET_REQUESTS,
        &FORGET_ADJUSTMENTS,
        &FORGET_MERGES,
        &FORGET_MOVES,
    ] {
        forget.with(|statement| statement.write(&[datum::uuid(user_key)], |_| {}));
    }
    // Where its key is gone, no event can have the pseudonym either.
    if let Some(person) = keys.person(user_key) {
        let args = [datum::uuid(person), erased_at];
        TOMBSTONE.with(|statement| statement.write(&args, |_| {}));
    }
    let waiting = [datum::uuid(erasure), datum::uuid(user_key), erased_at];
    ERASING.with(|statement| statement.write(&waiting, |_| {}));
    was_there
}
