//! The row of a user: all that is kept of them, locked while it changes.

use std::thread::LocalKey;

use pgrx::pg_sys::{FLOAT8ARRAYOID, INT8OID, UUIDOID};
use uuid::Uuid;

use crate::pg::{Statement, array, datum};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "SELECT s.features, s.keyed, s.events FROM decide.user_state AS s WHERE s.user_key = $1 FOR NO KEY UPDATE",
        &[UUIDOID]) };
    static LOCK_FREE: Statement = const { Statement::new(
        "SELECT s.features, s.keyed, s.events FROM decide.user_state AS s WHERE s.user_key = $1 \
            FOR NO KEY UPDATE SKIP LOCKED", &[UUIDOID]) };
    static MAKE: Statement = const { Statement::new(
        "INSERT INTO decide.user_state (user_key) VALUES ($1) ON CONFLICT DO NOTHING", &[UUIDOID]) };
    static WRITE: Statement = const { Statement::new(
        "UPDATE decide.user_state AS s \
            SET features = $2, keyed = $3, events = $4, updated_at = pg_catalog.now() WHERE s.user_key = $1",
        &[UUIDOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID, INT8OID]) };
}

/// What is kept of a user.
#[derive(Default)]
pub struct UserRow {
    /// Cells of features, by slot.
    pub features: Vec<f64>,
    /// Those that are kept per key.
    pub keyed: Vec<f64>,
    /// How many events are in it.
    pub events: i64,
}

impl UserRow {
    /// Locks the row, or makes one, until the transaction ends: from here on one event of a user waits
    /// for the other, so that one cannot overlook the other. Needs an open session.
    pub fn lock(user_key: Uuid) -> UserRow {
        loop {
            if let Some(row) = UserRow::lock_existing(user_key) {
                return row;
            }
            // Another session may have made it, or an erasure may have removed it, since.
            MAKE.with(|statement| statement.write(&[datum::uuid(user_key)], |_| {}));
            crate::pg::session::check_interrupts();
        }
    }

    /// The same, if there is a row. Needs an open session.
    pub fn lock_existing(user_key: Uuid) -> Option<UserRow> {
        UserRow::read_locked(user_key, &LOCK)
    }

    /// The same, if there is a row and nobody else has it. Needs an open session.
    pub fn lock_if_free(user_key: Uuid) -> Option<UserRow> {
        UserRow::read_locked(user_key, &LOCK_FREE)
    }

    fn read_locked(user_key: Uuid, lock: &'static LocalKey<Statement>) -> Option<UserRow> {
        let mut found = None;
        lock.with(|statement| {
            statement.write(&[datum::uuid(user_key)], |row| {
                let mut kept = UserRow::default();
                row.datum(1)
                    .map(|datum| array::read_into(datum, &mut kept.features));
                row.datum(2)
                    .map(|datum| array::read_into(datum, &mut kept.keyed));
                kept.events = row.must(3);
                found = Some(kept);
            })
        });
        found
    }

    /// Writes the locked row back.
    pub fn write(&self, user_key: Uuid) {
        WRITE.with(|statement| {
            let args = [
                datum::uuid(user_key),
                datum::array(&self.features),
                datum::array(&self.keyed),
                datum::int8(self.events),
            ];
            statement.write(&args, |_| {})
        });
    }
}
