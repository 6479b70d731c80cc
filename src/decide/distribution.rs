//! The distribution that a slot of a trace was drawn from, from what the trace keeps: the scores, and
//! how probabilities follow from them.

use super::draw::{Dropped, dropped_after};
use crate::math::choice::{Choice, Scored, Slate};
use crate::math::runs::expand;

/// What a trace keeps of a choice.
pub struct TracedChoice<'a> {
    /// As runs of numbers.
    pub candidates: &'a [i32],
    /// Of each candidate; none where no model was asked, and all are alike.
    pub scores: Option<Vec<f32>>,
    /// Their standard deviations; none where the selection does not look at them.
    pub spreads: Vec<f32>,
    pub choice: &'a [f64],
    /// What the policy chose, slot by slot.
    pub picked: &'a [i32],
    pub dropped: &'a [Dropped],
}

/// More probabilities than any decision has.
const MOST: usize = 1 << 24;

/// The probability of each candidate in a slot, from 1, given the slots before, in the bits of
/// the decision; None for a slot that the policy did not fill.
pub fn of_slot(traced: TracedChoice<'_>, slot: usize) -> Option<Vec<f64>> {
    let before = slot.checked_sub(1)?;
    let choice = Choice::from_numbers(traced.choice)?;
    let picked = traced.picked.get(..slot)?;
    let candidates: Vec<i32> = expand(traced.candidates).collect();
    let scores = traced.scores.unwrap_or_else(|| vec![0.0; candidates.len()]);
    if scores.len() != candidates.len() || candidates.len() * slot > MOST {
        return None;
    }
    let index = |number: i32| candidates.binary_search(&number).ok();
    let picks: Option<Vec<usize>> = picked.iter().map(|&number| index(number)).collect();
    let mut slate = Slate::default();
    let scored = Scored {
        scores: &scores,
        spreads: &traced.spreads,
    };
    slate.retrace(&choice, scored, &picks?, |filled, _, gone| {
        gone.extend(dropped_after(traced.dropped, filled).filter_map(index));
    });
    let row = slate
        .probabilities
        .chunks_exact(scores.len().max(1))
        .nth(before)?;
    Some(row.to_vec())
}
