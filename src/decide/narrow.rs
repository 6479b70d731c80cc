//! Fewer candidates: the first ones where time runs short, those that are known to be worth enough where the policy asks
//! for that, the best ones where the mode says so.

use std::cmp::Ordering;

use super::blocked::{Blocked, BlockedAction};
use super::candidates::Candidates;
use super::draw::Draw;
use crate::math::choice::LowerBound;

/// Keeps so many of the eligible ones, the first.
pub fn to_first(most: usize, candidates: &mut Candidates) {
    let kept = most.min(candidates.eligible.len());
    let rest = candidates.eligible.drain(kept..);
    candidates.blocked.extend(rest.map(narrowed));
}

/// Keeps the open candidates that are worth enough, as far as that is known; the others are blocked.
pub fn to_sure(bound: &LowerBound, draw: &mut Draw) {
    let spread = |i: usize| draw.spreads.get(i).copied().unwrap_or(0.0);
    let scores = draw.scores.iter().enumerate();
    let is_out = scores.map(|(i, &score)| !bound.holds(score, spread(i)));
    let is_out: Vec<bool> = is_out.collect();
    let outs = draw.open.iter().zip(&is_out).filter(|(_, out)| **out);
    draw.blocked.extend(outs.map(|(&action, _)| BlockedAction {
        action,
        why: Blocked::Unsure,
    }));
    leave_out(&is_out, draw);
}

/// Keeps a share of the open candidates, at least one for each slot.
pub fn to_share(share: f64, slots: usize, draw: &mut Draw) {
    let open = draw.open.len() as f64;
    to_best(((share * open).ceil() as usize).max(slots), draw);
}

/// Keeps the open candidates with the highest scores, among equals the first, in their order; the
/// others are blocked.
fn to_best(most: usize, draw: &mut Draw) {
    if most >= draw.open.len() {
        return;
    }
    let mut order: Vec<usize> = (0..draw.open.len()).collect();
    // NaN is the lowest, as it is for the choice; the sort keeps the order of equals.
    let score = |i: usize| {
        let score = draw.scores.get(i);
        score.map_or(f32::MIN, |score| score.max(f32::MIN))
    };
    order.sort_by(|&a, &b| score(b).partial_cmp(&score(a)).unwrap_or(Ordering::Equal));
    let mut is_out = vec![false; order.len()];
    for &i in &order[most..] {
        is_out[i] = true;
        draw.blocked.push(narrowed(draw.open[i]));
    }
    leave_out(&is_out, draw);
}

/// Closes the draw to these candidates.
fn leave_out(is_out: &[bool], draw: &mut Draw) {
    let is_kept = || {
        let mut outs = is_out.iter();
        move || outs.next().is_none_or(|out| !out)
    };
    let (mut of_open, mut of_scores, mut of_spreads) = (is_kept(), is_kept(), is_kept());
    draw.open.retain(|_| of_open());
    draw.scores.retain(|_| of_scores());
    draw.spreads.retain(|_| of_spreads());
}

fn narrowed(action: usize) -> BlockedAction {
    BlockedAction {
        action,
        why: Blocked::Narrowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_their_order() {
        let mut draw = Draw {
            open: vec![3, 5, 6, 8, 9],
            scores: vec![1.0, f32::NAN, 3.0, 1.0, 2.0],
            ..Draw::default()
        };
        to_best(5, &mut draw);
        assert_eq!(draw.open.len(), 5);
        to_best(3, &mut draw);
        assert_eq!(draw.open, [3, 6, 9]);
        assert_eq!(draw.scores, [1.0, 3.0, 2.0]);
        assert_eq!(draw.blocked, [8, 5].map(narrowed));
    }

    #[test]
    fn those_that_are_sure_enough_are_kept() {
        let mut draw = Draw {
            open: vec![3, 5, 6, 8],
            scores: vec![1.0, f32::NAN, 3.0, 0.5],
            spreads: vec![0.25, 0.0, 2.0, 0.0],
            ..Draw::default()
        };
        let bound = LowerBound {
            least: 0.5,
            gamma: 2.0,
        };
        to_sure(&bound, &mut draw);
        assert_eq!(draw.open, [3, 8], "the bound itself is enough");
        assert_eq!(
            (draw.scores, draw.spreads),
            (vec![1.0, 0.5], vec![0.25, 0.0])
        );
        let unsure = |action| BlockedAction {
            action,
            why: Blocked::Unsure,
        };
        assert_eq!(draw.blocked, [5, 6].map(unsure));
    }

    #[test]
    fn the_first_are_kept() {
        let mut candidates = Candidates {
            eligible: vec![3, 5, 6],
            ..Candidates::default()
        };
        to_first(4, &mut candidates);
        assert_eq!(candidates.eligible, [3, 5, 6]);
        to_first(1, &mut candidates);
        assert_eq!(candidates.eligible, [3]);
        assert_eq!(candidates.blocked, [5, 6].map(narrowed));
    }
}
