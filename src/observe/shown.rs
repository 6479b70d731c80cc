//! What a decision has shown to a user and reserved of caps, as its trace says.

use pgrx::pg_sys::{TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::daily::TRACES;
use crate::pg::datum::{self, Arg};
use crate::pg::partition::find_in_day;
use crate::pg::plan::on_latest_snapshot;
use crate::pg::row::TableRow;
use crate::pg::{Statement, array};

/// The columns of decide.trace that are looked at.
const ACTIONS: i32 = 16;
const HOLDS: i32 = 32;

thread_local! {
    static TRACE: Statement = const { Statement::new(
        "SELECT t.actions, t.holds FROM decide.trace AS t \
          WHERE t.decision_id = $1 AND t.user_key = $2 AND t.decided_at = $3",
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
        let mut shown = Shown {
            decided_at: moment_of(decision_id).map(from_unix_micros)?,
            actions: Vec::new(),
            holds: Vec::new(),
        };
        let decided_at = shown.decided_at;
        let mut found = false;
        let mut keep = |actions: Arg<'_>, holds: Arg<'_>| {
            found = true;
            actions.map(|actions| array::read_into(actions, &mut shown.actions));
            holds.map(|holds| array::read_into(holds, &mut shown.holds));
        };
        let looked = TRACES.day(decided_at).is_some_and(|day| {
            let then = |row: TableRow<'_>| keep(row.datum(ACTIONS), row.datum(HOLDS));
            find_in_day(day, (decision_id, user_key), decided_at, then)
        });
        if !looked {
            let args = [
                datum::uuid(decision_id),
                datum::uuid(user_key),
                datum::timestamp(decided_at),
            ];
            on_latest_snapshot(|| {
                TRACE
                    .with(|statement| statement.read(&args, |row| keep(row.datum(1), row.datum(2))))
            });
        }
        found.then_some(shown)
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
