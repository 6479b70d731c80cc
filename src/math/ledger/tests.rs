use super::*;
use proptest::prelude::*;

mod corrections;
mod exposures;

const DAY: Terms = Terms {
    from: 0,
    until: 100,
    binds_later: false,
    kept_from: -100,
    reserved_from: i64::MIN,
    sliding: None,
    hold: 800,
    cell: 100,
};

fn sliding(now: i64, length: i64) -> Terms {
    Terms {
        from: now - length + 1,
        until: i64::MAX,
        kept_from: now - length - length / 8,
        sliding: Some(length),
        ..DAY
    }
}

#[test]
fn one_window_is_one_entry() {
    let mut ledger = Vec::new();
    for at in [5, 9, 7] {
        take(&mut ledger, (at, 2, COUNTED), &DAY);
    }
    assert_eq!(ledger, [9, 6, COUNTED]);
    let next = Terms {
        from: 100,
        until: 200,
        kept_from: 0,
        ..DAY
    };
    assert_eq!(used(&ledger, &next), 0);
    take(&mut ledger, (101, 1, COUNTED), &next);
    assert_eq!(ledger, [9, 6, COUNTED, 101, 1, COUNTED]);
    assert_eq!((used(&ledger, &DAY), used(&ledger, &next)), (6, 1));
    let last = Terms {
        from: 200,
        until: 300,
        kept_from: 100,
        ..DAY
    };
    take(&mut ledger, (200, 1, COUNTED), &last);
    assert_eq!(ledger, [101, 1, COUNTED, 200, 1, COUNTED]);
}

#[test]
fn late_and_early_events_count_in_their_own_windows() {
    let mut ledger = Vec::new();
    count(&mut ledger, (50, 1), (0, 100), &DAY);
    for early in [(100, 1), (130, 2)] {
        count(&mut ledger, early, (100, 200), &DAY);
    }
    count(&mut ledger, (-1, 1), (-100, 0), &DAY);
    count(&mut ledger, (-101, 1), (-200, -100), &DAY);
    count(&mut ledger, (60, 1), (0, 100), &DAY);
    assert_eq!(used(&ledger, &DAY), 2);
    assert_eq!(
        ledger,
        [60, 2, COUNTED, 130, 3, COUNTED, -1, 1, COUNTED],
        "one entry a window, and none of a window that is over for long"
    );
    let decisions = Terms {
        binds_later: true,
        ..DAY
    };
    assert_eq!(used(&ledger, &decisions), 5, "a clock was set back");
}

#[test]
fn an_amount_of_nothing_takes_nothing() {
    let mut ledger = Vec::new();
    take(&mut ledger, (1, 0, COUNTED), &DAY);
    take(&mut ledger, (1, 0, 7), &DAY);
    count(&mut ledger, (1, 0), (0, 100), &DAY);
    assert!(ledger.is_empty());
}

#[test]
fn windows_that_are_yet_to_come_are_bounded() {
    let mut ledger = Vec::new();
    for window in 1..200 {
        let starts = window * 100;
        count(&mut ledger, (starts, 1), (starts, starts + 100), &DAY);
    }
    assert_eq!(ledger.len(), MOST * WIDTH);
    let last = entries(&ledger).max().unwrap();
    assert_eq!(last, (6400, 199 - 63, COUNTED));
    assert_eq!(used(&ledger, &DAY), 0);
}

#[test]
fn a_cap_that_is_not_in_force_keeps_what_it_had() {
    let mut ledger = Vec::new();
    for at in 0..500 {
        ledger.extend([at / 50, 1, 7]);
        count_without_window(&mut ledger, (1000 - at, 1));
    }
    let counted: Vec<_> = entries(&ledger)
        .filter(|entry| entry.2 == COUNTED)
        .collect();
    assert_eq!(counted.len(), MANY);
    assert_eq!(counted.iter().map(|entry| entry.1).sum::<i64>(), 500);
    assert_eq!(counted.iter().max(), Some(&(1000, 1, COUNTED)));
}

