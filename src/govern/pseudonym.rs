//! From a person to their rows: a keyed hash, and the only link there is.
//!
//! The pseudonym of a user is HMAC-SHA-256 of the text form of their user_id under the key in
//! `decide.secret`, cut to 16 bytes and marked as a UUID of version 8. 42 and '42' are one user.

use std::rc::Rc;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::error::Error;
use crate::pg::invalidation::Watch;
use crate::pg::{Cached, Statement};

/// The key, ready to hash.
pub struct Key {
    mac: Hmac<Sha256>,
    /// Seed of the hash of contexts.
    pub context_seed: u64,
}

thread_local! {
    static KEY: Cached<Rc<Key>> = const { Cached::new(Watch::Publication, "decide.publication") };
    static SECRET: Statement = const { Statement::new(
        "SELECT s.key FROM decide.secret AS s WHERE s.secret = 'user_key'", &[]) };
}

impl Key {
    fn new(secret: &[u8]) -> Key {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        let mut key = Key {
            mac,
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
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// What a tombstone knows a person by: a hash of the pseudonym, which does not tell it.
    pub fn person(&self, user_key: Uuid) -> Uuid {
        let mut text = b"\0erased".to_vec();
        text.extend_from_slice(user_key.as_bytes());
        self.hash(&text)
    }

    /// The hash of the identifier that a client has given to a request.
    pub fn of_request(&self, request_id: &str) -> Uuid {
        self.hash(format!("\0request {request_id}").as_bytes())
    }

    /// The pseudonym of a user.
    pub fn of(&self, user_id: &str) -> Uuid {
        self.hash(user_id.as_bytes())
    }
}

/// The key of this database. It is drawn at the first publish.
pub fn key() -> Result<Rc<Key>, Error> {
    KEY.with(|kept| kept.try_with(read, Rc::clone))
}

fn read() -> Result<Rc<Key>, Error> {
    let mut secret: Option<Vec<u8>> = None;
    SECRET.with(|statement| statement.read(&[], |row| secret = row.get(1)));
    let secret = secret.ok_or(Error::NothingPublished)?;
    Ok(Rc::new(Key::new(&secret)))
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

    #[test]
    fn pseudonyms_are_the_published_hmac() {
        // RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?".
        let pseudonym = Key::new(b"Jefe").of("what do ya want for nothing?");
        let digest = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95,
            0x75, 0xc7,
        ];
        let expected = uuid::Builder::from_custom_bytes(digest).into_uuid();
        assert_eq!(pseudonym, expected);
        assert_eq!(pseudonym.get_version_num(), 8);
    }

    #[test]
    fn a_tombstone_does_not_tell_the_pseudonym() {
        let (key, other) = (Key::new(b"a"), Key::new(b"b"));
        let user = key.of("1");
        assert_ne!(key.person(user), user);
        assert_ne!(key.person(user), other.person(user));
        assert_ne!(key.person(user), key.person(key.of("2")));
    }

    #[test]
    fn users_and_keys_differ() {
        assert_ne!(Key::new(b"a").of("1"), Key::new(b"a").of("2"));
        assert_ne!(Key::new(b"a").of("1"), Key::new(b"b").of("1"));
    }
}
