use super::*;
use proptest::prelude::*;

mod spread;

pub(super) const RULES: [Selection; 5] = [
    Selection::Uniform,
    Selection::Greedy,
    Selection::EpsilonGreedy { epsilon: 0.2 },
    Selection::Softmax { temperature: 0.5 },
    Selection::Softmax { temperature: 1e-3 },
];

pub(super) fn distribution(
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
        Err(OutOfRange {
            parameter: "epsilon",
            range: ParameterRange::Share
        })
    );
    assert_eq!(
        ok(Selection::Softmax { temperature: 0.0 }, 0.0),
        Err(OutOfRange {
            parameter: "temperature",
            range: ParameterRange::Positive
        })
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
    assert_eq!(error.to_string(), "min_probability must be between 0 and 1");
}

#[test]
fn rules_are_found_by_their_numbers_in_traces() {
    let names: Vec<&str> = SELECTIONS.iter().map(|rule| rule.name).collect();
    assert_eq!(
        names,
        [
            "uniform",
            "greedy",
            "epsilon_greedy",
            "softmax",
            "thompson",
            "ucb",
            "squarecb"
        ]
    );
    for (index, rule) in SELECTIONS.iter().enumerate() {
        let parameter = rule.parameter.as_ref();
        let parameter = parameter.map_or(0.0, |p| p.default.unwrap_or(3.0));
        let selection = rule.with(parameter);
        assert_eq!(selection.parts(), (index, parameter), "{}", rule.name);
        let choice = Choice {
            selection,
            min_probability: 0.25,
        };
        assert_eq!(choice.validate(), Ok(()), "{}", rule.name);
        assert_eq!(Choice::from_numbers(&choice.to_numbers()), Some(choice));
    }
    let past_the_last = SELECTIONS.len() as f64;
    for number in [-1.0, 0.5, past_the_last, f64::NAN] {
        assert_eq!(Choice::from_numbers(&[number, 0.5, 0.0]), None);
    }
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

pub(super) fn any_selection() -> impl Strategy<Value = Selection> {
    prop_oneof![
        Just(Selection::Uniform),
        Just(Selection::Greedy),
        (0.0..=1.0f64).prop_map(|epsilon| Selection::EpsilonGreedy { epsilon }),
        (-7.0..4.0f64).prop_map(|log| Selection::Softmax {
            temperature: log.exp()
        }),
        (0.0..5.0f64).prop_map(|scale| Selection::Thompson { scale }),
        (-3.0..3.0f64).prop_map(|gamma| Selection::Ucb { gamma }),
        (-3.0..7.0f64).prop_map(|log| Selection::SquareCb { gamma: log.exp() }),
    ]
}

pub(super) fn any_score() -> impl Strategy<Value = f32> {
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
}
