//! The texts of keys: rows of users have their hashes, and decide.features() shows the texts.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use pgrx::pg_sys::{INT8OID, TEXTOID};

use crate::math::keyed::key_of;
use crate::pg::{Statement, datum, session};

thread_local! {
    static STORED: RefCell<StoredKeys> = RefCell::default();
    static STORE: Statement = const { Statement::new(
        "INSERT INTO decide.feature_key (key_hash, key) SELECT $1, pg_catalog.left($2, 200) \
          WHERE NOT EXISTS (SELECT 1 FROM decide.feature_key AS k WHERE k.key_hash = $1)",
        &[INT8OID, TEXTOID]) };
}

/// Most keys that a backend remembers to have seen.
const MOST: usize = 100_000;

/// Keys whose texts are known to be stored.
#[derive(Default)]
struct StoredKeys {
    committed: HashSet<u64>,
    uncommitted: Uncommitted,
}

impl StoredKeys {
    fn has(&mut self, key: u64) -> bool {
        self.committed.contains(&key) || self.uncommitted.has(key)
    }

    /// Notes a key that this transaction has stored, or has found stored.
    fn note(&mut self, key: u64, stored: bool) {
        if self.uncommitted.note(key, stored) {
            return;
        }
        if self.committed.len() >= MOST {
            self.committed.clear();
        }
        self.committed.insert(key);
    }
}

/// The keys that this transaction has stored or found: it may yet roll back, as a whole or to a savepoint.
#[derive(Default)]
struct Uncommitted {
    transaction: u64,
    /// It has stored some: one that it finds stored may be its own.
    any: bool,
    /// In which of its subtransactions each was stored or found; another subtransaction looks again.
    seen: HashMap<u64, u32>,
}

impl Uncommitted {
    /// Whether the running subtransaction has stored or found it.
    fn has(&mut self, key: u64) -> bool {
        let transaction = session::transaction();
        if self.transaction != transaction {
            *self = Uncommitted {
                transaction,
                ..Uncommitted::default()
            };
        }
        self.seen.get(&key) == Some(&session::subtransaction())
    }

    /// Notes a key; false if it was found and another transaction has stored it, so that it stays.
    fn note(&mut self, key: u64, stored: bool) -> bool {
        self.any |= stored;
        if self.any {
            if self.seen.len() >= MOST {
                self.seen.clear();
            }
            self.seen.insert(key, session::subtransaction());
        }
        self.any
    }
}

/// Stores the texts that are not stored yet. It waits for no other session: two of them may store the same text.
pub fn remember(keys: Vec<String>) {
    for text in keys {
        let key = key_of(&text);
        if STORED.with_borrow_mut(|keys| keys.has(key)) {
            continue;
        }
        let args = [datum::int8(key as i64), datum::text(&text)];
        let stored = STORE.with(|statement| statement.write(&args, |_| {}));
        STORED.with_borrow_mut(|keys| keys.note(key, stored == 1));
    }
}
