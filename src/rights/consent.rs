//! Consent as the application or the privacy officer records it.

use uuid::Uuid;

use crate::error::{Error, printable};
use crate::govern::waiting::{Awaited, waiting_for};
use crate::observe::Consent;
use crate::pg::locked::Locked;
use crate::pg::{Session, clock, session};
use crate::policy::{self, Bundle, UserRow};

/// How far ahead of the server's clock a decision may be dated, in microseconds.
const FUTURE_TOLERANCE: i64 = 300_000_000;

/// What a person has decided.
pub struct Given<'a> {
    pub user_key: Uuid,
    pub purpose: &'a str,
    pub granted: bool,
    pub source: Option<&'a str>,
    pub at: i64,
}

/// Records these decisions; answers how many came into force. Users are locked in the order in which all sessions do it.
pub fn set(mut given: Vec<Given<'_>>, caller: &str) -> Result<i64, Error> {
    let bundle = policy::live()?;
    for consent in &given {
        check(consent, &bundle)?;
    }
    given.sort_by_key(|consent| consent.user_key);
    let mut held = 0;
    for of_user in given.chunk_by(|a, b| a.user_key == b.user_key) {
        session::check_interrupts();
        held += set_of_user(of_user, &bundle, caller)?;
    }
    Ok(held)
}

fn check(consent: &Given<'_>, bundle: &Bundle) -> Result<(), Error> {
    if bundle.purposes.number(consent.purpose).is_none() {
        return Err(Error::Unknown {
            kind: "purpose",
            name: printable(consent.purpose),
            detail: "The bundle in force has none of that name.",
            hint: "decide.purpose lists them; publish a new one.",
        });
    }
    must_be_past(consent.at)
}

/// A decision, or what is known of a person, is not of the future.
pub(super) fn must_be_past(at: i64) -> Result<(), Error> {
    if at > clock::now().saturating_add(FUTURE_TOLERANCE) {
        let hint = "Give the time at which the person decided; it may be five minutes ahead, as clocks differ.";
        return Err(Error::Refused("at is in the future".into(), hint));
    }
    Ok(())
}

/// Locks the row of a person, or makes one; whose it is.
pub(super) fn lock(user_key: Uuid) -> (Uuid, UserRow, Locked) {
    let waited_for = Awaited {
        what: "the row of a user".into(),
        by: "Another transaction has tracked or decided for that user and has not ended.",
    };
    waiting_for(waited_for, || UserRow::lock_living(user_key))
}

/// Those of one person, whose row is locked for it.
fn set_of_user(given: &[Given<'_>], bundle: &Bundle, caller: &str) -> Result<i64, Error> {
    let _session = Session::open();
    let user_key = given[0].user_key;
    let (user_key, mut row, locked) = lock(user_key);
    let mut in_force = 0;
    for consent in given {
        // Of the past of a person who was erased nothing is kept.
        if row
            .not_before
            .is_some_and(|not_before| consent.at <= not_before)
        {
            continue;
        }
        let purpose = bundle
            .purposes
            .number(consent.purpose)
            .expect("was checked");
        let consent = Consent {
            purpose,
            granted: consent.granted,
            at: consent.at,
            source: consent.source,
        };
        in_force += i64::from(consent.note(user_key, &mut row, caller));
    }
    match in_force > 0 {
        true => row.write(user_key, locked),
        false if row.is_blank() => UserRow::delete(user_key),
        false => {}
    }
    Ok(in_force)
}

/// What holds of each purpose: its name, whether it is granted, and when that was decided.
pub fn of_user(user_key: Uuid) -> Result<Vec<(String, bool, Option<i64>)>, Error> {
    let bundle = policy::live()?;
    let _session = Session::open();
    let mut row = UserRow::default();
    row.read_living(user_key);
    let region = bundle.regions.at(bundle.region_of(&row, None));
    let denied = bundle.denied(&row, region);
    let all = bundle.purposes.iter().map(|(number, name)| {
        let decided_at = row.consents.decided_at(number);
        (name.to_owned(), denied & (1 << number) == 0, decided_at)
    });
    Ok(all.collect())
}
