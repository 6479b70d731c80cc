use std::collections::BTreeMap;

use super::super::aggregate::{NEVER, Side};
use super::*;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000_000;
const COUNT: Aggregate = fading(Kind::DecayedCount);
const KINDS: [Kind; 7] = [
    Kind::DecayedCount,
    Kind::DecayedSum,
    Kind::DecayedMean,
    Kind::Rate {
        prior_weight: 1.0,
        prior_rate: 0.2,
    },
    Kind::Recency,
    Kind::First,
    Kind::Last,
];

const fn fading(kind: Kind) -> Aggregate {
    Aggregate {
        kind,
        half_life: HOUR as f64,
        ttl: None,
    }
}

fn event(at: i64, amount: f64) -> Observation {
    Observation {
        at,
        amount,
        side: Side::Trial,
        item: 0,
    }
}

/// The keys and values of slot 1 as of `now`.
fn read_all(row: &[f64], aggregate: &Aggregate, now: i64, limit: usize) -> Vec<(u64, f64)> {
    entries(row, 1, aggregate, now, limit).collect()
}

#[test]
fn keys_are_52_bits_of_a_stable_hash() {
    // computed apart, by the formulas in math::hash
    assert_eq!(key_of(""), 4_312_977_681_062_750);
    assert_eq!(key_of("shoes"), 3_574_637_545_443_225);
    assert!(key_of("shoes") < KEYS && key_of("shoes") != key_of("shoe"));
}

#[test]
fn each_key_has_a_state_of_its_own() {
    let mut row = Vec::new();
    add(&mut row, 7, &COUNT, 20, &event(HOUR, 1.0), 5);
    add(&mut row, 7, &COUNT, 10, &event(0, 1.0), 5);
    add(&mut row, 7, &COUNT, 20, &event(0, 1.0), 5);
    assert_eq!(row, [7.0, 2.0, 2.0, 10.0, 0.0, 1.0, 20.0, HOUR as f64, 1.5]);
    assert_eq!(read(&row, 7, &COUNT, 20, 2 * HOUR), Some(0.75));
    assert_eq!(read(&row, 7, &COUNT, 10, 2 * HOUR), Some(0.25));
    assert_eq!(read(&row, 7, &COUNT, 15, 2 * HOUR), None);
    assert_eq!(read(&row, 6, &COUNT, 20, 2 * HOUR), None);
    assert_eq!(newest(&row, 7, &COUNT, 20), Some(HOUR));
    assert_eq!(newest(&row, 7, &COUNT, 30), None);
}

#[test]
fn features_share_a_row_in_the_order_of_their_slots() {
    let (mut row, mut other) = (Vec::new(), Vec::new());
    let recency = fading(Kind::Recency);
    for (slot, aggregate) in [(9, &COUNT), (2, &recency), (5, &COUNT)] {
        add(&mut row, slot, aggregate, 1, &event(0, 1.0), 5);
    }
    for (slot, aggregate) in [(5, &COUNT), (9, &COUNT), (2, &recency)] {
        add(&mut other, slot, aggregate, 1, &event(0, 1.0), 5);
    }
    let expected = [2.0, 1.0, 1.0, 1.0, 0.0]
        .into_iter()
        .chain([5.0, 2.0, 1.0, 1.0, 0.0, 1.0])
        .chain([9.0, 2.0, 1.0, 1.0, 0.0, 1.0]);
    assert_eq!(row, expected.collect::<Vec<_>>());
    assert_eq!(row, other);
    // a feature that is kept in another form begins anew, and leaves its neighbours alone
    assert_eq!(read(&row, 5, &recency, 1, 0), None);
    add(&mut row, 5, &recency, 3, &event(HOUR, 1.0), 5);
    assert_eq!(read(&row, 5, &COUNT, 1, 0), None);
    assert_eq!(read(&row, 5, &recency, 3, HOUR), Some(0.0));
    assert_eq!(read(&row, 9, &COUNT, 1, 0), Some(1.0));
    assert_eq!(read(&row, 2, &recency, 1, 0), Some(0.0));
}

#[test]
fn the_heaviest_come_first_and_equals_by_key() {
    let mut row = Vec::new();
    // as of hour 2: 1 → 1, 2 → 0.5 + 0.5, 3 → 0.25, 4 → 2
    for (key, hour) in [(1, 2), (3, 0), (2, 1), (2, 1), (4, 2), (4, 2)] {
        add(&mut row, 1, &COUNT, key, &event(hour * HOUR, 1.0), 10);
    }
    let all = [(4, 2.0), (1, 1.0), (2, 1.0), (3, 0.25)];
    assert_eq!(read_all(&row, &COUNT, 2 * HOUR, 10), all);
    assert_eq!(read_all(&row, &COUNT, 2 * HOUR, 2), all[..2]);
    assert_eq!(read_all(&row, &COUNT, 2 * HOUR, 0), []);
}

