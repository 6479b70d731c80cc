//! Several slots filled from the same candidates, without repetition.

use super::{Choice, Largest, Scored, Selection, pick};
use crate::{random::Draws, sum};

/// The answer to one request, and reusable buffers for the next: which candidate each slot got, and the distribution
/// it was drawn from, given the slots before.
#[derive(Clone, Debug, Default)]
pub struct Slate {
    /// Filled slots × candidates, row-major: each slot's distribution over the candidates that earlier slots left.
    pub probabilities: Vec<f64>,
    /// The position of each slot's candidate.
    pub picks: Vec<usize>,
    /// The probability of each slot's pick in its own row, above 0.
    pub chosen: Vec<f64>,
    taken: Vec<bool>,
    weights: Vec<f64>,
    dropped: Vec<usize>,
    largest: Largest,
}

/// Below this sum, weights taken relative to the first slot's best score have lost precision, and are taken anew.
const LEAST_WEIGHT: f64 = 1e-250;

impl Slate {
    /// Fills `slots` slots, or as many as there are candidates, with the first draws of `seed`, one a slot. What was
    /// here before is cleared. Does not allocate when the buffers have grown to the size of such a request.
    ///
    /// The rows are those of [`Choice::distribution`] given the earlier picks. For softmax the exponentials are
    /// computed once for all slots, so rows after the first can differ from it in their last bits; the row here is the
    /// one that was drawn from.
    pub fn choose<'a>(
        &mut self,
        choice: &Choice,
        scored: impl Into<Scored<'a>>,
        slots: usize,
        seed: u64,
    ) {
        self.choose_within(choice, scored, slots, seed, |_, _, _| {});
    }

    /// The same where a pick can leave no room for others: `drop` is given the slot that was filled, what was picked,
    /// and a list to which it adds the candidates that later slots cannot have.
    pub fn choose_within<'a>(
        &mut self,
        choice: &Choice,
        scored: impl Into<Scored<'a>>,
        slots: usize,
        seed: u64,
        drop: impl FnMut(usize, usize, &mut Vec<usize>),
    ) {
        let mut draws = Draws::from_seed(seed);
        self.fill(
            choice,
            scored.into(),
            slots,
            |_, row| pick(row, draws.unit()),
            drop,
        );
    }

    /// Fills the slots with the candidates at these positions: what [`Slate::choose`] computed when it picked them.
    /// It ends before a position that is out of range or had no chance.
    pub fn retrace<'a>(
        &mut self,
        choice: &Choice,
        scored: impl Into<Scored<'a>>,
        picks: &[usize],
        drop: impl FnMut(usize, usize, &mut Vec<usize>),
    ) {
        let next = |slot: usize, row: &[f64]| {
            let picked = picks[slot];
            (row.get(picked).copied()? > 0.0).then_some(picked)
        };
        self.fill(choice, scored.into(), picks.len(), next, drop);
    }

    /// Fills the slots with what `next` picks, given the slot and its distribution; what `drop` adds to the list
    /// cannot be had any more.
    fn fill(
        &mut self,
        choice: &Choice,
        scored: Scored<'_>,
        slots: usize,
        mut next: impl FnMut(usize, &[f64]) -> Option<usize>,
        mut drop: impl FnMut(usize, usize, &mut Vec<usize>),
    ) {
        let candidates = scored.scores.len();
        self.clear(candidates);
        let mut open = candidates;
        for slot in 0..slots {
            if open == 0 {
                break;
            }
            let total = self.weigh(choice, scored, open);
            let start = self.probabilities.len();
            self.probabilities.extend_from_slice(&self.weights);
            let row = &mut self.probabilities[start..];
            choice.normalise(&self.taken, open, total, row);
            let Some(picked) = next(slot, row) else {
                break;
            };
            self.chosen.push(row[picked]);
            self.picks.push(picked);
            self.dropped.clear();
            drop(slot, picked, &mut self.dropped);
            for &gone in std::iter::once(&picked).chain(&self.dropped) {
                if !std::mem::replace(&mut self.taken[gone], true) {
                    self.weights[gone] = 0.0;
                    open -= 1;
                }
            }
        }
    }

    /// Brings the weights up to date with the candidates taken and returns their sum.
    fn weigh(&mut self, choice: &Choice, scored: Scored<'_>, open: usize) -> f64 {
        let keeps_weights = match choice.selection {
            Selection::Softmax { temperature } => temperature > 0.0,
            Selection::Uniform
            | Selection::Greedy
            | Selection::EpsilonGreedy { .. }
            | Selection::Thompson { .. }
            | Selection::Ucb { .. }
            | Selection::SquareCb { .. } => false,
        };
        if !self.picks.is_empty() && keeps_weights {
            let left = sum(&self.weights);
            if left >= LEAST_WEIGHT {
                return left;
            }
        }
        let Slate {
            taken,
            weights,
            largest,
            ..
        } = self;
        choice.weigh(scored, taken, open, largest, weights)
    }

    /// The buffers that are as long as there are candidates, emptied: of what was chosen only picks and their probabilities
    /// stay.
    pub fn emptied(&mut self) -> (&mut Vec<f64>, &mut Vec<f64>, &mut Vec<bool>) {
        self.probabilities.clear();
        self.weights.clear();
        self.taken.clear();
        (&mut self.probabilities, &mut self.weights, &mut self.taken)
    }

    fn clear(&mut self, candidates: usize) {
        self.probabilities.clear();
        self.picks.clear();
        self.chosen.clear();
        self.taken.clear();
        self.taken.resize(candidates, false);
        self.weights.clear();
        self.weights.resize(candidates, 0.0);
    }
}

#[cfg(test)]
mod tests;
