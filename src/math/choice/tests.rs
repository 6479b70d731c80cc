use super::*;
use proptest::prelude::*;

const RULES: [Selection; 5] = [
    Selection::Uniform,
    Selection::Greedy,
    Selection::EpsilonGreedy { epsilon: 0.2 },
    Selection::Softmax { temperature: 0.5 },
    Selection::Softmax { temperature: 1e-3 },
];

fn distribution(
    selection: Selection,
    min_probability: f64,
    scores: &[f32],
    taken: &[bool],
) -> Vec<f64> {
    let mut out = vec![f64::NAN; scores.len()];
    Choice {
        selection,
        min_probability,
    }
    .distribution(scores, taken, &mut out);
    out
}

fn of_all(selection: Selection, scores: &[f32]) -> Vec<f64> {
    distribution(selection, 0.0, scores, &vec![false; scores.len()])
}

#[test]
fn each_rule_by_hand() {
    let scores = [1.0, 3.0, 2.0, 3.0];
    assert_eq!(of_all(Selection::Uniform, &scores), [0.25; 4]);
    assert_eq!(
        of_all(Selection::Greedy, &scores),
        [0.0, 1.0, 0.0, 0.0],
        "ties go to the first"
    );
    let p = of_all(Selection::EpsilonGreedy { epsilon: 0.2 }, &scores);
    assert_eq!(p, [0.05, 0.05 + 0.8, 0.05, 0.05]);
    let p = of_all(Selection::Softmax { temperature: 2.0 }, &scores);
    let e: Vec<f64> = scores.iter().map(|&s| (f64::from(s) / 2.0).exp()).collect();
    for (p, e1) in p.iter().zip(&e) {
        assert!((p - e1 / e.iter().sum::<f64>()).abs() < 1e-15);
    }
}

#[derive(serde::Deserialize)]
struct Case {
    temperature: f64,
    scores: Vec<f32>,
    probabilities: Vec<f64>,
}

#[derive(serde::Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[test]
fn softmax_agrees_with_the_reference() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../pgrx-tests/golden/softmax.json")).unwrap();
    for case in golden.cases {
        let p = of_all(
            Selection::Softmax {
                temperature: case.temperature,
            },
            &case.scores,
        );
        for (p, expected) in p.iter().zip(&case.probabilities) {
            assert!(
                (p - expected).abs() <= 1e-12 * expected,
                "{p}, not {expected}"
            );
        }
    }
}

#[test]
fn taken_candidates_count_for_nothing() {
    let scores = [1.0, 9.0, 2.0];
    let taken = [false, true, false];
    assert_eq!(
        distribution(Selection::Greedy, 0.0, &scores, &taken),
        [0.0, 0.0, 1.0]
    );
    assert_eq!(
        distribution(Selection::Uniform, 0.0, &scores, &taken),
        [0.5, 0.0, 0.5]
    );
    assert_eq!(
        distribution(Selection::Greedy, 0.1, &scores, &taken),
        [0.1, 0.0, 0.1 + 0.8]
    );
    for rule in RULES {
        assert_eq!(distribution(rule, 0.1, &scores, &[true; 3]), [0.0; 3]);
        assert!(distribution(rule, 0.1, &[], &[]).is_empty());
    }
}

#[test]
fn the_floor_gives_way_when_there_is_no_room_for_it() {
    let scores = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(
        distribution(Selection::Greedy, 0.1, &scores, &[false; 4]),
        [0.1, 0.1, 0.1, 0.1 + (1.0 - 0.4)]
    );
    assert_eq!(
        distribution(Selection::Greedy, 0.25, &scores, &[false; 4]),
        [0.25; 4]
    );
    assert_eq!(
        distribution(Selection::Greedy, 0.9, &scores, &[false; 4]),
        [0.25; 4]
    );
    assert_eq!(
        distribution(Selection::Greedy, -1.0, &scores, &[false; 4]),
        [0.0, 0.0, 0.0, 1.0]
    );
    assert_eq!(
        distribution(Selection::Greedy, f64::NAN, &scores, &[false; 4]),
        [0.0, 0.0, 0.0, 1.0]
    );
}

#[test]
fn scores_need_not_be_finite() {
    let odd = [
        f32::NAN,
        f32::NEG_INFINITY,
        1.0,
        f32::INFINITY,
        f32::MAX,
        -0.0,
    ];
    assert_eq!(
        of_all(Selection::Greedy, &odd),
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    );
    assert_eq!(
        of_all(Selection::Softmax { temperature: 1.0 }, &odd),
        [0.0, 0.0, 0.0, 0.5, 0.5, 0.0]
    );
    assert_eq!(of_all(Selection::Greedy, &[f32::NAN; 3]), [1.0, 0.0, 0.0]);
    let thirds = of_all(Selection::Softmax { temperature: 1.0 }, &[f32::NAN; 3]);
    assert!(thirds.iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-15));
    let warm = of_all(
        Selection::Softmax {
            temperature: f64::MAX,
        },
        &odd,
    );
    assert!(warm.iter().all(|p| (p - 1.0 / 6.0).abs() < 1e-15));
    for temperature in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE, 5e-324] {
        assert_eq!(
            of_all(Selection::Softmax { temperature }, &[1.0, 2.0]),
            [0.0, 1.0],
            "{temperature}"
        );
    }
}