#[test]
fn weights_that_differ_by_rounding_are_equal() {
    let times = [0.1, 0.4, 0.7, 1.1, 1.6, 1.9, 2.3].map(|hours| (hours * HOUR as f64) as i64);
    let (mut ascending, mut descending) = (Vec::new(), Vec::new());
    for (&early, &late) in times.iter().zip(times.iter().rev()) {
        add(&mut ascending, 1, &COUNT, 1, &event(early, 1.0), 5);
        add(&mut ascending, 1, &COUNT, 2, &event(late, 1.0), 5);
        add(&mut descending, 1, &COUNT, 1, &event(late, 1.0), 5);
        add(&mut descending, 1, &COUNT, 2, &event(early, 1.0), 5);
    }
    let of = |row: &[f64], key| read(row, 1, &COUNT, key, 3 * HOUR).unwrap();
    assert_ne!(of(&ascending, 1), of(&ascending, 2), "no such example");
    for row in [ascending, descending] {
        let keys: Vec<_> = read_all(&row, &COUNT, 3 * HOUR, 5)
            .iter()
            .map(|e| e.0)
            .collect();
        assert_eq!(keys, [1, 2]);
    }
}

#[test]
fn of_equals_the_smaller_keys_are_kept_and_found() {
    let mut row = Vec::new();
    for key in [4, 2, 9, 3, 1, 8] {
        let amount = if key > 7 { 2.0 } else { 1.0 };
        add(
            &mut row,
            1,
            &fading(Kind::DecayedSum),
            key,
            &event(0, amount),
            2,
        );
    }
    let value = |key| read(&row, 1, &fading(Kind::DecayedSum), key, 0);
    assert_eq!([1, 2, 8, 9].map(value), [1.0, 1.0, 2.0, 2.0].map(Some));
    assert_eq!([3, 4].map(value), [None, None]);
}

#[test]
fn what_is_heavy_depends_on_the_kind() {
    let weigh = |kind, events: &[(u64, i64, f64)]| {
        let mut row = Vec::new();
        for &(key, at, amount) in events {
            add(&mut row, 1, &fading(kind), key, &event(at, amount), 10);
        }
        read_all(&row, &fading(kind), HOUR, 10)
    };
    let events = [
        (1, HOUR, 5.0),
        (2, 0, -40.0),
        (2, HOUR, 10.0),
        (3, HOUR, 1.0),
        (3, HOUR, 1.0),
    ];
    assert_eq!(
        weigh(Kind::DecayedSum, &events),
        [(2, -10.0), (1, 5.0), (3, 2.0)]
    );
    assert_eq!(
        weigh(Kind::DecayedMean, &events),
        [(3, 1.0), (2, -10.0 / 1.5), (1, 5.0)]
    );
    let prior = Kind::Rate {
        prior_weight: 1.0,
        prior_rate: 0.2,
    };
    assert_eq!(
        weigh(prior, &events),
        [(3, 1.0 / 7.0), (2, 1.0 / 6.5), (1, 1.0 / 6.0)]
    );
    let events = [(1, 0, 5.0), (2, HOUR, 6.0), (3, HOUR / 2, 7.0)];
    assert_eq!(
        weigh(Kind::Recency, &events),
        [(2, 0.0), (3, 1800.0), (1, 3600.0)]
    );
    assert_eq!(weigh(Kind::Last, &events), [(2, 6.0), (3, 7.0), (1, 5.0)]);
}

#[test]
fn what_has_faded_to_nothing_is_still_in_order() {
    let mut row = Vec::new();
    for key in 1..=4 {
        add(&mut row, 1, &COUNT, key, &event(key as i64 * HOUR, 1.0), 2);
    }
    add(&mut row, 1, &COUNT, 0, &event(9000 * HOUR, 1.0), 2);
    let keys: Vec<_> = read_all(&row, &COUNT, 9999 * HOUR, 9)
        .iter()
        .map(|e| e.0)
        .collect();
    assert_eq!(keys, [0, 4, 3, 2]);
}

