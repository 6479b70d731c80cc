//! Values computed by hand, what a row does as it grows, and what nobody should put in.

mod orders;

use super::*;

pub const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3600 * SECOND;
pub const DAY: i64 = 24 * HOUR;

pub const KINDS: [Kind; 12] = [
    Kind::DecayedCount,
    Kind::DecayedSum,
    Kind::DecayedMean,
    Kind::Rate {
        prior_weight: 0.0,
        prior_rate: 0.0,
    },
    Kind::Rate {
        prior_weight: 2.0,
        prior_rate: 0.1,
    },
    Kind::WindowCount {
        window: DAY,
        bucket: HOUR,
    },
    Kind::WindowSum {
        window: 10 * HOUR,
        bucket: 3 * HOUR,
    },
    Kind::WindowCount {
        window: 1,
        bucket: 1,
    },
    Kind::Recency,
    Kind::First,
    Kind::Last,
    Kind::Distinct,
];

pub fn aggregate(kind: Kind) -> Aggregate {
    Aggregate {
        kind,
        half_life: HOUR as f64,
        ttl: None,
    }
}

pub fn event(at: i64, amount: f64) -> Observation {
    Observation {
        at,
        amount,
        side: Side::Trial,
        item: 0,
    }
}

pub fn state(aggregate: &Aggregate, events: &[Observation]) -> Vec<f64> {
    let mut cells = vec![NEVER; aggregate.cells()];
    for event in events {
        aggregate.add(&mut cells, event);
    }
    cells
}

/// What a kind says at `now` after events of these moments and amounts.
fn says(kind: Kind, events: &[(i64, f64)], now: i64) -> Option<f64> {
    let events: Vec<_> = events.iter().map(|&(at, x)| event(at, x)).collect();
    let aggregate = aggregate(kind);
    aggregate.read(&state(&aggregate, &events), now)
}

#[test]
fn counts_and_sums_fade() {
    let events = [(0, 8.0), (2 * HOUR, -3.0), (HOUR, 2.0)];
    let now = 3 * HOUR;
    assert_eq!(
        says(Kind::DecayedCount, &events, now),
        Some(0.125 + 0.5 + 0.25)
    );
    assert_eq!(says(Kind::DecayedSum, &events, now), Some(1.0 - 1.5 + 0.5));
    assert_eq!(says(Kind::DecayedSum, &events, 0), Some(2.0 - 3.0 + 1.0));
}

#[test]
fn a_mean_weighs_the_old_less_and_does_not_fade() {
    let events = [(HOUR, 4.0), (0, 10.0)];
    let expected = (4.0 + 5.0) / 1.5;
    for now in [HOUR, 2 * HOUR, 5000 * HOUR] {
        assert_eq!(says(Kind::DecayedMean, &events, now), Some(expected));
    }
}

#[test]
fn what_never_fades_is_exact() {
    let events: Vec<_> = (0..1000)
        .map(|i| event(i * 7919 % 1009 * HOUR, 0.5))
        .collect();
    for (kind, expected) in [
        (Kind::DecayedCount, 1000.0),
        (Kind::DecayedSum, 500.0),
        (Kind::DecayedMean, 0.5),
    ] {
        let aggregate = Aggregate {
            half_life: f64::INFINITY,
            ..aggregate(kind)
        };
        let cells = state(&aggregate, &events);
        assert_eq!(aggregate.read(&cells, i64::MAX), Some(expected));
    }
}

