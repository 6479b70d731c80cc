//! What is given back of what was counted.

use super::super::*;

/// One that counted entries and reservations of both kinds are in.
fn mixed() -> Vec<i64> {
    vec![10, 3, COUNTED, 20, 2, COUNTED, 15, 4, -2, 18, 7, -1, 19, 9, 5]
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
