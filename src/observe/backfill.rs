//! The past of a feature that has come later than its events: computed from those that are kept, user
//! by user, while track() goes on.

use std::cell::Cell;

use pgrx::pg_sys::{INT8OID, UUIDOID};
use uuid::Uuid;

use super::stored::Stored;
use super::{features, keys};
use crate::error::Error;
use crate::math::aggregate::cells_at_mut;
use crate::math::keyed;
use crate::pg::locked::NotLocked;
use crate::pg::plan::Access;
use crate::pg::{Session, Statement, datum, session};
use crate::policy::{self, Bundle, Stage, UserRow};

thread_local! {
    static USERS: Statement = const { Statement::new(
        "SELECT s.user_key FROM decide.user_state AS s WHERE s.user_key > $1 ORDER BY s.user_key LIMIT $2",
        &[UUIDOID, INT8OID]) };
    static LEFT: Cell<i64> = const { Cell::new(0) };
}

/// How many users the last step has left for later.
pub fn left() -> i64 {
    LEFT.get()
}

/// Users of one transaction: few enough that who waits for one of them waits only a moment.
const BATCH: i64 = 1_000;

/// What a step did.
pub struct Filled {
    pub users: i64,
    pub more: bool,
    /// How many users are left, since other transactions have their rows.
    pub left: i64,
}

/// Stages the feature, or computes the next part of its past; says in words how far it is.
pub fn backfill(feature: &str) -> Result<String, Error> {
    let _session = Session::open();
    let slot = match policy::stage(feature)? {
        Stage::Begun => {
            return Ok("staged; commit, then call again or let the job go on".into());
        }
        Stage::Done(true) => return Ok("done: in force".into()),
        Stage::Done(false) => return Ok("done: publish to switch over".into()),
        Stage::Going(slot) => slot,
    };
    let filled = fill(slot)?;
    Ok(match (filled.more, policy::stage(feature)?) {
        (false, Stage::Done(true)) => format!("{} users done: in force", filled.users),
        (false, Stage::Done(false)) => {
            format!("{} users done: publish to switch over", filled.users)
        }
        _ => format!(
            "{} users done; call again or let the job go on",
            filled.users
        ),
    })
}

/// The next part of any feature that is staged.
pub fn step() -> Result<Filled, Error> {
    let Some(slot) = policy::next_to_fill() else {
        return Ok(Filled {
            users: 0,
            more: false,
            left: 0,
        });
    };
    let filled = fill(slot)?;
    LEFT.set(filled.left);
    let more =
        filled.more || filled.left == 0 && filled.users > 0 && policy::next_to_fill().is_some();
    Ok(Filled { more, ..filled })
}

fn fill(slot: i32) -> Result<Filled, Error> {
    let bundle = policy::live()?;
    let place = bundle.features.iter().position(|f| f.slot == slot as usize);
    let (Some(place), Some(from)) = (place, policy::take_to_fill(slot)) else {
        return Ok(Filled {
            users: 0,
            more: false,
            left: 0,
        });
    };
    let users = users_after(from.user);
    let all_seen = (users.len() as i64) < BATCH;
    let mut done = 0;
    let mut to = policy::Filled {
        user: users.last().copied().unwrap_or(from.user),
        left: Vec::new(),
    };
    // Those that were left come last: by then they may be free.
    let (again, later) = match all_seen {
        true => (from.left, Vec::new()),
        false => (Vec::new(), from.left),
    };
    to.left = later;
    for user_key in users.into_iter().chain(again) {
        session::check_interrupts();
        match UserRow::lock_if_free(user_key) {
            Ok((mut row, locked)) => {
                recompute(user_key, place, &bundle, &mut row);
                row.write(user_key, locked);
            }
            Err(NotLocked::Absent) => {}
            Err(NotLocked::Held) => {
                to.left.push(user_key);
                continue;
            }
        }
        done += 1;
    }
    let few = to.left.len() < MOST_LEFT;
    let all = all_seen && to.left.is_empty();
    policy::filled_to(slot, &to, all, place < bundle.own);
    Ok(Filled {
        users: done,
        more: !all_seen && few,
        left: to.left.len() as i64,
    })
}

/// With so many users left for later, since others have their rows, a run ends.
const MOST_LEFT: usize = 10_000;

fn users_after(user_key: Uuid) -> Vec<Uuid> {
    let mut users = Vec::new();
    USERS.with(|statement| {
        let args = [datum::uuid(user_key), datum::int8(BATCH)];
        statement.write(&args, |row| users.extend(row.uuid(1)))
    });
    users
}

/// Puts what all events of the user that are kept say in the place of what the row has.
fn recompute(user_key: Uuid, place: usize, bundle: &Bundle, row: &mut UserRow) {
    let feature = &bundle.features[place];
    match feature.key {
        Some(_) => keyed::clear(&mut row.keyed, feature.slot as u32),
        None => feature.aggregate.clear(cells_at_mut(
            &mut row.features,
            feature.slot,
            &feature.aggregate,
        )),
    }
    let mut texts = Vec::new();
    let mut events = Stored::of(user_key, -1, Access::Write);
    events.read(i64::MAX, |fact, kind, _| {
        let moves = bundle.moved_by.get(kind).into_iter().flatten();
        for moved in moves.filter(|moved| moved.feature == place) {
            texts.extend(features::add(fact, feature, moved.side, row));
        }
    });
    texts.sort_unstable();
    texts.dedup();
    keys::remember(texts);
}
