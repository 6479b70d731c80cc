//! The past of a feature that has come later than its events: computed from those that are kept, user
//! by user, while track() goes on.

use pgrx::pg_sys::{INT8OID, UUIDOID};
use uuid::Uuid;

use super::stored::Stored;
use super::{features, keys};
use crate::error::Error;
use crate::pg::locked::NotLocked;
use crate::pg::plan::Access;
use crate::pg::{Session, Statement, datum, session};
use crate::policy::{self, Bundle, Staging, UserRow};

thread_local! {
    static USERS: Statement = const { Statement::new(
        "SELECT s.user_key FROM decide.user_state AS s WHERE s.user_key > $1 ORDER BY s.user_key LIMIT $2",
        &[UUIDOID, INT8OID]) };
}

/// Users of one transaction: few, so that a session that waits for one of them does not wait for long.
const BATCH: i64 = 1_000;

/// What a step did.
#[derive(Default)]
pub struct BackfillStep {
    pub users: i64,
    pub more: bool,
    /// How many users are left for later, since other transactions have locked their rows.
    pub users_left: i64,
}

/// Stages the feature, or computes the next part of its past; answers in words how far it is.
pub fn backfill(feature: &str) -> Result<String, Error> {
    let _session = Session::open();
    let slot = match policy::stage(feature)? {
        Staging::Begun => {
            return Ok("staged; commit, then call again or let the job go on".into());
        }
        Staging::Done(true) => return Ok("done: in force".into()),
        Staging::Done(false) => return Ok("done: publish to switch over".into()),
        Staging::Going(slot) => slot,
    };
    let filled = fill(slot)?;
    Ok(match (filled.more, policy::stage(feature)?) {
        (false, Staging::Done(true)) => format!("{} users done: in force", filled.users),
        (false, Staging::Done(false)) => {
            format!("{} users done: publish to switch over", filled.users)
        }
        _ => format!(
            "{} users done; call again or let the job go on",
            filled.users
        ),
    })
}

/// The next part of any feature that is staged.
pub fn step() -> Result<BackfillStep, Error> {
    let Some(slot) = policy::next_to_fill() else {
        return Ok(BackfillStep::default());
    };
    let done = fill(slot)?;
    let another = || policy::next_to_fill().is_some();
    let more = done.more || done.users_left == 0 && done.users > 0 && another();
    Ok(BackfillStep { more, ..done })
}

fn fill(slot: i32) -> Result<BackfillStep, Error> {
    let bundle = policy::live()?;
    let index = bundle.features.iter().position(|f| f.cell == slot as usize);
    let (Some(index), Some(from)) = (index, policy::take_to_fill(slot)) else {
        return Ok(BackfillStep::default());
    };
    let users = users_after(from.user);
    let all_seen = (users.len() as i64) < BATCH;
    let mut done = 0;
    let mut to = policy::Filled {
        user: users.last().copied().unwrap_or(from.user),
        left: Vec::new(),
    };
    // Users that were left come last: by then their rows may be free.
    let (again, later) = match all_seen {
        true => (from.left, Vec::new()),
        false => (Vec::new(), from.left),
    };
    to.left = later;
    for user_key in users.into_iter().chain(again) {
        session::check_interrupts();
        match UserRow::lock_if_free(user_key) {
            Ok((mut row, locked)) => {
                recompute(user_key, index, &bundle, &mut row);
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
    policy::filled_to(slot, &to, all, index < bundle.own());
    Ok(BackfillStep {
        users: done,
        more: !all_seen && few,
        users_left: to.left.len() as i64,
    })
}

/// With so many users left for later, since other transactions have locked their rows, a run ends.
const MOST_LEFT: usize = 10_000;

fn users_after(user_key: Uuid) -> Vec<Uuid> {
    let mut users = Vec::new();
    USERS.with(|statement| {
        let args = [datum::uuid(user_key), datum::int8(BATCH)];
        statement.write(&args, |row| users.extend(row.uuid(1)))
    });
    users
}

/// Computes the feature anew, from all events of the user that are kept.
pub(super) fn recompute(user_key: Uuid, index: usize, bundle: &Bundle, row: &mut UserRow) {
    let feature = &bundle.features[index];
    row.forget(feature);
    let mut texts = Vec::new();
    let mut events = Stored::of(user_key, -1, row.not_before, Access::Write);
    events.read(i64::MAX, |fact, kind, _| {
        let moves = bundle.moved_by.get(kind).into_iter().flatten();
        for moved in moves.filter(|moved| moved.feature == index) {
            texts.extend(features::add(fact, feature, moved.side, row));
        }
    });
    texts.sort_unstable();
    texts.dedup();
    keys::remember(texts);
}