#[test]
fn a_rate_begins_at_its_prior_and_returns_to_it() {
    let rate = |prior_weight, prior_rate, sides: &[(i64, Side)], now| {
        let aggregate = aggregate(Kind::Rate {
            prior_weight,
            prior_rate,
        });
        let events = sides.iter().map(|&(at, side)| Observation {
            side,
            ..event(at, 1.0)
        });
        aggregate.read(&state(&aggregate, &events.collect::<Vec<_>>()), now)
    };
    let (hit, trial) = ((0, Side::Hit), (0, Side::Trial));
    assert_eq!(rate(2.0, 0.1, &[], 0), None);
    assert_eq!(rate(2.0, 0.1, &[trial], 0), Some(2.0 / 21.0));
    assert_eq!(rate(2.0, 0.1, &[trial, hit, trial], 0), Some(3.0 / 22.0));
    assert_eq!(rate(2.0, 0.1, &[trial, hit, trial], HOUR), Some(2.5 / 21.0));
    assert_eq!(rate(2.0, 0.1, &[trial, hit, trial], 9999 * HOUR), Some(0.1));
    // without a prior
    for (weight, prior_rate) in [
        (0.0, 0.1),
        (-1.0, 0.1),
        (f64::NAN, 0.1),
        (f64::INFINITY, 0.1),
    ]
    .into_iter()
    .chain([
        (1.0, 0.0),
        (1.0, -1.0),
        (1.0, f64::NAN),
        (1.0, f64::INFINITY),
    ]) {
        assert_eq!(rate(weight, prior_rate, &[hit], 0), None);
        assert_eq!(rate(weight, prior_rate, &[trial], 0), Some(0.0));
        assert_eq!(
            rate(weight, prior_rate, &[hit, trial, trial], 9999 * HOUR),
            Some(0.5)
        );
        assert_eq!(
            rate(weight, prior_rate, &[(HOUR, Side::Hit), trial], HOUR),
            Some(2.0)
        );
    }
}

#[test]
fn a_rate_of_the_largest_numbers_is_a_number() {
    let aggregate = aggregate(Kind::Rate {
        prior_weight: f64::MAX,
        prior_rate: 1.0,
    });
    assert_eq!(aggregate.read(&[0.0, f64::MAX, f64::MAX], 0), Some(1.0));
}

#[test]
fn a_window_slides_over_whole_buckets() {
    let kind = Kind::WindowSum {
        window: 2 * HOUR,
        bucket: HOUR,
    };
    let events = [(0, 1.0), (HOUR - 1, 2.0), (HOUR, 4.0), (2 * HOUR, 8.0)];
    // three buckets are kept, the window is two
    // the newest is two buckets ahead: as of its moment
    assert_eq!(says(kind, &events, HOUR - 1), Some(12.0));
    assert_eq!(says(kind, &events, HOUR), Some(7.0));
    assert_eq!(says(kind, &events, 2 * HOUR), Some(12.0));
    assert_eq!(says(kind, &events, 3 * HOUR), Some(8.0));
    assert_eq!(says(kind, &events, 4 * HOUR), Some(0.0));
    assert_eq!(says(kind, &events, -HOUR), Some(12.0));
    assert_eq!(says(kind, &[], 0), None);
    // 2.5 hours by the hour are three buckets
    let count = Kind::WindowCount {
        window: 5 * HOUR / 2,
        bucket: HOUR,
    };
    assert_eq!(says(count, &events, 2 * HOUR), Some(4.0));
    assert_eq!(says(count, &events, 3 * HOUR), Some(2.0));
    assert_eq!(says(count, &events, i64::MAX), Some(0.0));
}

#[test]
fn a_window_forgets_what_it_pushed_out_whenever_that_arrives() {
    let kind = Kind::WindowCount {
        window: 2 * HOUR,
        bucket: HOUR,
    };
    let (old, new) = ((0, 1.0), (3 * HOUR, 1.0));
    assert_eq!(says(kind, &[old, new], HOUR), Some(1.0));
    assert_eq!(says(kind, &[new, old], HOUR), Some(1.0));
    assert_eq!(says(kind, &[old, new], 3 * HOUR), Some(1.0));
    // before the epoch too
    assert_eq!(
        says(kind, &[(-1, 1.0), (-HOUR, 1.0), (0, 1.0)], 0),
        Some(3.0)
    );
    assert_eq!(
        says(kind, &[(-1, 1.0), (-HOUR - 1, 1.0), (0, 1.0)], -1),
        Some(2.0)
    );
}

