//! From a user_id to the pseudonym under which the person is found: of the newest key, or, after a rotation and until the
//! job `pseudonyms` has moved the person, of an older one.
//!
//! With one living key that is a hash. With older ones it is a look-up of the row of the user under each key, the newest
//! first. A person is under one key only: who is under an older one stays there until the move, which makes the row
//! under the old key one that is merged into the new one; who is new gets the newest. While transactions may be open that
//! know only an older key, the row under that key is what decides between two of them, by the primary key: the
//! first to make it has the person, and a new person of the newest key has a row under the older ones as well, which
//! says that it is merged into the newest.

use pgrx::pg_sys::UUIDOID;
use uuid::Uuid;

use super::user::UserRow;
use crate::error::Error;
use crate::govern::pseudonym::{self, Key, Keys};
use crate::govern::tombstone;
use crate::pg::attempt::attempt_aside_for;
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Session, Statement, datum};

thread_local! {
    static NOTE: Statement = const { Statement::new(
        "INSERT INTO decide.pseudonym_move (old_key, new_key) SELECT $1, $2 \
          WHERE NOT EXISTS (SELECT FROM decide.pseudonym_move AS m WHERE m.old_key = $1)", &[UUIDOID, UUIDOID]) };
    static CLAIM: Statement = const { Statement::new(
        "INSERT INTO decide.user_state (user_key, merged_into) VALUES ($1, $2) ON CONFLICT DO NOTHING", &[UUIDOID, UUIDOID]) };
}

/// Whether who asks may write: then a person who is under an older key is noted for the job `pseudonyms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    ToRead,
    ToWrite,
}

/// The longest wait for a note or a claim, in milliseconds.
const WAIT_MS: u32 = 20;

/// The pseudonym of a user whose user_id was checked.
pub fn user_key(user_id: &str, seen: Seen) -> Result<Uuid, Error> {
    let keys = pseudonym::keys()?;
    Ok(user_key_of(&keys, user_id, seen))
}

/// The same with keys that are at hand.
pub fn user_key_of(keys: &Keys, user_id: &str, seen: Seen) -> Uuid {
    let newest = keys.newest().of(user_id);
    match keys.older() {
        [] => newest,
        older => find(keys, older, user_id, newest, seen),
    }
}

/// All pseudonyms of a user under the living keys.
pub fn every_key_of(user_id: &str) -> Result<Vec<Uuid>, Error> {
    Ok(pseudonym::keys()?.all_of(user_id))
}

/// All pseudonyms under which rows of the person with these may be, in order: with all who were merged.
pub fn person_of(user_keys: &[Uuid]) -> Vec<Uuid> {
    let mut person = user_keys.to_vec();
    for &user_key in user_keys {
        let living = UserRow::living(user_key);
        let merged = UserRow::newest(living).map(|(row, _)| row.merged_from);
        person.push(living);
        person.extend(merged.into_iter().flatten());
    }
    person.sort_unstable();
    person.dedup();
    person
}

/// Where a person is found.
enum Found {
    /// Under the newest key.
    Newest,
    /// Under that older one, which a row or a tombstone says.
    Older(Uuid),
}

fn find(keys: &Keys, older: &[Key], user_id: &str, newest: Uuid, seen: Seen) -> Uuid {
    let _session = Session::open();
    let older: Vec<Uuid> = older.iter().map(|key| key.of(user_id)).collect();
    // What a statement of the caller sees comes first: there the row is read.
    let by_row = || by_row(newest, &older);
    let mut found = by_row();
    if found.is_none() {
        found = on_latest_snapshot(by_row);
    }
    match found {
        Some(Found::Newest) => return newest,
        Some(Found::Older(old)) => {
            if seen == Seen::ToWrite {
                note(old, newest);
            }
            return old;
        }
        None => {}
    }
    let was_erased = |user_key| tombstone::erased_at(user_key).is_some();
    let is_of_newest = was_erased(newest);
    for &old in &older {
        if UserRow::is_being_made(old) || !is_of_newest && was_erased(old) {
            return old;
        }
        let must_claim = seen == Seen::ToWrite && !keys.is_settled;
        if must_claim && !claim(old, newest) {
            return old;
        }
    }
    newest
}

/// Under which key the person has a row.
fn by_row(newest: Uuid, older: &[Uuid]) -> Option<Found> {
    if UserRow::look(newest).is_some() {
        return Some(Found::Newest);
    }
    older.iter().find_map(|&old| {
        let into = UserRow::look(old)?;
        Some(match into == Some(newest) {
            true => Found::Newest,
            false => Found::Older(old),
        })
    })
}

/// Notes a person for the move; a note that is lost is made when the person is seen again.
fn note(old: Uuid, newest: Uuid) {
    let args = [datum::uuid(old), datum::uuid(newest)];
    attempt_aside_for(WAIT_MS, || {
        NOTE.with(|statement| statement.write(&args, |_| {}))
    });
}

/// Makes the row that says that a new person is under the newest key; false if others have made one, or are making it.
fn claim(old: Uuid, newest: Uuid) -> bool {
    let args = [datum::uuid(old), datum::uuid(newest)];
    let claimed = attempt_aside_for(WAIT_MS, || {
        CLAIM.with(|statement| statement.write(&args, |_| {}))
    });
    claimed.is_some_and(|rows| rows > 0)
}
