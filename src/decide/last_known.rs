//! What this backend has last seen of users, for the moment in which their rows cannot be read.

use std::cell::RefCell;

use uuid::Uuid;

use crate::pg::clock;
use crate::policy::UserRow;

/// Of how many users; a power of two. One that comes takes the place of another.
const USERS: usize = 256;

/// How long it is good for, in microseconds: what was erased or changed meanwhile does not live on.
const GOOD_FOR: i64 = 600_000_000;

#[derive(Default)]
struct Seen {
    user_key: Uuid,
    at: i64,
    row: UserRow,
}

thread_local! {
    static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) };
}

fn place(user_key: Uuid) -> usize {
    user_key.as_u64_pair().1 as usize % USERS
}

/// Keeps a row that was just read; memory is taken once a place.
pub fn keep(user_key: Uuid, now: i64, row: &UserRow) {
    SEEN.with_borrow_mut(|seen| {
        if seen.is_empty() {
            seen.resize_with(USERS, Seen::default);
        }
        let seen = &mut seen[place(user_key)];
        seen.user_key = user_key;
        seen.at = now;
        seen.row.become_like(row);
    })
}

/// The row as it was last seen, if that is not long ago; else an empty one.
pub fn recall(user_key: Uuid, row: &mut UserRow) -> bool {
    let oldest = clock::now().saturating_sub(GOOD_FOR);
    SEEN.with_borrow(|seen| {
        let kept = seen.get(place(user_key));
        let kept = kept.filter(|seen| seen.user_key == user_key && seen.at >= oldest);
        match kept {
            Some(seen) => row.become_like(&seen.row),
            None => row.become_like(&UserRow::default()),
        }
        kept.is_some()
    })
}
