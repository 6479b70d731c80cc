//! What is kept of more keys than there is room for, held against states that keep all of them.

use super::*;

/// What the head of the module says but for rounding; ranks that differ by less than a millionth count as equal.
const ROUNDING: f64 = 1.0 + 3e-6;
const TINY: f64 = 1e-300;

/// What is kept of the events in these batches, which are merged one after the other.
fn merged(aggregate: &Aggregate, batches: &[Vec<Keyed>], limit: usize) -> Vec<f64> {
    let mut row = Vec::new();
    for batch in batches {
        let part = row_of(aggregate, batch, limit);
        merge(&mut row, &part, 1, aggregate, limit);
    }
    row
}

/// The same events in two divisions into batches: one event after the other, and shuffled.
fn divided(keys: u64) -> impl Strategy<Value = (Vec<Keyed>, Vec<Vec<Keyed>>)> {
    let events = prop::collection::vec(heavy(keys), 1..120);
    events.prop_flat_map(|events| {
        let shuffled = Just(events.clone()).prop_shuffle();
        let sizes = prop::collection::vec(1..30usize, 1..8);
        (Just(events), shuffled, sizes).prop_map(|(events, mut rest, sizes)| {
            let mut batches = Vec::new();
            for size in sizes {
                let cut = rest.len().saturating_sub(size);
                batches.push(rest.split_off(cut));
            }
            batches.push(rest);
            (events, batches)
        })
    })
}

/// Few keys have most events, and some events are late.
fn heavy(keys: u64) -> impl Strategy<Value = Keyed> {
    let key = prop_oneof![0..keys, 0..4u64];
    let at = prop_oneof![0..9 * HOUR, (0..4i64).prop_map(|hour| hour * HOUR)];
    (key, at, -9.0..9.0f64, any::<bool>()).prop_map(|(key, at, amount, hit)| {
        let side = if hit { Side::Hit } else { Side::Trial };
        let item = 0;
        (
            key,
            Observation {
                at,
                amount,
                side,
                item,
            },
        )
    })
}

/// Each key apart, in an entry that lacks nothing.
fn complete(aggregate: &Aggregate, events: &[Keyed]) -> BTreeMap<u64, Entry> {
    let mut all = BTreeMap::new();
    for (key, event) in events {
        let entry = all.entry(*key).or_insert_with(|| Entry::new(*key));
        aggregate.add(&mut entry.cells, event);
    }
    all
}

/// The most events by weight that fade, and their sum W as of `now`.
fn total(aggregate: &Aggregate, events: &[Keyed], now: i64) -> f64 {
    let sizes = events.iter().map(|(_, event)| {
        let size = match aggregate.kind {
            Kind::DecayedSum => event.amount.abs(),
            _ => 1.0,
        };
        faded(size, event.at, now, aggregate)
    });
    sizes.sum()
}

/// The signed weight of an entry: a sum keeps its sign.
fn signed(entry: &Entry, aggregate: &Aggregate, now: i64) -> f64 {
    let newest = aggregate.newest(&entry.cells).unwrap();
    let weight = faded(magnitude(entry, aggregate), newest, now, aggregate);
    match aggregate.kind {
        Kind::DecayedSum => weight.copysign(entry.cells[1]),
        _ => weight,
    }
}

fn within(aggregate: &Aggregate, row: &[f64], events: &[Keyed], most: usize) {
    let contents = row::contents(row, 1, aggregate);
    let now = events.iter().map(|(_, event)| event.at).max().unwrap();
    let kept: BTreeMap<u64, &Entry> = contents.entries.iter().map(|e| (e.key, e)).collect();
    let floor = faded(contents.floor, contents.at, now, aggregate);
    let whole = complete(aggregate, events);
    assert!(kept.len() <= most);
    let mut weights = Vec::new();
    for (key, whole) in &whole {
        let weight = signed(whole, aggregate, now);
        weights.push(weight);
        let Some(entry) = kept.get(key) else {
            assert!(
                weight.abs() <= floor * ROUNDING + TINY,
                "{key} {weight} {floor}"
            );
            continue;
        };
        let error = faded(entry.error, contents.at, now, aggregate);
        assert!(error <= floor * ROUNDING);
        let lacks = weight - signed(entry, aggregate, now);
        assert!(
            lacks.abs() <= error * ROUNDING + 1e-9,
            "{key} {lacks} {error}"
        );
        if aggregate.kind != Kind::DecayedSum {
            assert!(lacks >= -1e-9, "{key} has more than there was");
        }
    }
    let all = total(aggregate, events, now);
    assert!(floor <= all / most as f64 * ROUNDING, "{floor} of {all}");
    if aggregate.kind != Kind::DecayedSum {
        weights.sort_by(|a, b| b.total_cmp(a));
        let mut rest = all;
        for (h, weight) in weights.iter().enumerate().take(most) {
            assert!(floor <= (rest / (most - h) as f64) * ROUNDING + 1e-9);
            rest -= weight;
        }
    }
}

