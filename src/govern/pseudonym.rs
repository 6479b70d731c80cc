//! From a person to their rows: a keyed hash, and the only link there is.
//!
//! The pseudonym of a user is HMAC-SHA-256 of the text form of their user_id under a key of `decide.secret`, cut to 16
//! bytes and marked as a UUID of version 8, whose 4 bits behind the version are the number of the key. 42 and '42' are
//! one user.
//!
//! 1. The first publish draws a key. Nothing else is *living*.
//! 2. `decide.rotate_pseudonyms` adds one, which is the newest from its commit on: new persons are found under it. Rows
//!    of those who are known already have the pseudonym of an older key, which stays living.
//! 3. A rotation is *settled* once no transaction is open that could still make a row under an older key alone.
//! 4. The job `pseudonyms` moves persons who were seen again to the newest key, and deletes a key under which nothing is
//!    kept any more.

use std::cmp::Reverse;
use std::rc::Rc;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

use pgrx::pg_sys::{BOOLOID, BYTEAOID, INT2OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use super::key_source;
use crate::error::Error;
use crate::pg::invalidation::Watch;
use crate::pg::small_table::{self, TypedColumn};
use crate::pg::{Cached, Row, Statement, datum};

/// How many keys can be living at once: a pseudonym has 4 bits for the number of its key.
pub const MOST_KEYS: u8 = 16;

/// A key, ready to hash.
pub struct Key {
    mac: Hmac<Sha256>,
    number: u8,
    /// Seed of the hash of contexts.
    pub context_seed: u64,
}

/// The keys that are living.
pub struct Keys {
    /// The newest first; there is one at least.
    living: Vec<Key>,
    /// Whether no row can come into being under an older key alone.
    pub is_settled: bool,
}

thread_local! {
    static KEYS: Cached<Rc<Keys>> = const { Cached::new(Watch::Publication, "decide.publication") };
    static SECRETS: Statement = const { Statement::new(
        "SELECT s.number, s.key, s.fingerprint, s.settled, s.created_at FROM decide.secret AS s", &[]) };
    static ADD: Statement = const { Statement::new(
        "INSERT INTO decide.secret (number, key, fingerprint, settled, acting_as, created_at) \
         SELECT $1, CASE WHEN $2 IS NULL THEN pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) || pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) END, $2, $3, $4, \
                GREATEST(pg_catalog.clock_timestamp(), pg_catalog.max(s.created_at) + interval '1 microsecond') \
           FROM decide.secret AS s", &[INT2OID, UUIDOID, BOOLOID, TEXTOID]) };
    static MOVE_OUT: Statement = const { Statement::new(
        "UPDATE decide.secret AS s SET key = NULL, fingerprint = $2 WHERE s.key = pg_catalog.decode($1, 'hex')", &[TEXTOID, UUIDOID]) };
}

impl Key {
    fn new(number: u8, secret: &[u8]) -> Key {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        let mut key = Key {
            mac,
            number,
            context_seed: 0,
        };
        let (_, low) = key.hash(b"\0context").as_u64_pair();
        key.context_seed = low;
        key
    }

    fn hash(&self, text: &[u8]) -> Uuid {
        let mut mac = self.mac.clone();
        mac.update(text);
        let digest = mac.finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[NUMBERED] = self.number;
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// What a tombstone knows a person by: a hash of the pseudonym, which does not tell it.
    fn person(&self, user_key: Uuid) -> Uuid {
        let mut text = b"\0erased".to_vec();
        text.extend_from_slice(user_key.as_bytes());
        self.hash(&text)
    }

    /// The hash of the identifier that a client has given to a request.
    pub fn of_request(&self, request_id: &str) -> Uuid {
        self.hash(format!("\0request {request_id}").as_bytes())
    }

    /// The hash of a value of a field of which no more may be known. Equal values of two fields have other hashes.
    pub fn of_value(&self, field: &str, value: &str) -> String {
        let hash = self.hash(format!("\0value {field}\0{value}").as_bytes());
        hash.simple().to_string()
    }

    /// The pseudonym of a user.
    pub fn of(&self, user_id: &str) -> Uuid {
        self.hash(user_id.as_bytes())
    }
}

/// The byte of a pseudonym that has the version of the UUID and, behind it, the number of the key.
const NUMBERED: usize = 6;

/// The number of the key of a pseudonym.
pub fn number_of(user_key: Uuid) -> u8 {
    user_key.as_bytes()[NUMBERED] & 0x0f
}

impl Keys {
    /// The key of new rows.
    pub fn newest(&self) -> &Key {
        &self.living[0]
    }

    /// Those under which there may be rows as well, the newest first.
    pub fn older(&self) -> &[Key] {
        &self.living[1..]
    }

    /// The key under which a pseudonym was made, as far as it is living.
    fn of_pseudonym(&self, user_key: Uuid) -> Option<&Key> {
        let number = number_of(user_key);
        self.living.iter().find(|key| key.number == number)
    }

    /// What a tombstone knows the person of a pseudonym by; None if its key is gone.
    pub fn person(&self, user_key: Uuid) -> Option<Uuid> {
        Some(self.of_pseudonym(user_key)?.person(user_key))
    }

    /// The pseudonyms of a user under every living key, the newest first.
    pub fn all_of(&self, user_id: &str) -> Vec<Uuid> {
        self.living.iter().map(|key| key.of(user_id)).collect()
    }

    /// The hashes by which a request of a user may be known: first that of the key of the pseudonym.
    pub fn of_request(&self, user_key: Uuid, request_id: &str) -> Vec<Uuid> {
        let first = self.of_pseudonym(user_key).unwrap_or(self.newest());
        let others = self.living.iter().filter(|key| key.number != first.number);
        let all = std::iter::once(first).chain(others);
        all.map(|key| key.of_request(request_id)).collect()
    }
}

/// The keys of this database. The first is drawn at the first publish.
pub fn keys() -> Result<Rc<Keys>, Error> {
    KEYS.with(|kept| kept.try_with(read, Rc::clone))
}

/// Tells every session, at commit, that the keys are others.
pub fn announce() {
    KEYS.with(Cached::announce);
}

/// A row of decide.secret.
struct Secret {
    number: u8,
    /// None where the key is outside of the database.
    key: Option<Vec<u8>>,
    fingerprint: Option<Uuid>,
    is_settled: bool,
}

/// Those of the living keys, the newest first.
fn secrets() -> Vec<Secret> {
    let mut secrets: Vec<(Option<i64>, Secret)> = Vec::new();
    let mut note = |row: &Row<'_>, [number, key, fingerprint, is_settled, created]: [i32; 5]| {
        let secret = Secret {
            number: row.must::<i16>(number) as u8,
            key: row.get(key),
            fingerprint: row.uuid(fingerprint),
            is_settled: row.must(is_settled),
        };
        secrets.push((row.timestamp(created), secret));
    };
    if !small_table::each_row("secret", COLUMNS, |row, columns| note(&row, columns)) {
        SECRETS.with(|statement| statement.read(&[], |row| note(&row, [1, 2, 3, 4, 5])));
    }
    secrets.sort_by_key(|(created, secret)| Reverse((*created, secret.number)));
    secrets.into_iter().map(|(_, secret)| secret).collect()
}

/// What is read of it.
const COLUMNS: [TypedColumn; 5] = [
    (c"number", INT2OID),
    (c"key", BYTEAOID),
    (c"fingerprint", UUIDOID),
    (c"settled", BOOLOID),
    (c"created_at", TIMESTAMPTZOID),
];

fn read() -> Result<Rc<Keys>, Error> {
    let secrets = secrets();
    if secrets.is_empty() {
        return Err(Error::NothingPublished);
    }
    let living = secrets.iter().map(|secret| match &secret.key {
        Some(key) => Ok(Key::new(secret.number, key)),
        None => outside(secret),
    });
    Ok(Rc::new(Keys {
        living: living.collect::<Result<_, Error>>()?,
        is_settled: secrets.iter().all(|secret| secret.is_settled),
    }))
}

/// The key of a row that has only its fingerprint.
fn outside(secret: &Secret) -> Result<Key, Error> {
    let find = |keys: &[Vec<u8>]| {
        let mut keys = keys.iter();
        let key = keys.find(|key| Some(fingerprint_of(key)) == secret.fingerprint)?;
        Some(Key::new(secret.number, key))
    };
    if let Some(key) = find(&key_source::known()?) {
        return Ok(key);
    }
    find(&key_source::read_again()?).ok_or_else(|| {
        let why = format!(
            "key {} of decide.pseudonym_key is not among those that are given",
            secret.number
        );
        key_source::unavailable(&why)
    })
}

/// What a key outside of the database is recognized by.
fn fingerprint_of(key: &[u8]) -> Uuid {
    Key::new(0, key).hash(b"\0fingerprint")
}

/// Adds a key of that number: a new one of what is outside, where the settings say that keys are there, else one that is
/// drawn. Needs an open session.
pub fn add(number: i16, settled: bool, caller: &str) -> Result<(), Error> {
    let fingerprint = match key_source::source() {
        None => None,
        Some(_) => Some(new_outside()?),
    };
    let args = [
        datum::int2(number),
        fingerprint.and_then(datum::uuid),
        datum::bool(settled),
        datum::text(caller),
    ];
    ADD.with(|statement| statement.write(&args, |_| {}));
    announce();
    Ok(())
}

/// The fingerprint of the first key outside that is not living yet.
fn new_outside() -> Result<Uuid, Error> {
    let (living, keys) = (secrets(), key_source::read_again()?);
    let is_living = |key: &Vec<u8>| {
        let mine = |secret: &Secret| {
            secret.key.as_ref() == Some(key) || secret.fingerprint == Some(fingerprint_of(key))
        };
        living.iter().any(mine)
    };
    let new = keys.iter().find(|key| !is_living(key));
    new.map(|key| fingerprint_of(key)).ok_or_else(|| {
        Error::Refused(
            "there is no new key outside of the database".into(),
            "Have pg_decide.key_file or pg_decide.key_command give it before the living ones, which must stay.",
        )
    })
}

/// Whether there is any key.
pub fn is_any() -> bool {
    !secrets().is_empty()
}

/// Deletes keys from the table that are outside as well; how many. Needs an open session.
pub fn move_outside() -> Result<u64, Error> {
    if key_source::source().is_none() || secrets().iter().all(|secret| secret.key.is_none()) {
        return Ok(0);
    }
    let mut moved = 0;
    for key in key_source::read_again()?.iter() {
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let args = [datum::text(&digits), datum::uuid(fingerprint_of(key))];
        moved += MOVE_OUT.with(|statement| statement.write(&args, |_| {}));
    }
    if moved > 0 {
        announce();
    }
    Ok(moved)
}

/// Longest user_id, in bytes.
pub const LONGEST: usize = 1024;

/// The text form of a user_id, checked.
pub fn user_id(text: Option<&str>) -> Result<&str, Error> {
    let text = text.ok_or(Error::Null("user_id"))?;
    if text.trim().is_empty() {
        return Err(Error::EmptyUser);
    }
    if text.len() > LONGEST {
        return Err(Error::LongUser(text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[&[u8]]) -> Keys {
        let numbered = secrets.iter().zip(0..);
        let mut living: Vec<_> = numbered
            .map(|(secret, number)| Key::new(number, secret))
            .collect();
        living.reverse();
        Keys {
            living,
            is_settled: true,
        }
    }

    #[test]
    fn pseudonyms_are_the_published_hmac() {
        // RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?".
        let pseudonym = Key::new(5, b"Jefe").of("what do ya want for nothing?");
        let digest = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95,
            0x75, 0xc7,
        ];
        let mut expected = digest;
        (expected[6], expected[8]) = (0x85, 0xaa);
        assert_eq!(pseudonym.as_bytes(), &expected);
        assert_eq!(pseudonym.get_version_num(), 8);
        assert_eq!(number_of(pseudonym), 5);
    }

    #[test]
    fn a_tombstone_does_not_tell_the_pseudonym() {
        let (keys, other) = (keys(&[b"a"]), keys(&[b"b"]));
        let user = keys.newest().of("1");
        let another = keys.newest().of("2");
        assert_ne!(keys.person(user), Some(user));
        assert_ne!(keys.person(user), other.person(user));
        assert_ne!(keys.person(user), keys.person(another));
    }

    #[test]
    fn users_and_keys_differ() {
        let of = |secret, user| Key::new(0, secret).of(user);
        assert_ne!(of(b"a", "1"), of(b"a", "2"));
        assert_ne!(of(b"a", "1"), of(b"b", "1"));
    }

    #[test]
    fn what_was_made_under_an_older_key_is_found_under_it() {
        let (before, after) = (keys(&[b"a"]), keys(&[b"a", b"b"]));
        let user = before.newest().of("1");
        assert_eq!(after.older().len(), 1);
        assert_eq!(after.all_of("1"), [after.newest().of("1"), user]);
        assert_eq!(after.person(user), before.person(user));
        let named = before.of_request(user, "r")[0];
        assert_eq!(after.of_request(user, "r")[0], named);
        assert_eq!(after.of_request(after.newest().of("1"), "r")[1], named);
        // its key is gone
        assert_eq!(keys(&[b"a"]).person(after.newest().of("1")), None);
    }
}
