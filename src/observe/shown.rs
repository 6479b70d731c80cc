//! What a decision has shown to a user and reserved of caps, as its trace says.

use pgrx::pg_sys::{TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::daily::TRACES;
use crate::pg::datum;
use crate::pg::lookup::Found;
use crate::pg::partition::find_in_day;
use crate::pg::plan::on_latest_snapshot;
use crate::pg::record::{Select, SelectRow, select_row};

select_row! {
    /// What a trace says of it.
    struct Traced {
        actions: Vec<i32>,
        holds: Vec<i64>,
    }
}

thread_local! {
    static TRACE: Select<Traced> = const { Select::new(
        "FROM decide.trace AS t WHERE t.decision_id = $1 AND t.user_key = $2 AND t.decided_at = $3",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID]) };
}

/// A decision of a user.
pub struct Shown {
    pub decided_at: i64,
    /// The action of each slot, by number.
    pub actions: Vec<i32>,
    /// As `decide.trace.holds` has them.
    holds: Vec<i64>,
}

/// What it has reserved of a cap per user for an action that it has shown, both by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub cap: i32,
    pub action: i32,
    pub amount: i64,
}

impl Shown {
    /// The decision of that user, as it is committed by now or was made in this transaction; None if there is no
    /// trace of it. Needs an open session.
    pub fn find(decision_id: Uuid, user_key: Uuid) -> Option<Shown> {
        let decided_at = moment_of(decision_id).map(from_unix_micros)?;
        let mut traced = None;
        let looked = TRACES.day(decided_at).is_some_and(|day| {
            let mut named = true;
            let then = |row: Found<'_>| {
                traced = Traced::read(&row);
                named = traced.is_some();
            };
            find_in_day(day, (decision_id, user_key), decided_at, then) && named
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
        traced.map(|Traced { actions, holds }| Shown {
            decided_at,
            actions,
            holds,
        })
    }

    /// What is reserved in the row of the user.
    pub fn holds_of_user(&self) -> impl Iterator<Item = Hold> + '_ {
        self.holds.as_chunks::<4>().0.iter().filter_map(|hold| {
            let &[slot, cap, -1, amount] = hold else {
                return None;
            };
            let slot = usize::try_from(slot).ok()?.checked_sub(1)?;
            Some(Hold {
                cap: i32::try_from(cap).ok()?,
                action: *self.actions.get(slot)?,
                amount,
            })
        })
    }
}
