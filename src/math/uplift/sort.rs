//! Rows by score, in pieces, so that a statement can be cancelled meanwhile.

use super::rows::Row;

/// How many rows are sorted, or merged, between two pauses: a few milliseconds.
const PIECE: usize = 1 << 16;

/// Sorts rows by score, the highest first; of the same score, those that came later first. `spare` is as long as `rows`
/// and its content does not matter; `pause` is called every few milliseconds. The scores are finite.
pub fn sort(rows: &mut [Row], spare: &mut [Row], mut pause: impl FnMut()) {
    rows.reverse();
    for piece in rows.chunks_mut(PIECE) {
        piece.sort_by(|a, b| b.score.total_cmp(&a.score));
        pause();
    }
    let (mut from, mut to) = (rows, spare);
    let (mut width, mut turned) = (PIECE, false);
    while width < from.len() {
        for (pair, merged) in from.chunks(2 * width).zip(to.chunks_mut(2 * width)) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            merge(left, right, merged, &mut pause);
        }
        (from, to) = (to, from);
        (width, turned) = (2 * width, !turned);
    }
    if turned {
        to.copy_from_slice(from);
    }
}

/// Merges two sorted runs; of the same score the left one is first.
fn merge(left: &[Row], right: &[Row], merged: &mut [Row], pause: &mut impl FnMut()) {
    let (mut i, mut j) = (0, 0);
    for piece in merged.chunks_mut(PIECE) {
        for place in piece {
            let take_right = match (left.get(i), right.get(j)) {
                (Some(a), Some(b)) => b.score > a.score,
                (a, _) => a.is_none(),
            };
            if take_right {
                *place = right[j];
                j += 1;
            } else {
                *place = left[i];
                i += 1;
            }
        }
        pause();
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE, sort};
    use crate::random::Draws;
    use crate::uplift::Row;

    #[test]
    fn sorts_as_a_stable_sort_of_the_reversed_rows() {
        let mut draws = Draws::from_seed(3);
        for (length, distinct) in [
            (0, 1),
            (1, 1),
            (5, 2),
            (1000, 7),
            (PIECE, 50),
            (PIECE + 1, 1000),
            (5 * PIECE + 77, 300),
        ] {
            let row = |i: usize| Row {
                score: (draws.unit() * f64::from(distinct)).floor() - 3.0,
                outcome: i as f64,
                treated: i.is_multiple_of(3),
            };
            let mut rows: Vec<Row> = (0..length).map(row).collect();
            let mut expected = rows.clone();
            expected.sort_by(|a, b| a.score.total_cmp(&b.score));
            expected.reverse();
            let mut spare = rows.clone();
            let mut pauses = 0;
            sort(&mut rows, &mut spare, || pauses += 1);
            assert!(rows == expected, "{length} rows");
            assert!(pauses >= length / PIECE);
        }
    }
}
