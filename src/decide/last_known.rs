//! What this backend has last seen of users, for the moment in which their rows cannot be read. It is forgotten
//! once rows of users are deleted: who does that tells all sessions, at commit, by a rule of the table.

use std::cell::{Cell, RefCell};

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

/// The newest change of tables of users that this backend has heard of, and when.
#[derive(Clone, Copy)]
struct Heard {
    changes: u64,
    at: i64,
}

thread_local! {
    static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) };
    static HEARD: Cell<Heard> = const { Cell::new(Heard { changes: 0, at: 0 }) };
}

/// Forgets all, if rows were deleted meanwhile, or the table was altered.
fn listen(changes: u64) -> Heard {
    let mut heard = HEARD.get();
    if heard.changes != changes {
        let at = clock::now();
        heard = Heard { changes, at };
        HEARD.set(heard);
        SEEN.with_borrow_mut(|seen| seen.fill_with(Seen::default));
    }
    heard
}

/// Where a user is kept.
fn index(user_key: Uuid) -> usize {
    user_key.as_u64_pair().1 as usize % USERS
}

/// Keeps a row that was just read, unless the snapshot may be older than what was heard of since; memory is taken
/// once for each index.
pub fn keep(user_key: Uuid, now: i64, row: &UserRow) {
    let heard = listen(invalidation::changes_seen(Watch::Keyed));
    if session::statement_began() <= heard.at {
        return;
    }
    SEEN.with_borrow_mut(|seen| {
        if seen.is_empty() {
            seen.resize_with(USERS, Seen::default);
        }
        let seen = &mut seen[index(user_key)];
        seen.user_key = user_key;
        seen.at = now;
        seen.row.become_like(row);
    })
}

/// Copies the row as it was last seen, if that is not long ago; else an empty one. Whether it was seen.
pub fn recall(user_key: Uuid, row: &mut UserRow) -> bool {
    listen(invalidation::changes(Watch::Keyed));
    let oldest = clock::now().saturating_sub(GOOD_FOR);
    SEEN.with_borrow(|seen| {
        let kept = seen.get(index(user_key));
        let kept = kept.filter(|seen| seen.user_key == user_key && seen.at >= oldest);
        match kept {
            Some(seen) => row.become_like(&seen.row),
            None => row.become_like(&UserRow::default()),
        }
        kept.is_some()
    })
}