#[test]
fn a_reservation_binds_until_it_is_released_or_its_time_is_over() {
    let mut ledger = Vec::new();
    let release = |ledger: &mut Vec<i64>, at, action, terms: &Terms| {
        release(
            ledger,
            (at, 1, action),
            terms.window(),
            terms.reserved_from,
            terms.cell,
        );
    };
    take(&mut ledger, (10, 1, 7), &DAY);
    take(&mut ledger, (20, 1, 7), &DAY);
    assert_eq!(used(&ledger, &DAY), 2);
    let later = Terms {
        reserved_from: 15,
        ..DAY
    };
    assert_eq!(used(&ledger, &later), 1);
    release(&mut ledger, 10, 8, &DAY);
    release(&mut ledger, 15, 7, &DAY);
    assert_eq!(used(&ledger, &DAY), 2, "of another action, or decision");
    release(&mut ledger, 10, 7, &DAY);
    release(&mut ledger, 10, 7, &DAY);
    assert_eq!(ledger, [20, 1, 7], "once");
    release_oldest(&mut ledger, (19, 1, 7), &DAY);
    assert_eq!(ledger, [20, 1, 7], "made later");
    release_oldest(&mut ledger, (20, 1, 7), &DAY);
    assert!(ledger.is_empty());
}

#[test]
fn blocks_are_found_put_and_taken_away() {
    let mut all = vec![3, 1, 9, 9, 0];
    put(&mut all, 5, &[1, 1, 0, 2, 2, 0]);
    assert_eq!(block(&all, 3), [9, 9, 0]);
    assert_eq!(block(&all, 5), [1, 1, 0, 2, 2, 0]);
    put(&mut all, 3, &[]);
    assert_eq!(all, [5, 2, 1, 1, 0, 2, 2, 0]);
    for damaged in [&[5, 99, 1][..], &[5, -1, 1, 1, 1], &[5, i64::MAX], &[5]] {
        assert!(block(damaged, 5).is_empty());
    }
}

proptest! {
    #[test]
    fn shares_make_up_the_limit(limit in 0..i64::MAX, used in proptest::collection::vec(0..1_000_000i64, 1..70)) {
        for limit in [limit, limit % 1_000_000] {
            let shares = shares(limit, &used);
            prop_assert_eq!(shares.iter().map(|&n| i128::from(n)).sum::<i128>(), i128::from(limit));
            let fits = used.iter().sum::<i64>() <= limit;
            for (share, used) in shares.iter().zip(&used) {
                prop_assert!(*share >= 0 && (*share >= *used) == (fits || share == used));
            }
        }
    }

    /// What is kept of a sliding window never says less than what was taken within it, and the same while
    /// there is little.
    #[test]
    fn a_sliding_window_never_forgets_early(steps in proptest::collection::vec(0..300i64, 1..200), length in 100..20_000i64) {
        let (mut ledger, mut all, mut now) = (Vec::new(), Vec::new(), 0);
        for step in steps {
            now += step;
            take(&mut ledger, (now, 1, COUNTED), &sliding(now, length));
            all.push(now);
            let truly = all.iter().filter(|&&at| at > now - length).count();
            let kept = used(&ledger, &sliding(now, length));
            prop_assert!(kept >= truly as i64);
            if truly <= MOST {
                let slack = all.iter().filter(|&&at| at > now - length - length / CELLS - 1).count();
                prop_assert!(kept <= slack as i64);
            }
            prop_assert!(ledger.len() <= (2 * MOST + 2) * WIDTH);
            let empty = sliding(now + length, length);
            prop_assert_eq!(used(&ledger, &empty), 0);
        }
    }

    #[test]
    fn blocks_stay_apart(puts in proptest::collection::vec((0..5i64, 0..4usize), 0..40)) {
        let (mut all, mut known) = (Vec::new(), std::collections::BTreeMap::new());
        for (slot, count) in puts {
            let ledger = vec![slot; count * WIDTH];
            put(&mut all, slot, &ledger);
            known.insert(slot, ledger);
        }
        for (slot, ledger) in known {
            prop_assert_eq!(block(&all, slot), &ledger[..]);
        }
    }
}