#[test]
fn the_lightest_beyond_twice_the_limit_are_dropped() {
    let mut row = Vec::new();
    for key in 0..100 {
        for _ in 0..=key % 10 {
            add(&mut row, 1, &COUNT, key, &event(0, 1.0), 100);
        }
    }
    let mut other = Vec::new();
    merge(&mut other, &row, 1, &COUNT, 5);
    let kept = read_all(&other, &COUNT, 0, 1000);
    let expected: Vec<_> = (0..10).map(|i| (9 + 10 * i, 10.0)).collect();
    assert_eq!(kept, expected);
    assert_eq!(read_all(&other, &COUNT, 0, 5), expected[..5]);
    // what is expired is kept all the same, and not read
    let short = Aggregate {
        ttl: Some(HOUR),
        ..COUNT
    };
    let mut row = Vec::new();
    for (key, at) in [(1, 0), (1, 0), (1, 0), (2, 2 * HOUR), (3, HOUR)] {
        add(&mut row, 1, &short, key, &event(at, 1.0), 1);
    }
    assert_eq!(read_all(&row, &short, 2 * HOUR, 9), [(2, 1.0)]);
    assert_eq!(read_all(&row, &COUNT, 2 * HOUR, 9), [(2, 1.0), (1, 0.75)]);
    merge(&mut row, &[], 1, &short, 0);
    assert!(!row.is_empty());
    add(&mut row, 1, &short, 5, &event(0, 1.0), 0);
    assert!(row.is_empty());
}

#[test]
fn wide_states_are_not_kept() {
    let aggregate = fading(Kind::Distinct);
    assert!(!allows(&aggregate) && KINDS.iter().all(|&kind| allows(&fading(kind))));
    let mut row = Vec::new();
    add(&mut row, 1, &aggregate, 1, &event(0, 1.0), 5);
    merge(&mut row, &[1.0, 27.0, 0.0], 1, &aggregate, 5);
    assert!(row.is_empty());
    assert_eq!(read_all(&row, &aggregate, 0, 5), []);
}

#[test]
fn an_amount_that_is_no_number_adds_no_key() {
    for kind in KINDS {
        let mut row = Vec::new();
        add(&mut row, 1, &fading(kind), 1, &event(0, f64::NAN), 5);
        assert!(row.is_empty());
    }
}

#[test]
fn a_damaged_row_is_empty_and_mends() {
    let nan = f64::NAN;
    for damaged in [
        vec![nan],
        vec![1.0, 2.0],
        vec![1.0, 2.0, 1.0, 5.0, 0.0],
        vec![1.0, 2.0, 1e300, 5.0, 0.0, 1.0],
        vec![1.0, 2.0, -1.0, 5.0, 0.0, 1.0],
        vec![1.0, 1e9, 1.0, 5.0, 0.0, 1.0],
        vec![1.0, 2.0, 0.5, 5.0, 0.0, 1.0],
        vec![nan, 2.0, 1.0, 5.0, 0.0, 1.0],
        vec![1.0, 2.0, 1.0, nan, 0.0, 1.0],
        vec![1.0, 2.0, 1.0, 5.5, 0.0, 1.0],
        vec![1.0, 2.0, 1.0, KEYS as f64, 0.0, 1.0],
        vec![1.0, 2.0, 1.0, 5.0, nan, 1.0],
        vec![1.0, 2.0, 1.0, 5.0, NEVER, NEVER],
    ] {
        assert_eq!(read_all(&damaged, &COUNT, 0, 5), [], "{damaged:?}");
        assert_eq!(read(&damaged, 1, &COUNT, 5, 0), None, "{damaged:?}");
        let mut row = damaged;
        add(&mut row, 1, &COUNT, 6, &event(0, 1.0), 5);
        assert_eq!(row, [1.0, 2.0, 1.0, 6.0, 0.0, 1.0]);
    }
    // a value that is none counts as 0
    let mut row = vec![1.0, 2.0, 1.0, 5.0, 0.0, nan];
    add(&mut row, 1, &COUNT, 6, &event(0, 1.0), 5);
    assert_eq!(row, [1.0, 2.0, 2.0, 5.0, 0.0, 0.0, 6.0, 0.0, 1.0]);
    // keys out of order and twice, behind a sound block
    let mut row = vec![0.0, 1.0, 1.0, 3.0, 0.0, 1.0, 2.0, 3.0];
    row.extend([9.0, 0.0, 1.0, 4.0, 0.0, 1.0, 9.0, 0.0, 1.0]);
    add(&mut row, 1, &COUNT, 6, &event(0, 1.0), 5);
    assert_eq!(read_all(&row, &COUNT, 0, 5), [(9, 2.0), (4, 1.0), (6, 1.0)]);
    assert_eq!(read(&row, 0, &fading(Kind::Recency), 3, 0), Some(0.0));
}