#[test]
fn a_key_that_comes_late_and_becomes_the_heaviest_is_kept() {
    let week = Aggregate {
        half_life: 168.0 * HOUR as f64,
        ..COUNT
    };
    let mut row = Vec::new();
    for i in 0..200 {
        add(
            &mut row,
            1,
            &week,
            i % 40,
            &event(-(i as i64) % 24 * HOUR, 1.0),
            20,
        );
    }
    let mut weight = 0.0;
    for i in 1..=300 {
        let at = i * HOUR / 4;
        add(&mut row, 1, &week, 99, &event(at, 1.0), 20);
        weight = faded(weight, at - HOUR / 4, at, &week) + 1.0;
    }
    let now = 75 * HOUR;
    let (key, value) = read_all(&row, &week, now, 20)[0];
    assert_eq!(key, 99);
    // the others have less than five
    assert!(
        value <= weight && value > weight - 5.0,
        "{value} of {weight}"
    );
}

#[test]
fn a_block_has_a_floor_only_while_something_may_lack() {
    let mut row = Vec::new();
    for key in [1, 2, 2, 3] {
        add(&mut row, 1, &COUNT, key, &event(0, 1.0), 1);
    }
    // 1 and 3 are equal, and the smaller key stays
    assert_eq!(
        row,
        [
            1.0, 18.0, 2.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 2.0, 0.0, 2.0, 0.0
        ]
    );
    // 3 comes with the floor as its error, faded as all else
    add(&mut row, 1, &COUNT, 3, &event(HOUR, 1.0), 1);
    let hour = HOUR as f64;
    assert_eq!(
        row,
        [
            1.0, 18.0, 2.0, hour, 0.5, 2.0, 0.0, 2.0, 0.0, 3.0, hour, 1.0, 0.5
        ]
    );
    assert_eq!(read_all(&row, &COUNT, HOUR, 9), [(2, 1.0), (3, 1.0)]);
    assert_eq!(newest(&row, 1, &COUNT, 3), Some(HOUR));
    // when all that has faded to nothing, the row is as if nothing had been dropped
    add(&mut row, 1, &COUNT, 3, &event(9999 * HOUR, 1.0), 1);
    assert_eq!(row[..3], [1.0, 2.0, 2.0]);
}

#[test]
fn a_row_without_floors_is_read_and_goes_on() {
    let mut row = vec![1.0, 2.0, 2.0, 10.0, 0.0, 4.0, 20.0, 0.0, 3.0];
    assert_eq!(read_all(&row, &COUNT, 0, 9), [(10, 4.0), (20, 3.0)]);
    add(&mut row, 1, &COUNT, 30, &event(0, 1.0), 1);
    add(&mut row, 1, &COUNT, 30, &event(0, 1.0), 1);
    add(&mut row, 1, &COUNT, 30, &event(0, 1.0), 1);
    add(&mut row, 1, &COUNT, 30, &event(0, 1.0), 1);
    assert_eq!(read_all(&row, &COUNT, 0, 9), [(10, 4.0), (30, 1.0)]);
}

proptest! {
    #[test]
    fn what_is_lost_is_within_the_errors(
        (events, batches) in divided(30),
        limit in 1..6usize,
        half_life in prop_oneof![Just(f64::INFINITY), (0.1..99.0f64).prop_map(|h| h * HOUR as f64)],
    ) {
        for kind in KINDS {
            let aggregate = Aggregate { half_life, ..fading(kind) };
            if fades(&aggregate) {
                within(&aggregate, &row_of(&aggregate, &events, limit), &events, 2 * limit);
                within(&aggregate, &merged(&aggregate, &batches, limit), &events, 2 * limit);
            }
        }
    }

    #[test]
    fn the_newest_keys_are_kept_in_any_order(
        (events, batches) in divided(30),
        limit in 1..6usize,
    ) {
        let windows = Kind::WindowCount { window: 2 * HOUR, bucket: HOUR };
        for aggregate in [Kind::Recency, Kind::Last, Kind::First, windows].map(fading) {
            let whole = complete(&aggregate, &events);
            let now = whole.values().filter_map(|e| aggregate.newest(&e.cells)).max().unwrap();
            let newest = |key: u64| aggregate.newest(&whole[&key].cells).unwrap();
            let mut expected: Vec<u64> = whole.keys().copied().collect();
            expected.sort_by_key(|&key| (Reverse(newest(key)), key));
            let in_windows = expected.iter().filter(|&&key| newest(key) >= now - 3 * HOUR).count();
            expected.truncate(2 * limit);
            for row in [row_of(&aggregate, &events, limit), merged(&aggregate, &batches, limit)] {
                let found = read_all(&row, &aggregate, now, 99);
                prop_assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), expected.clone());
                for (key, value) in found {
                    let exact = match aggregate.kind {
                        Kind::First => false,
                        Kind::WindowCount { .. } => in_windows <= 2 * limit,
                        _ => true,
                    };
                    prop_assert!(!exact || aggregate.read(&whole[&key].cells, now) == Some(value));
                }
            }
        }
    }
}
