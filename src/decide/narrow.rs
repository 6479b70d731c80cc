//! Between score and choose: only the best candidates are kept, where the mode says so.

use std::cmp::Ordering;

use super::Buffers;
use super::blocked::Blocked;

/// Keeps a share of the open candidates, at least one for each slot.
pub fn to_share(share: f64, slots: usize, buffers: &mut Buffers) {
    let open = buffers.open.len() as f64;
    to_best(((share * open).ceil() as usize).max(slots), buffers);
}

/// Keeps the open candidates with the highest scores, among equals the first, in their order; the
/// others are blocked.
pub fn to_best(most: usize, buffers: &mut Buffers) {
    if most >= buffers.open.len() {
        return;
    }
    let mut order: Vec<usize> = (0..buffers.open.len()).collect();
    // NaN is the lowest, as it is for the choice; the sort keeps the order of equals.
    let score = |i: usize| {
        buffers
            .scores
            .get(i)
            .map_or(f32::MIN, |score| score.max(f32::MIN))
    };
    order.sort_by(|&a, &b| score(b).partial_cmp(&score(a)).unwrap_or(Ordering::Equal));
    let mut is_out = vec![false; order.len()];
    for &i in &order[most..] {
        is_out[i] = true;
        buffers.blocked.push(buffers.open[i]);
        buffers.blocked_by.push(Blocked::Narrowed.code());
    }
    let mut kept = is_out.iter().map(|out| !out);
    buffers.open.retain(|_| kept.next().unwrap_or(true));
    let mut kept = is_out.iter().map(|out| !out);
    buffers.scores.retain(|_| kept.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_their_order() {
        let mut buffers = Buffers {
            open: vec![3, 5, 6, 8, 9],
            scores: vec![1.0, f32::NAN, 3.0, 1.0, 2.0],
            ..Buffers::default()
        };
        to_best(5, &mut buffers);
        assert_eq!(buffers.open.len(), 5);
        to_best(3, &mut buffers);
        assert_eq!(buffers.open, [3, 6, 9]);
        assert_eq!(buffers.scores, [1.0, 3.0, 2.0]);
        assert_eq!(buffers.blocked, [8, 5]);
        assert_eq!(buffers.blocked_by, [7, 7]);
    }
}