type Keyed = (u64, Observation);

fn keyed_events(keys: u64) -> impl Strategy<Value = Vec<Keyed>> {
    let at = prop_oneof![0..90 * HOUR, (-9..9i64).prop_map(|hour| hour * HOUR)];
    let one = (0..keys, at, -9.0..9.0f64, any::<bool>()).prop_map(|(key, at, amount, hit)| {
        let side = if hit { Side::Hit } else { Side::Trial };
        (
            key,
            Observation {
                at,
                amount,
                side,
                item: 0,
            },
        )
    });
    prop::collection::vec(one, 1..40)
}

fn row_of(aggregate: &Aggregate, events: &[Keyed], limit: usize) -> Vec<f64> {
    let mut row = Vec::new();
    for (key, event) in events {
        add(&mut row, 1, aggregate, *key, event, limit);
    }
    row
}

proptest! {
    #[test]
    fn any_order_and_any_batches_give_the_same_keys(
        (events, shuffled) in keyed_events(12)
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        cut in 0..40usize,
        hours in -10..200i64,
    ) {
        let (now, limit) = (hours * HOUR, 6);
        for aggregate in KINDS.map(fading) {
            let row = row_of(&aggregate, &events, limit);
            let (left, right) = shuffled.split_at(cut % (events.len() + 1));
            let mut merged = row_of(&aggregate, left, limit);
            merge(&mut merged, &row_of(&aggregate, right, limit), 1, &aggregate, limit);
            // each key apart, by a state of its own
            let mut states = BTreeMap::new();
            for (key, event) in &events {
                let cells = states.entry(*key).or_insert_with(|| vec![NEVER; aggregate.cells()]);
                aggregate.add(cells, event);
            }
            for (key, cells) in &states {
                let alone = aggregate.read(cells, now).unwrap();
                for row in [&row, &merged] {
                    let said = read(row, 1, &aggregate, *key, now).unwrap();
                    prop_assert!((said - alone).abs() <= 1e-9 * 400.0);
                }
            }
            let found = read_all(&row, &aggregate, now, 12);
            prop_assert_eq!(found.len(), states.len());
            for (a, b) in found.iter().zip(read_all(&merged, &aggregate, now, 12)) {
                prop_assert_eq!(a.0, b.0);
            }
            if aggregate.kind == Kind::DecayedCount {
                prop_assert!(found.is_sorted_by(|a, b| a.1 >= b.1 * (1.0 - 1e-6)));
            }
        }
    }

    #[test]
    fn no_more_than_twice_the_limit_are_kept(events in keyed_events(40), limit in 0..6usize) {
        for aggregate in KINDS.map(fading) {
            let row = row_of(&aggregate, &events, limit);
            prop_assert!(read_all(&row, &aggregate, 0, 100).len() <= 2 * limit);
            prop_assert!(row.len() <= 5 + 2 * limit * (2 + aggregate.cells()));
            prop_assert!(row.iter().all(|cell| cell.is_finite()));
        }
    }

    #[test]
    fn nonsense_does_no_harm(
        mut row in prop::collection::vec(
            prop_oneof![any::<f64>(), (0..6i32).prop_map(f64::from), Just(f64::NAN), Just(18.0)], 0..40),
        other in prop::collection::vec(
            prop_oneof![4 => (0..6i32).prop_map(f64::from), 1 => Just(18.0)], 0..40),
        slot in 0..6u32,
        (key, at, now) in any::<(u64, i64, i64)>(),
        amount in any::<f64>(),
        kind in prop::sample::select(KINDS.to_vec()),
    ) {
        let aggregate = fading(kind);
        let _ = read(&row, slot, &aggregate, key, now);
        let _ = entries(&row, slot, &aggregate, now, 3).count();
        merge(&mut row, &other, slot, &aggregate, 3);
        add(&mut row, slot, &aggregate, key, &event(at, amount), 9);
        if amount.is_finite() {
            let latest = newest(&row, slot, &aggregate, key);
            prop_assert!(latest.is_some_and(|latest| latest >= moment(at)));
        }
        for (_, value) in entries(&row, slot, &aggregate, now, 3) {
            prop_assert!(value.is_finite());
        }
    }
}

mod bounds;
