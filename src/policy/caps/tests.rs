use super::{in_units, is_countable, units};

#[test]
fn costs_that_cannot_be_counted_by_millionths_are_not_countable() {
    for cost in [0.0, 1e-9, 0.1, 9_007_199_254.0] {
        assert!(is_countable(cost), "{cost}");
    }
    for cost in [
        9_007_199_254.1,
        1e12,
        9e12,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
        -1e-9,
        -1.0,
    ] {
        assert!(!is_countable(cost), "{cost}");
    }
}

#[test]
fn limits_leave_room_for_the_exposures_of_an_answer() {
    assert_eq!(in_units(3, 1_000_000, "max_count"), Ok(3_000_000));
    assert!(in_units(4_611_686_018_427, 1_000_000, "max_count").is_ok());
    for (amount, scale) in [
        (4_611_686_018_428, 1_000_000),
        (i64::MAX, 1_000_000),
        (i64::MAX, 1),
        (-1, 1),
    ] {
        assert!(in_units(amount, scale, "max_count").is_err(), "{amount}");
    }
    let (limit, slots) = (in_units(4_611_686_018_427, 1_000_000, "max_count"), 100);
    assert!(
        units(9_007_199_254.0)
            .checked_mul(slots)
            .unwrap()
            .checked_add(limit.unwrap())
            .is_some()
    );
}

#[test]
fn costs_are_rounded_up_and_what_the_multiplication_adds_is_not() {
    for (cost, millionths) in [
        (0.0, 0),
        (0.1, 100_000),
        (0.3, 300_000),
        (1.1, 1_100_000),
        (4.35, 4_350_000),
        (1234567.89, 1_234_567_890_000),
        (0.000_001, 1),
        (0.000_001_4, 2),
        (0.333_333_3, 333_334),
        (1.000_000_2, 1_000_001),
        (3.000_000_4, 3_000_001),
        (12_345.678_901_4, 12_345_678_902),
    ] {
        assert_eq!(units(cost), millionths, "of {cost}");
    }
    assert_eq!(units(9_007_199_254.0), 9_007_199_254_000_000);
    for cents in 0..2_000_000 {
        assert_eq!(units(f64::from(cents) / 100.0), i64::from(cents) * 10_000);
    }
}
