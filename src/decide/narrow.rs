//! Between score and choose: only the best candidates are kept, where the mode says so.

use std::cmp::Ordering;

use super::Desk;
use super::candidates::Blocked;

/// Keeps a share of the open candidates, at least one for each slot.
pub fn to_share(share: f64, slots: usize, desk: &mut Desk) {
    let open = desk.open.len() as f64;
    to_best(((share * open).ceil() as usize).max(slots), desk);
}

/// Keeps the open candidates with the highest scores, among equals the first, in their order; the
/// others are blocked.
pub fn to_best(most: usize, desk: &mut Desk) {
    if most >= desk.open.len() {
        return;
    }
    let mut order: Vec<usize> = (0..desk.open.len()).collect();
    // NaN is the lowest, as it is for the choice; the sort keeps the order of equals.
    let score = |i: usize| {
        desk.scores
            .get(i)
            .map_or(f32::MIN, |score| score.max(f32::MIN))
    };
    order.sort_by(|&a, &b| score(b).partial_cmp(&score(a)).unwrap_or(Ordering::Equal));
    let mut is_out = vec![false; order.len()];
    for &i in &order[most..] {
        is_out[i] = true;
        desk.blocked.push(desk.open[i]);
        desk.blocked_by.push(Blocked::Narrowed.code());
    }
    let mut kept = is_out.iter().map(|out| !out);
    desk.open.retain(|_| kept.next().unwrap_or(true));
    let mut kept = is_out.iter().map(|out| !out);
    desk.scores.retain(|_| kept.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_their_order() {
        let mut desk = Desk {
            open: vec![3, 5, 6, 8, 9],
            scores: vec![1.0, f32::NAN, 3.0, 1.0, 2.0],
            ..Desk::default()
        };
        to_best(5, &mut desk);
        assert_eq!(desk.open.len(), 5);
        to_best(3, &mut desk);
        assert_eq!(desk.open, [3, 6, 9]);
        assert_eq!(desk.scores, [1.0, 3.0, 2.0]);
        assert_eq!(desk.blocked, [8, 5]);
        assert_eq!(desk.blocked_by, [7, 7]);
    }
}