#[test]
fn numbers_that_make_no_sense_are_named() {
    let ok = |selection, min_probability| {
        Choice {
            selection,
            min_probability,
        }
        .validate()
    };
    for rule in RULES {
        assert_eq!(ok(rule, 0.01), Ok(()));
    }
    assert_eq!(
        ok(Selection::EpsilonGreedy { epsilon: 1.5 }, 0.0),
        Err(ChoiceError::Epsilon(1.5))
    );
    assert_eq!(
        ok(Selection::Softmax { temperature: 0.0 }, 0.0),
        Err(ChoiceError::Temperature(0.0))
    );
    assert!(
        ok(
            Selection::Softmax {
                temperature: f64::NAN
            },
            0.0
        )
        .is_err()
    );
    assert!(
        ok(
            Selection::Softmax {
                temperature: f64::INFINITY
            },
            0.0
        )
        .is_err()
    );
    let error = ok(Selection::Uniform, -0.1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the smallest probability must be between 0 and 1, not -0.1"
    );
}

#[test]
fn pick_inverts_the_distribution() {
    let p = [0.0, 0.25, 0.0, 0.5, 0.25, 0.0];
    for (u, expected) in [
        (0.0, 1),
        (0.2499, 1),
        (0.25, 3),
        (0.7499, 3),
        (0.75, 4),
        (0.999999, 4),
        (1.0, 4),
    ] {
        assert_eq!(pick(&p, u), Some(expected), "{u}");
    }
    assert_eq!(pick(&[0.0; 4], 0.5), None);
    assert_eq!(pick(&[], 0.5), None);
    assert_eq!(pick(&[f64::NAN, -1.0, 0.5], 0.1), Some(2));
}

/// The 99.9% point of chi-square (Wilson and Hilferty, 1931).
fn chi_square_bound(degrees: f64) -> f64 {
    let t = 2.0 / (9.0 * degrees);
    degrees * (1.0 - t + 3.0902 * t.sqrt()).powi(3)
}

/// Draws many slates and compares how often each one came up with the product of its conditional probabilities.
fn frequencies_agree(choice: Choice, scores: &[f32], slots: usize) {
    let draws = 60_000u64;
    let mut slate = Slate::default();
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..draws {
        slate.choose(&choice, scores, slots, seed);
        let p: f64 = slate.chosen.iter().product();
        let (count, known) = seen.entry(slate.picks.clone()).or_insert((0.0, p));
        assert_eq!(*known, p, "the same slate has the same probability");
        *count += 1.0;
    }
    // slates too rare for the chi-square approximation are put together
    let (mut chi2, mut cells, mut rare, mut rest) = (0.0, 0.0, 0.0, draws as f64);
    for (count, p) in seen.values() {
        let expected = p * draws as f64;
        if expected >= 10.0 {
            chi2 += (count - expected) * (count - expected) / expected;
            cells += 1.0;
            rest -= expected;
        } else {
            rare += count;
        }
    }
    if rest >= 10.0 {
        chi2 += (rare - rest) * (rare - rest) / rest;
        cells += 1.0;
    } else {
        assert!(rare <= 30.0, "{rare} draws where {rest} were expected");
    }
    let degrees = f64::max(cells - 1.0, 1.0);
    assert!(
        chi2 < chi_square_bound(degrees),
        "{choice:?}, {slots} slots: chi-square {chi2} of {degrees}"
    );
}

#[test]
fn draws_follow_the_probabilities() {
    let scores = [0.3, 1.0, -0.5, 0.9, 0.0, 1.0];
    for selection in RULES {
        for min_probability in [0.0, 0.05] {
            for slots in [1, 3] {
                frequencies_agree(
                    Choice {
                        selection,
                        min_probability,
                    },
                    &scores,
                    slots,
                );
            }
        }
    }
}

#[test]
fn a_slate_has_no_repetition_and_is_reusable() {
    let choice = Choice {
        selection: Selection::Softmax { temperature: 1.0 },
        min_probability: 0.01,
    };
    let mut slate = Slate::default();
    slate.choose(&choice, &[0.0; 50], 50, 3);
    let mut sorted = slate.picks.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..50).collect::<Vec<_>>());

    slate.choose(&choice, &[1.0, 2.0, 3.0], 2, 9);
    let mut fresh = Slate::default();
    fresh.choose(&choice, &[1.0, 2.0, 3.0], 2, 9);
    assert_eq!(
        (&slate.picks, &slate.probabilities),
        (&fresh.picks, &fresh.probabilities)
    );
    assert_eq!((slate.picks.len(), slate.probabilities.len()), (2, 6));

    slate.choose(&choice, &[1.0, 2.0, 3.0], 10, 9);
    assert_eq!(
        (
            slate.picks.len(),
            slate.probabilities.len(),
            slate.chosen.len()
        ),
        (3, 9, 3)
    );
    assert_eq!(slate.chosen[2], 1.0, "the last candidate left is certain");
    slate.choose(&choice, &[], 3, 9);
    assert!(slate.picks.is_empty() && slate.probabilities.is_empty() && slate.chosen.is_empty());
    slate.choose(&choice, &[1.0], 0, 9);
    assert!(slate.picks.is_empty());
}

