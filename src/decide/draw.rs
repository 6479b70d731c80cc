//! The draw of a decision: what could be had, what each slot got of it, and what was reserved for that.

use super::blocked::BlockedAction;
use crate::math::choice::Slate;

/// One draw for all slots, and the buffers for the next.
#[derive(Default)]
pub struct Draw {
    pub seed: u64,
    /// The moment of the decision: that of the request, or a later one where others were waited for.
    pub moment: i64,
    /// What the draw is among: indexes of the surface's actions, and their scores.
    pub open: Vec<usize>,
    pub scores: Vec<f32>,
    /// Their standard deviations; none where the policy does not look at them.
    pub spreads: Vec<f32>,
    /// Candidates that caps have no capacity for, those that are not known to be worth enough, and those that the mode
    /// leaves out.
    pub blocked: Vec<BlockedAction>,
    /// What each slot got, as indexes in `open`.
    pub slate: Slate,
    pub dropped: Vec<Dropped>,
    /// Numbers of the soft caps that gave way.
    pub relaxed: Vec<i32>,
    /// What is reserved until events confirm it.
    pub holds: Vec<Hold>,
}

/// A candidate that the slots before left no capacity for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The first slot that could not have it, from 2.
    pub slot: i32,
    /// The number of the action.
    pub action: i32,
}

/// Units of a cap that are reserved for what a slot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold {
    /// From 1.
    pub slot: i32,
    /// The number of the cap.
    pub cap: i32,
    /// The stripe that they were taken from; None: they are reserved in the row of the user.
    pub stripe: Option<i32>,
    pub amount: i64,
}

impl Draw {
    pub fn clear(&mut self, seed: u64, moment: i64) {
        self.seed = seed;
        self.moment = moment;
        self.open.clear();
        self.blocked.clear();
        self.choose_nothing();
    }

    /// Opens the draw to all these actions.
    pub fn open_to(&mut self, actions: &[usize]) {
        self.open.clear();
        self.open.extend_from_slice(actions);
    }

    /// Takes back the choice: what is shown is the fallback.
    pub fn choose_nothing(&mut self) {
        self.scores.clear();
        self.spreads.clear();
        self.dropped.clear();
        self.relaxed.clear();
        self.holds.clear();
        self.slate.probabilities.clear();
        self.slate.picks.clear();
        self.slate.chosen.clear();
    }

    /// How many slots it has filled.
    pub fn filled(&self) -> usize {
        self.slate.picks.len()
    }
}

/// Numbers of the actions that cannot be had any more once a slot, from 0, is filled.
pub fn dropped_after(dropped: &[Dropped], slot: usize) -> impl Iterator<Item = i32> {
    let next = slot as i32 + 2;
    let of_next = dropped.iter().filter(move |dropped| dropped.slot == next);
    of_next.map(|dropped| dropped.action)
}
