//! The same events in any order and any batches, and numbers from the ends of their range.

use super::*;
use proptest::prelude::*;

/// Ordinary events of a few days, some at the same moment, and some from far away.
fn events(most: usize) -> impl Strategy<Value = Vec<Observation>> {
    let at = prop_oneof![
        6 => 0..4 * DAY,
        3 => (0..96i64).prop_map(|hour| hour * HOUR),
        1 => (-100_000..100_000i64).prop_map(|day| day * DAY),
    ];
    let amount = prop_oneof![
        4 => -100.0..100.0f64,
        1 => (-3..3i32).prop_map(f64::from),
        1 => -1e300..1e300f64,
    ];
    prop::collection::vec(one(at, amount), 1..most)
}

fn one(
    at: impl Strategy<Value = i64>,
    amount: impl Strategy<Value = f64>,
) -> impl Strategy<Value = Observation> {
    (at, amount, any::<bool>(), 0..50u64).prop_map(|(at, amount, hit, item)| Observation {
        at,
        amount,
        side: if hit { Side::Hit } else { Side::Trial },
        item,
    })
}

fn half_life() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0.01..5000.0f64).prop_map(|hours| hours * HOUR as f64),
        1 => Just(f64::INFINITY),
        1 => Just(0.0),
    ]
}

fn faded(x: f64, age: i64, half_life: f64) -> f64 {
    if age <= 0 {
        return x;
    }
    let third = libm::exp2(-(age as f64 / half_life / 3.0));
    x * third * third * third
}

/// What a sum over all events is by its definition, and the sum of the magnitudes.
fn directly(
    events: &[Observation],
    now: i64,
    half_life: f64,
    amount: impl Fn(&Observation) -> f64,
) -> (f64, f64) {
    let newest = events.iter().map(|event| event.at).max().unwrap();
    let terms = events
        .iter()
        .map(|event| faded(amount(event), now.max(newest) - event.at, half_life));
    terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()))
}

/// Whether two sums agree to 1e-9 of their size, or are too small for an f64 to be so precise.
fn close(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 1e-9 * size + 1e-320
}

/// By its definition.
fn window(events: &[Observation], now: i64, window: i64, bucket: i64) -> Vec<Observation> {
    let bucket_of = |at: i64| at.div_euclid(bucket);
    let newest = events
        .iter()
        .map(|event| bucket_of(event.at))
        .max()
        .unwrap();
    let n = (window + bucket - 1) / bucket;
    let end = match bucket_of(now) {
        running if newest > running + 1 => newest,
        running => running,
    };
    let inside = |event: &&Observation| (end - n + 1..=end).contains(&bucket_of(event.at));
    events.iter().filter(inside).copied().collect()
}

/// Whether what an aggregate says of these events at `now` is what it should say.
fn right(aggregate: &Aggregate, events: &[Observation], now: i64, said: f64) -> bool {
    let sum = |amount: fn(&Observation) -> f64| directly(events, now, aggregate.half_life, amount);
    let newest = events.iter().map(|event| event.at).max().unwrap();
    // what does not fade is read as at the newest event
    let ratio = |of: fn(&Observation) -> f64, by: fn(&Observation) -> f64| {
        let (of, size) = directly(events, newest, aggregate.half_life, of);
        let (by, _) = directly(events, newest, aggregate.half_life, by);
        (of / by, size / by, by)
    };
    let hit = |event: &Observation| f64::from(u8::from(event.side == Side::Hit));
    let trial = |event: &Observation| f64::from(u8::from(event.side == Side::Trial));
    match aggregate.kind {
        Kind::DecayedCount => {
            let (count, size) = sum(|_| 1.0);
            close(said, count, size)
        }
        Kind::DecayedSum => {
            let (sum, size) = sum(|event| event.amount);
            close(said, sum, size)
        }
        Kind::DecayedMean => {
            let (mean, size, _) = ratio(|event| event.amount, |_| 1.0);
            close(said, mean, size)
        }
        Kind::Rate {
            prior_weight: 0.0, ..
        } => {
            let (rate, size, trials) = ratio(hit, trial);
            trials < 1e-290 || close(said, rate, size)
        }
        Kind::Rate {
            prior_weight: w,
            prior_rate,
        } => {
            let ((hits, _), (trials, _)) = (sum(hit), sum(trial));
            let rate = (w + hits) / (w / prior_rate + trials);
            close(said, rate, rate)
        }
        Kind::WindowCount { window: w, bucket } => {
            said == window(events, now, w, bucket).len() as f64
        }
        Kind::WindowSum { window: w, bucket } => {
            let amounts = window(events, now, w, bucket)
                .into_iter()
                .map(|event| event.amount);
            let (sum, size) = amounts.fold((0.0, 0.0), |(s, z), x| (s + x, z + x.abs()));
            close(said, sum, size)
        }
        Kind::Recency => said == (now - newest).max(0) as f64 / 1e6,
        Kind::First => {
            let key = |event: &&Observation| event.at;
            let first = events.iter().min_by_key(key).unwrap().at;
            let tied = events.iter().filter(|event| event.at == first);
            said == tied.fold(f64::MIN, |most, event| most.max(event.amount))
        }
        Kind::Last => {
            let tied = events.iter().filter(|event| event.at == newest);
            said == tied.fold(f64::MIN, |most, event| most.max(event.amount))
        }
        Kind::Distinct => {
            let items: std::collections::BTreeSet<_> =
                events.iter().map(|event| event.item).collect();
            let n = items.len() as f64;
            (said - n).abs() <= 2.0 + 0.2 * n
        }
    }
}