#[test]
fn far_behind_the_best_the_others_still_have_their_proportions() {
    let choice = Choice {
        selection: Selection::Softmax { temperature: 1.0 },
        min_probability: 0.0,
    };
    let mut slate = Slate::default();
    slate.choose(&choice, &[5000.0, 1.0, 0.0], 3, 1);
    assert_eq!(slate.picks[0], 0);
    let (b, c) = (slate.probabilities[4], slate.probabilities[5]);
    assert!((b / c - 1f64.exp()).abs() < 1e-12, "{b} {c}");
}

fn any_selection() -> impl Strategy<Value = Selection> {
    prop_oneof![
        Just(Selection::Uniform),
        Just(Selection::Greedy),
        (0.0..=1.0f64).prop_map(|epsilon| Selection::EpsilonGreedy { epsilon }),
        (-7.0..4.0f64).prop_map(|log| Selection::Softmax {
            temperature: log.exp()
        }),
    ]
}

fn any_score() -> impl Strategy<Value = f32> {
    prop_oneof![8 => -3.0..3.0f32, 1 => prop::sample::select(vec![0.0f32, 1.0]), 1 => any::<f32>()]
}

proptest! {
    #[test]
    fn a_distribution_is_one(
        selection in any_selection(),
        min_probability in prop_oneof![Just(0.0), 0.0..0.2f64],
        candidates in prop::collection::vec((any_score(), any::<bool>()), 1..60),
    ) {
        let (scores, taken): (Vec<f32>, Vec<bool>) = candidates.into_iter().unzip();
        let open = taken.iter().filter(|&&t| !t).count();
        let p = distribution(selection, min_probability, &scores, &taken);
        let total: f64 = p.iter().sum();
        prop_assert!((total - if open > 0 { 1.0 } else { 0.0 }).abs() < 1e-12, "sums to {}", total);
        let floor = min_probability.min(1.0 / open as f64);
        for (&p, &taken) in p.iter().zip(&taken) {
            let low = if taken { 0.0 } else { floor * (1.0 - 1e-12) };
            let high = if taken { 0.0 } else { 1.0 + 1e-12 };
            prop_assert!(low <= p && p <= high, "{}", p);
        }
    }

    #[test]
    fn the_order_of_candidates_does_not_matter(
        selection in any_selection(),
        (scores, order) in prop::collection::btree_set(-1000..1000i32, 1..40)
            .prop_flat_map(|set| {
                let scores: Vec<f32> = set.into_iter().map(|s| s as f32 / 250.0).collect();
                let order: Vec<usize> = (0..scores.len()).collect();
                (Just(scores), Just(order).prop_shuffle())
            }),
    ) {
        let moved: Vec<f32> = order.iter().map(|&i| scores[i]).collect();
        let (p, q) = (of_all(selection, &scores), of_all(selection, &moved));
        for (to, &from) in order.iter().enumerate() {
            prop_assert!((q[to] - p[from]).abs() <= 1e-13);
        }
    }

    #[test]
    fn a_slate_draws_from_the_conditional_distributions(
        selection in any_selection(),
        min_probability in 0.0..0.1f64,
        scores in prop::collection::vec(any_score(), 1..30),
        slots in 1..5usize,
        seed in any::<u64>(),
    ) {
        let choice = Choice { selection, min_probability };
        let mut slate = Slate::default();
        slate.choose(&choice, &scores, slots, seed);
        let mut again = slate.clone();
        again.choose(&choice, &scores, slots, seed);
        prop_assert_eq!(&slate.probabilities, &again.probabilities);
        prop_assert_eq!(&slate.picks, &again.picks);

        let mut draws = crate::math::random::Draws::from_seed(seed);
        let mut taken = vec![false; scores.len()];
        prop_assert_eq!(slate.picks.len(), slots.min(scores.len()));
        for (slot, row) in slate.probabilities.chunks(scores.len()).enumerate() {
            let stated = distribution(selection, min_probability, &scores, &taken);
            for (p, q) in row.iter().zip(&stated) {
                prop_assert!((p - q).abs() <= 1e-12);
            }
            prop_assert_eq!(pick(row, draws.unit()), Some(slate.picks[slot]));
            prop_assert_eq!(row[slate.picks[slot]], slate.chosen[slot]);
            prop_assert!(slate.chosen[slot] > 0.0);
            taken[slate.picks[slot]] = true;
        }
    }
}
