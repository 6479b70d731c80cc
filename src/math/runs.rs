//! Ascending numbers as runs: a number that is followed by `-n` stands for itself and the next `n` numbers. Candidates
//! are mostly neighbours, so runs take a fraction of the space of all numbers, and never more.

/// Appends the ascending, distinct, positive numbers to `runs`.
pub fn compress(numbers: impl Iterator<Item = i32>, runs: &mut Vec<i32>) {
    let mut next = None;
    for number in numbers {
        match runs.last_mut() {
            Some(more) if next == Some(number) && *more < 0 => *more -= 1,
            Some(_) if next == Some(number) => runs.push(-1),
            _ => runs.push(number),
        }
        next = number.checked_add(1);
    }
}

/// More numbers than any decision has candidates.
pub const MOST: usize = 1 << 20;

/// The numbers of the runs, in order; none beyond the largest i32, and at most [`MOST`].
pub fn expand(runs: &[i32]) -> impl Iterator<Item = i32> + Clone {
    let numbers = runs.iter().enumerate().flat_map(|(i, &number)| {
        let more = runs
            .get(i + 1)
            .map_or(0, |&more| more.min(0).unsigned_abs());
        let length = if number < 0 { 0 } else { i64::from(more) + 1 };
        (0..length).map_while(move |step| i32::try_from(i64::from(number) + step).ok())
    });
    numbers.take(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_share_a_run() {
        let mut runs = Vec::new();
        compress([1, 2, 3, 5, 9, 10].into_iter(), &mut runs);
        assert_eq!(runs, [1, -2, 5, 9, -1]);
        assert_eq!(expand(&runs).collect::<Vec<_>>(), [1, 2, 3, 5, 9, 10]);
    }

    #[test]
    fn nonsense_expands_to_little() {
        assert_eq!(expand(&[-3, -4]).count(), 0);
        assert_eq!(expand(&[i32::MAX - 1, -9]).count(), 2);
        assert_eq!(expand(&[1, i32::MIN]).count(), MOST);
    }

    proptest! {
        #[test]
        fn expanding_undoes_compressing(set in proptest::collection::btree_set(1..200i32, 0..150)) {
            let mut runs = Vec::new();
            compress(set.iter().copied(), &mut runs);
            prop_assert!(runs.len() <= set.len());
            prop_assert_eq!(expand(&runs).collect::<Vec<_>>(), Vec::from_iter(set));
        }
    }
}
