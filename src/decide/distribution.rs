//! The distribution that a slot of a trace was drawn from, from what the trace keeps: the scores, and
//! how probabilities follow from them.

use crate::math::choice::{Choice, Slate};
use crate::math::runs::expand;

/// What a trace keeps of a choice.
pub struct Kept<'a> {
    /// As runs of numbers.
    pub candidates: &'a [i32],
    /// Of each candidate; none where no model was asked, and all are alike.
    pub scores: Option<Vec<f32>>,
    pub choice: &'a [f64],
    /// What the policy chose, slot by slot.
    pub picked: &'a [i32],
    /// Pairs of the first slot that could not have a candidate any more, from 2, and its number.
    pub dropped: &'a [i32],
}

/// More probabilities than any decision has.
const MOST: usize = 1 << 24;

/// The probability of each candidate in slot `place` (from 1), given the slots before, in the bits of
/// the decision; None for a slot that the policy did not fill.
pub fn of_slot(kept: Kept<'_>, place: usize) -> Option<Vec<f64>> {
    let slot = place.checked_sub(1)?;
    let choice = Choice::from_numbers(kept.choice)?;
    let picked = kept.picked.get(..place)?;
    let candidates: Vec<i32> = expand(kept.candidates).collect();
    let scores = kept.scores.unwrap_or_else(|| vec![0.0; candidates.len()]);
    if scores.len() != candidates.len() || candidates.len() * place > MOST {
        return None;
    }
    let picks: Option<Vec<usize>> = picked
        .iter()
        .map(|number| candidates.binary_search(number).ok())
        .collect();
    let mut slate = Slate::default();
    slate.retrace(&choice, &scores, &picks?, |slot, _, gone| {
        let pairs = kept.dropped.as_chunks::<2>().0.iter();
        let of_next = pairs.filter(|pair| pair[0] == slot as i32 + 2);
        gone.extend(of_next.filter_map(|pair| candidates.binary_search(&pair[1]).ok()));
    });
    let row = slate
        .probabilities
        .chunks_exact(scores.len().max(1))
        .nth(slot)?;
    Some(row.to_vec())
}
