//! What is given back of what was counted.

use super::*;

/// One that counted entries and reservations of both kinds are in.
fn mixed() -> Vec<i64> {
    vec![
        10, 3, COUNTED, 20, 2, COUNTED, 15, 4, -2, 18, 7, -1, 19, 9, 5,
    ]
}

#[test]
fn only_what_is_counted_within_the_window_counts() {
    assert_eq!(counted(&mixed(), (i64::MIN, i64::MAX)), 9);
    assert_eq!(counted(&mixed(), (11, 20)), 6);
    assert_eq!(counted(&mixed(), (11, 19)), 4);
    assert_eq!(counted(&[], (0, 9)), 0);
}

#[test]
fn the_newest_goes_first_and_reservations_stay() {
    let mut ledger = mixed();
    assert_eq!(give_back(&mut ledger, 3, (i64::MIN, i64::MAX)), 0);
    assert_eq!(ledger, [10, 2, COUNTED, 15, 4, -2, 18, 7, -1, 19, 9, 5]);
    // What events have confirmed becomes final where a part of it is given back.
    assert_eq!(give_back(&mut ledger, 3, (i64::MIN, i64::MAX)), 0);
    assert_eq!(ledger, [15, 3, COUNTED, 18, 7, -1, 19, 9, 5]);
    assert_eq!(give_back(&mut ledger, 5, (i64::MIN, i64::MAX)), 2);
    assert_eq!(ledger, [18, 7, -1, 19, 9, 5]);
}

#[test]
fn what_is_outside_of_the_window_stays() {
    let mut ledger = mixed();
    assert_eq!(give_back(&mut ledger, 5, (18, 30)), 3);
    assert_eq!(ledger, [10, 3, COUNTED, 15, 4, -2, 18, 7, -1, 19, 9, 5]);
}

proptest! {
    /// What two users have had is what the one has had that they become, whichever is added to the other.
    #[test]
    fn joined_ledgers_count_what_both_have_counted(
        a in prop::collection::vec((0..100i64, 1..5i64, 0..3i64), 0..150),
        b in prop::collection::vec((0..100i64, 1..5i64, 0..3i64), 0..150),
        slides in any::<bool>(),
    ) {
        let terms = if slides { sliding(99, 100) } else { DAY };
        let taken = |entries: &[(i64, i64, i64)]| {
            let mut ledger = Vec::new();
            for &entry in entries {
                take(&mut ledger, entry, &terms);
            }
            ledger
        };
        let (a, b) = (taken(&a), taken(&b));
        let both = used(&a, &terms) + used(&b, &terms);
        let (mut one, mut other) = (a.clone(), b.clone());
        join(&mut one, &b, &terms);
        join(&mut other, &a, &terms);
        prop_assert_eq!(used(&one, &terms), both);
        prop_assert_eq!(used(&other, &terms), both);
        let mut unknown = a.clone();
        join_without_window(&mut unknown, &b);
        prop_assert_eq!(used(&unknown, &terms), both);
    }
}

#[test]
fn all_blocks_have_a_number() {
    let mut all = Vec::new();
    put(&mut all, 7, &[1, 1, COUNTED]);
    put(&mut all, 9, &[1, 1, COUNTED, 2, 2, 5]);
    put(&mut all, 3, &[4, 4, COUNTED]);
    let numbers =
        |all: &[i64]| -> Vec<i64> { blocks(all).into_iter().map(|(number, _)| number).collect() };
    assert_eq!(numbers(&all), [3, 7, 9]);
    assert_eq!(numbers(&all[..all.len() - 1]), [7, 9]);
    assert_eq!(numbers(&[]), [0; 0]);
}
