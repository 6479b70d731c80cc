//! What a decision knows of the counter of a cap, and of the rows of one.

use crate::caps::Stripe;
use crate::pg::claim::Claim;
use crate::pg::version::RowLock;

/// What is left of a cap, for one decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capacity {
    /// More than a decision can take.
    Plenty,
    Units(i64),
    /// So many units, and other transactions hold more.
    Contested(i64),
    /// Another transaction holds the row of the user.
    Busy,
    /// Of a cap per user, where the user is not known.
    UnknownUser,
}

impl Capacity {
    pub(super) fn units(self) -> i64 {
        match self {
            Capacity::Plenty => i64::MAX,
            Capacity::Units(units) | Capacity::Contested(units) => units,
            Capacity::Busy | Capacity::UnknownUser => 0,
        }
    }

    pub(super) fn allows(self, amount: i64) -> bool {
        self.units() >= amount
    }
}

/// How the counter of a cap was found before the draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CounterState {
    /// The cap is not a budget, or one so far from its limit that its rows need not be claimed before the draw.
    Unclaimed,
    UsedUp,
    /// Others have locked the table of counters.
    Locked,
    /// What can be had is in the rows that were claimed.
    Claimed {
        /// What others have overdrawn in rows that were not claimed; 0 or less.
        overdrawn: i64,
        /// All that may be taken, by what all rows have left and by the mode of the surface.
        most: i64,
        /// Other transactions hold rows that have something left.
        contested: bool,
    },
    /// So many units, by a read without claims: for a decision that takes nothing.
    Read(i64),
}

/// What was found out about a cap before the draw.
pub(super) struct CapState {
    /// Its index among those of the surface.
    pub(super) cap: usize,
    pub(super) counter: CounterState,
    pub(super) capacity: Capacity,
}

/// A row of a counter that this decision has read, claimed or changed.
pub(super) struct HeldRow {
    /// The index of its cap among those of the surface.
    pub(super) cap: usize,
    pub(super) stripe: Stripe,
    /// None once another transaction was faster.
    pub(super) row_lock: Option<RowLock>,
    /// Given back when nothing more is to be changed.
    pub(super) _claim: Option<Claim>,
    /// What it was before something was taken.
    pub(super) before: Option<Stripe>,
    /// What was changed is not written yet.
    pub(super) changed: bool,
}

impl HeldRow {
    /// Whether this transaction has written it.
    pub(super) fn is_written(&self) -> bool {
        self.row_lock.as_ref().is_some_and(RowLock::is_held)
    }

    /// The stripe, to be changed: what it was before is kept.
    pub(super) fn change(&mut self) -> &mut Stripe {
        self.before.get_or_insert_with(|| self.stripe.clone());
        self.changed = true;
        &mut self.stripe
    }
}
