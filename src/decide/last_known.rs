//! What this backend has last seen of users, for the moment in which their rows cannot be read. It is forgotten
//! once rows of users are deleted: who does that tells all sessions, at commit, by a rule of the table.

use std::cell::RefCell;

use uuid::Uuid;

use crate::pg::invalidation::{self, Watch};
use crate::pg::{clock, session};
use crate::policy::UserRow;

/// Of how many users at most; a power of two. One that comes overwrites another.
const USERS: usize = 256;

/// How long it is good for, in microseconds: what has changed meanwhile does not live on.
const GOOD_FOR: i64 = 600_000_000;

#[derive(Default)]
struct Seen {
    user_key: Uuid,
    at: i64,
    row: UserRow,
}

/// Rows of users as they were read, and the newest change of tables of users that this backend has heard of.
#[derive(Default)]
struct LastKnown {
    changes: u64,
    heard_at: i64,
    users: Vec<Seen>,
}

thread_local! {
    static LAST_KNOWN: RefCell<LastKnown> = RefCell::default();
}

impl LastKnown {
    /// Forgets all, if rows were deleted meanwhile, or the table was altered.
    fn hear(&mut self, changes: u64) {
        if self.changes != changes {
            self.changes = changes;
            self.heard_at = clock::now();
            self.users.fill_with(Seen::default);
        }
    }
}

/// Where a user is kept.
fn index(user_key: Uuid) -> usize {
    user_key.as_u64_pair().1 as usize % USERS
}

/// Keeps a row that was just read, unless the snapshot may be older than what was heard of since; memory is taken
/// once for each index.
pub fn keep(user_key: Uuid, now: i64, row: &UserRow) {
    LAST_KNOWN.with_borrow_mut(|known| {
        known.hear(invalidation::changes_seen(Watch::Keyed));
        if session::statement_began() <= known.heard_at {
            return;
        }
        if known.users.is_empty() {
            known.users.resize_with(USERS, Seen::default);
        }
        let seen = &mut known.users[index(user_key)];
        seen.user_key = user_key;
        seen.at = now;
        seen.row.become_like(row);
    })
}

/// Copies the row as it was last seen, if that is not long ago; else an empty one. Whether it was seen.
pub fn recall(user_key: Uuid, row: &mut UserRow) -> bool {
    let changes = invalidation::changes(Watch::Keyed);
    let oldest = clock::now().saturating_sub(GOOD_FOR);
    LAST_KNOWN.with_borrow_mut(|known| {
        known.hear(changes);
        let seen = known.users.get(index(user_key));
        let seen = seen.filter(|seen| seen.user_key == user_key && seen.at >= oldest);
        match seen {
            Some(seen) => row.become_like(&seen.row),
            None => row.become_like(&UserRow::default()),
        }
        seen.is_some()
    })
}