#[test]
fn a_window_of_nonsense_is_small() {
    for (window, bucket) in [(0, 0), (-5, i64::MIN), (i64::MIN, 7), (i64::MAX, i64::MAX)] {
        assert_eq!(aggregate(Kind::WindowSum { window, bucket }).cells(), 3);
    }
    for window in [2000, i64::MAX] {
        let aggregate = aggregate(Kind::WindowCount { window, bucket: 1 });
        assert!((1000..=1026).contains(&aggregate.cells()));
        let cells = state(&aggregate, &[event(0, 1.0), event(1999, 1.0)]);
        assert_eq!(aggregate.read(&cells, 1999), Some(2.0));
    }
}

#[test]
fn buckets_grow_with_the_window() {
    for (window, bucket) in [
        (i64::MIN, HOUR / 12),
        (HOUR, HOUR / 12),
        (HOUR + 1, HOUR),
        (DAY, HOUR),
        (DAY + 1, 6 * HOUR),
        (7 * DAY, 6 * HOUR),
        (7 * DAY + 1, DAY),
        (i64::MAX, DAY),
    ] {
        assert_eq!(bucket_for(window), bucket, "for {window}");
    }
}

#[test]
fn first_last_and_recency_look_at_times() {
    let events = [(HOUR, 5.0), (0, -2.0), (HOUR, 7.0), (0, -3.0), (HOUR, 6.0)];
    let now = HOUR + SECOND / 2;
    assert_eq!(says(Kind::First, &events, now), Some(-2.0));
    assert_eq!(says(Kind::Last, &events, now), Some(7.0));
    assert_eq!(says(Kind::Recency, &events, now), Some(0.5));
    assert_eq!(says(Kind::Recency, &events, 0), Some(0.0));
}

#[test]
fn few_distinct_items_are_nearly_counted() {
    let aggregate = aggregate(Kind::Distinct);
    let mut cells = vec![NEVER; aggregate.cells()];
    for item in [7, 8, 7, 7, 9, 8] {
        aggregate.add(
            &mut cells,
            &Observation {
                item,
                ..event(0, 1.0)
            },
        );
    }
    // 256 · ln(256 / 253), as three registers are no longer zero
    let expected = 3.017_717;
    let value = aggregate.read(&cells, 0).unwrap();
    assert!((value - expected).abs() < 1e-6, "{value}");
}

#[test]
fn a_register_holds_no_more_than_five_bits() {
    let aggregate = aggregate(Kind::Distinct);
    // 0 is mixed to 0: a run that does not end, in the first register
    let cells = state(&aggregate, &[event(0, 1.0)]);
    assert_eq!(cells[1], 31.0);
    assert!(cells[2..].iter().all(|&cell| cell == 0.0));
}

#[test]
fn distinct_items_are_estimated_as_well_as_is_said() {
    // the root of the mean square of the relative error over 200 independent streams
    for (n, allowed) in [
        (10, 0.05),
        (50, 0.05),
        (100, 0.05),
        (300, 0.065),
        (640, 0.075),
        (700, 0.075),
        (800, 0.075),
        (1000, 0.075),
        (1500, 0.075),
        (3000, 0.075),
        (20_000, 0.075),
    ] {
        let aggregate = aggregate(Kind::Distinct);
        let (mut squares, mut sum, streams) = (0.0, 0.0, 200);
        for stream in 0..streams {
            let mut cells = vec![NEVER; aggregate.cells()];
            for i in 0..n {
                let item = crate::hash::fnv64a(&format!("{stream}/{i}"));
                aggregate.add(
                    &mut cells,
                    &Observation {
                        item,
                        ..event(i, 1.0)
                    },
                );
            }
            let error = aggregate.read(&cells, n).unwrap() / n as f64 - 1.0;
            squares += error * error;
            sum += error;
        }
        let error = (squares / f64::from(streams)).sqrt();
        let bias = sum / f64::from(streams);
        assert!(error < allowed, "{error} for {n} items, bias {bias}");
    }
}

