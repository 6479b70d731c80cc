//! The texts of keys, for people: rows of users have numbers in their place.

use std::cell::RefCell;
use std::collections::HashSet;

use pgrx::pg_sys::{INT8OID, TEXTOID};

use crate::math::keyed::key_of;
use crate::pg::{Statement, datum, session};

thread_local! {
    /// Keys whose texts are known to be stored.
    static KNOWN: RefCell<HashSet<u64>> = RefCell::default();
    /// Those that a transaction has stored, which may yet roll back.
    static NEW: RefCell<(u64, HashSet<u64>)> = RefCell::default();
    static STORE: Statement = const { Statement::new(
        "INSERT INTO decide.feature_key (key_hash, key) SELECT $1, pg_catalog.left($2, 200) \
          WHERE NOT EXISTS (SELECT 1 FROM decide.feature_key AS k WHERE k.key_hash = $1)",
        &[INT8OID, TEXTOID]) };
}

/// Most keys that a backend remembers to have seen.
const MOST: usize = 100_000;

/// Stores the texts that are not stored yet. Nobody waits: two sessions may store the same one. Needs
/// an open session.
pub fn remember(keys: Vec<String>) {
    for text in keys {
        let key = key_of(&text);
        if KNOWN.with_borrow(|known| known.contains(&key)) || is_new(key) {
            continue;
        }
        let stored = STORE.with(|statement| {
            statement.write(&[datum::int8(key as i64), datum::text(&text)], |_| {})
        });
        if stored == 1 {
            NEW.with_borrow_mut(|(_, new)| new.insert(key));
            continue;
        }
        KNOWN.with_borrow_mut(|known| {
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(key)
        });
    }
}

/// Whether this transaction has stored it.
fn is_new(key: u64) -> bool {
    let transaction = session::transaction();
    NEW.with_borrow_mut(|(of, new)| {
        if *of != transaction {
            *of = transaction;
            new.clear();
        }
        new.contains(&key)
    })
}
