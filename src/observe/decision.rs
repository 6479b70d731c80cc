//! The decision that an event names: what it has shown and reserved of caps, as its trace says.

use pgrx::pg_sys::{TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::contract::Event;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::daily::TRACES;
use crate::pg::partition::find_in_day;
use crate::pg::plan::on_latest_snapshot;
use crate::pg::record::{Select, SelectRow, select_row};
use crate::pg::row::TableRow;
use crate::pg::{Session, Statement, datum};
use crate::policy::UserRow;

select_row! {
    /// What a trace says of it.
    struct Traced {
        actions: Vec<i32>,
        holds: Vec<i64>,
    }
}

thread_local! {
    static IS_OF_USER: Statement = const { Statement::new(
        "SELECT 1 FROM decide.trace AS t WHERE t.decision_id = $1 AND t.user_key = $2 AND t.decided_at = $3 LIMIT 1",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID]) };
    static TRACE: Select<Traced> = const { Select::new(
        "FROM decide.trace AS t WHERE t.decision_id = $1 AND t.user_key = $2 AND t.decided_at = $3",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID]) };
}

/// Whether the decision that the event names was made for the event's user; true for an event that names none. A
/// decision of this transaction counts, also of this statement.
pub fn is_of_user(event: &Event<'_>) -> bool {
    let Some(decision_id) = event.decision_id else {
        return true;
    };
    let Some(decided_at) = moment_of(decision_id).map(from_unix_micros) else {
        return false;
    };
    let _session = Session::open();
    let is_of = |user_key: Uuid| {
        let args = [
            datum::uuid(decision_id),
            datum::uuid(user_key),
            datum::timestamp(decided_at),
        ];
        IS_OF_USER.with(|statement| statement.write(&args, |_| {})) > 0
    };
    // It may have been made for a user with whom this one was merged.
    is_of(event.user_key) || {
        let living = UserRow::living(event.user_key);
        let (row, _) = UserRow::newest(living).unzip();
        let from = row.map(|row| row.merged_from).unwrap_or_default();
        from.into_iter()
            .chain([living])
            .any(|key| key != event.user_key && is_of(key))
    }
}

/// For whom the decision was made that the event names: its user, whose row this is, or one who was merged into them.
pub fn owner(event: &Event<'_>, row: &UserRow) -> Uuid {
    let made_for = |decision_id: Uuid| {
        let is_of = |&&user_key: &&Uuid| Decision::find(decision_id, user_key).is_some();
        match row.merged_from.is_empty() || is_of(&&event.user_key) {
            true => None,
            false => row.merged_from.iter().find(is_of).copied(),
        }
    };
    event
        .decision_id
        .and_then(made_for)
        .unwrap_or(event.user_key)
}

/// A decision of a user.
pub struct Decision {
    pub decided_at: i64,
    /// The action in each slot, by number.
    pub actions: Vec<i32>,
    /// As `decide.trace.holds` has them, four numbers each: see [`Hold`].
    holds: Vec<i64>,
}

/// An entry of `decide.trace.holds`: what a decision has reserved of a cap.
struct Hold {
    /// The slot of the surface, from 1.
    slot: i64,
    /// The number of the cap.
    cap: i64,
    /// The counter row of a budget, or [`USER_ROW`] for a cap per user.
    stripe: i64,
    amount: i64,
}

const USER_ROW: i64 = -1;

impl From<&[i64; 4]> for Hold {
    fn from(&[slot, cap, stripe, amount]: &[i64; 4]) -> Hold {
        Hold {
            slot,
            cap,
            stripe,
            amount,
        }
    }
}

/// What a decision has reserved in the row of its user for an action that it has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The numbers of the cap and of the action.
    pub cap: i32,
    pub action: i32,
    pub amount: i64,
}

impl Decision {
    /// The decision of that user, as it is committed by now or was made in this transaction; None if there is no
    /// trace of it.
    pub fn find(decision_id: Uuid, user_key: Uuid) -> Option<Decision> {
        let decided_at = moment_of(decision_id).map(from_unix_micros)?;
        let mut traced = None;
        let looked = TRACES.day(decided_at).is_some_and(|day| {
            let mut has_columns = true;
            let then = |row: TableRow<'_>| {
                traced = Traced::read(&row);
                has_columns = traced.is_some();
            };
            find_in_day(day, (decision_id, user_key), decided_at, then) && has_columns
        });
        if !looked {
            let args = [
                datum::uuid(decision_id),
                datum::uuid(user_key),
                datum::timestamp(decided_at),
            ];
            on_latest_snapshot(|| {
                TRACE.with(|select| select.read(&args, |row| traced = Some(row)))
            });
        }
        traced.map(|Traced { actions, holds }| Decision {
            decided_at,
            actions,
            holds,
        })
    }

    /// What is reserved in the row of the user.
    pub fn reserved_of_user(&self) -> impl Iterator<Item = Reserved> + '_ {
        let holds = self.holds.as_chunks::<4>().0.iter().map(Hold::from);
        holds
            .filter(|hold| hold.stripe == USER_ROW)
            .filter_map(|hold| {
                let index = usize::try_from(hold.slot).ok()?.checked_sub(1)?;
                Some(Reserved {
                    cap: i32::try_from(hold.cap).ok()?,
                    action: *self.actions.get(index)?,
                    amount: hold.amount,
                })
            })
    }
}