#[test]
fn a_state_expires_with_its_newest_event() {
    for kind in KINDS {
        let aggregate = Aggregate {
            ttl: Some(HOUR),
            ..aggregate(kind)
        };
        let cells = state(&aggregate, &[event(DAY, 1.0), event(0, 1.0)]);
        assert_eq!(aggregate.newest(&cells), Some(DAY));
        assert!(aggregate.read(&cells, DAY + HOUR).is_some(), "{kind:?}");
        assert_eq!(aggregate.read(&cells, DAY + HOUR + 1), None, "{kind:?}");
        assert!(aggregate.read(&cells, i64::MIN).is_some(), "{kind:?}");
    }
}

#[test]
fn a_row_grows_by_cells_that_are_empty_for_every_kind() {
    for kind in KINDS {
        let aggregate = aggregate(kind);
        let mut row = Vec::new();
        assert!(cells_at(&row, 0, &aggregate).is_none());
        // a neighbour far behind makes the gap
        let neighbour = super::tests::aggregate(Kind::Last);
        let slot = aggregate.cells() + 5;
        neighbour.add(cells_at_mut(&mut row, slot, &neighbour), &event(3, 4.0));
        for gap in 0..=5 {
            let cells = cells_at(&row, gap, &aggregate).unwrap();
            assert!(aggregate.is_empty(cells));
            assert_eq!(aggregate.read(cells, 0), None);
        }
        aggregate.add(cells_at_mut(&mut row, 2, &aggregate), &event(5, 6.0));
        assert_eq!(row.len(), slot + 2);
        assert_eq!(&row[..2], [NEVER, NEVER]);
        assert_eq!(
            aggregate.newest(cells_at(&row, 2, &aggregate).unwrap()),
            Some(5)
        );
        let kept = cells_at(&row, slot, &neighbour).unwrap();
        assert_eq!(neighbour.read(kept, 3), Some(4.0));
        let cells = cells_at_mut(&mut row, 2, &aggregate);
        aggregate.clear(cells);
        assert!(cells.iter().all(|&cell| cell == NEVER));
    }
}

#[test]
fn a_row_does_not_grow_for_ever() {
    let aggregate = aggregate(Kind::Distinct);
    let mut row = vec![1.0];
    for slot in [MAX_ROW, usize::MAX - 3, usize::MAX] {
        assert!(cells_at(&row, slot, &aggregate).is_none());
        let cells = cells_at_mut(&mut row, slot, &aggregate);
        assert!(cells.is_empty());
        aggregate.add(cells, &event(0, 1.0));
        aggregate.merge(cells, &[0.0; 27]);
        aggregate.clear(cells);
    }
    assert_eq!(row, [1.0]);
}

#[test]
fn an_amount_that_is_no_number_changes_nothing() {
    for kind in KINDS {
        let aggregate = aggregate(kind);
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(aggregate.is_empty(&state(&aggregate, &[event(0, x)])));
            let events = [event(HOUR, 2.0), event(DAY, x), event(0, x)];
            assert_eq!(state(&aggregate, &events), state(&aggregate, &events[..1]));
        }
    }
}

#[test]
fn sums_stop_at_the_largest_number() {
    let huge = [(0, f64::MAX), (0, f64::MAX), (0, f64::MAX)];
    for kind in [
        Kind::DecayedSum,
        Kind::WindowSum {
            window: HOUR,
            bucket: HOUR,
        },
        Kind::First,
        Kind::Last,
    ] {
        assert_eq!(says(kind, &huge, 0), Some(f64::MAX), "{kind:?}");
    }
    assert_eq!(says(Kind::DecayedMean, &huge, 0), Some(f64::MAX / 3.0));
    let buckets = [(0, f64::MIN), (HOUR, f64::MIN), (2 * HOUR, 1.0)];
    let window = Kind::WindowSum {
        window: 3 * HOUR,
        bucket: HOUR,
    };
    assert_eq!(says(window, &buckets, 2 * HOUR), Some(f64::MIN));
}