/// Whether the states of a kind are the same cells in any order.
fn exact(kind: Kind) -> bool {
    match kind {
        Kind::WindowCount { .. } | Kind::Recency | Kind::First | Kind::Last | Kind::Distinct => {
            true
        }
        Kind::DecayedCount | Kind::DecayedSum | Kind::DecayedMean => false,
        Kind::Rate { .. } | Kind::WindowSum { .. } => false,
    }
}

/// The states of the parts, each part one event after another, merged from the left or from the right.
fn batched(aggregate: &Aggregate, parts: &[&[Observation]], left: bool) -> Vec<f64> {
    let states = parts.iter().map(|part| state(aggregate, part));
    let empty = vec![NEVER; aggregate.cells()];
    let merged = |mut into: Vec<f64>, other: &[f64]| {
        aggregate.merge(&mut into, other);
        into
    };
    if left {
        states.fold(empty, |into, other| merged(into, &other))
    } else {
        states.rev().fold(empty, |other, into| merged(into, &other))
    }
}

fn bits(cells: &[f64]) -> Vec<u64> {
    cells.iter().map(|cell| cell.to_bits()).collect()
}

/// Whether a table may hold it: finite or the filling value, and the same after a dump.
fn storable(cells: &[f64]) -> bool {
    cells.iter().all(|&cell| {
        let reloaded: f64 = format!("{cell:?}").parse().unwrap();
        (cell.is_finite() || cell == NEVER) && reloaded.to_bits() == cell.to_bits()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_and_any_batches_say_the_same(
        (events, shuffled) in events(40)
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        cuts in prop::collection::vec(0..40usize, 0..4),
        half_life in half_life(),
        now in prop_oneof![-DAY..6 * DAY, any::<i64>().prop_map(|at| at >> 11)],
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (events.len() + 1)).collect();
        cuts.extend([0, events.len()]);
        cuts.sort_unstable();
        let parts: Vec<_> = cuts.windows(2).map(|cut| &shuffled[cut[0]..cut[1]]).collect();
        for kind in KINDS {
            let aggregate = Aggregate { half_life, ..aggregate(kind) };
            let states = [
                state(&aggregate, &events),
                state(&aggregate, &shuffled),
                batched(&aggregate, &parts, true),
                batched(&aggregate, &parts, false),
            ];
            for cells in &states {
                prop_assert!(storable(cells), "{kind:?}: {cells:?}");
                prop_assert_eq!(aggregate.newest(cells), aggregate.newest(&states[0]));
                let said = aggregate.read(cells, now);
                if let Some(said) = said {
                    prop_assert!(right(&aggregate, &events, now, said), "{kind:?}: {said} {cells:?}");
                } else {
                    // of the kinds here, a rate without a prior alone
                    let trial = events.iter().any(|event| event.side == Side::Trial);
                    let rate = matches!(kind, Kind::Rate { prior_weight: 0.0, .. });
                    prop_assert!(rate && (!trial || cells[2] == 0.0), "{kind:?}");
                }
                if exact(kind) {
                    prop_assert_eq!(bits(cells), bits(&states[0]), "{:?}", kind);
                }
            }
        }
    }

    #[test]
    fn merging_is_the_same_from_either_side(
        a in events(10), b in events(10), half_life in half_life(),
    ) {
        for kind in KINDS {
            let aggregate = Aggregate { half_life, ..aggregate(kind) };
            let (a, b) = (state(&aggregate, &a), state(&aggregate, &b));
            let (mut ab, mut ba) = (a.clone(), b.clone());
            aggregate.merge(&mut ab, &b);
            aggregate.merge(&mut ba, &a);
            prop_assert_eq!(bits(&ab), bits(&ba), "{:?}", kind);
        }
    }

    #[test]
    fn nothing_overflows(
        events in prop::collection::vec(one(any::<i64>(), any::<f64>()), 0..12),
        more in prop::collection::vec(one(any::<i64>(), prop_oneof![Just(f64::MAX), Just(f64::MIN)]), 0..6),
        (now, window, bucket) in any::<(i64, i64, i64)>(),
        (half_life, prior_weight, prior_rate) in any::<(f64, f64, f64)>(),
        ttl in any::<Option<i64>>(),
    ) {
        let own = [
            Kind::Rate { prior_weight, prior_rate },
            Kind::WindowCount { window, bucket },
            Kind::WindowSum { window, bucket },
        ];
        for kind in KINDS.into_iter().chain(own) {
            let aggregate = Aggregate { kind, half_life, ttl };
            let mut cells = state(&aggregate, &events);
            aggregate.merge(&mut cells, &state(&aggregate, &more));
            prop_assert!(storable(&cells), "{kind:?}: {cells:?}");
            for now in [now, 0, i64::MIN, i64::MAX] {
                let said = aggregate.read(&cells, now);
                prop_assert!(said.is_none_or(f64::is_finite), "{kind:?}: {said:?}");
            }
        }
    }

    #[test]
    fn damaged_cells_are_read_without_harm(
        (ours, theirs) in (damaged(), damaged()),
        event in one(any::<i64>(), any::<f64>()),
        now in any::<i64>(),
    ) {
        for kind in KINDS {
            let aggregate = aggregate(kind);
            let mut cells = ours.clone();
            aggregate.add(&mut cells, &event);
            aggregate.merge(&mut cells, &theirs);
            let said = aggregate.read(&cells, now);
            prop_assert!(said.is_none_or(f64::is_finite), "{kind:?}: {said:?} of {cells:?}");
        }
    }
}

fn damaged() -> impl Strategy<Value = Vec<f64>> {
    let cell = prop_oneof![
        any::<f64>(),
        Just(f64::MAX),
        Just(f64::MIN),
        Just(f64::NAN),
        Just(NEVER),
        0.0..1e16f64,
    ];
    prop::collection::vec(cell, 0..40)
}
