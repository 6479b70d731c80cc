use super::*;
use crate::random::Draws;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    rows: Vec<[f64; 5]>,
    most_weight: f64,
    threshold: f64,
    lambda: f64,
    estimates: Vec<Reference>,
    z: Vec<[f64; 2]>,
}

#[derive(Deserialize)]
struct Reference {
    estimator: String,
    value: f64,
    std_error: f64,
    ess: Option<f64>,
    max_weight: Option<f64>,
    mean_weight: Option<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../pgrx-tests/golden/estimators.json")).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-11 * b.abs()
}

fn of<const N: usize, const K: usize>(
    rows: &[[f64; N]],
    row: impl Fn([f64; N]) -> Result<[f64; K], RowError>,
) -> Moments<K> {
    let mut all = Moments::new();
    for &values in rows {
        all.push(row(values).unwrap());
    }
    all
}

/// Every estimator over the same rows, by name.
fn all(
    rows: &[[f64; 5]],
    [most_weight, threshold, lambda]: [f64; 3],
) -> Vec<(&'static str, Estimate)> {
    let log: Vec<[f64; 3]> = rows.iter().map(|&[r, p, t, ..]| [r, p, t]).collect();
    let limited = |by: f64| -> Vec<[f64; 6]> {
        let with = |&[r, p, t, q, b]: &[f64; 5]| [r, p, t, q, b, by];
        rows.iter().map(with).collect()
    };
    let clip: Vec<[f64; 4]> = log
        .iter()
        .map(|&[r, p, t]| [r, p, t, most_weight])
        .collect();
    let model: Vec<[f64; 1]> = rows.iter().map(|row| [row[4]]).collect();
    let answers = [
        ("ips", mean(&of(&log, weighted))),
        ("snips", ratio(&of(&log, weighted))),
        ("cips", mean_clipped(&of(&clip, clipped))),
        ("dm", mean_modelled(&of(&model, modelled))),
        ("dr", mean(&of(rows, doubly_robust))),
        ("sndr", ratio_doubly_robust(&of(rows, split))),
        (
            "switch_dr",
            mean_limited(&of(&limited(threshold), switched)),
        ),
        ("dros", mean_limited(&of(&limited(lambda), shrunk))),
    ];
    let some = answers
        .into_iter()
        .filter_map(|(name, answer)| Some((name, answer?.unwrap())));
    some.collect()
}

#[test]
fn agree_with_the_reference() {
    let golden = golden();
    let parameters = [golden.most_weight, golden.threshold, golden.lambda];
    let answers = all(&golden.rows, parameters);
    assert_eq!(answers.len(), golden.estimates.len());
    for ((name, answer), expected) in answers.into_iter().zip(golden.estimates) {
        assert_eq!(name, expected.estimator);
        assert!(
            near(answer.value.unwrap(), expected.value)
                && near(answer.standard_error.unwrap(), expected.std_error),
            "{name}: {answer:?}, {} ± {}",
            expected.value,
            expected.std_error
        );
        assert_eq!(answer.rows, golden.rows.len() as u64);
        match answer.weights {
            None => assert_eq!((name, expected.ess), ("dm", None)),
            Some(weights) => assert!(
                near(weights.effective, expected.ess.unwrap())
                    && near(weights.largest, expected.max_weight.unwrap())
                    && near(weights.mean, expected.mean_weight.unwrap()),
                "{name}: {weights:?}"
            ),
        }
    }
}

#[test]
fn quantiles_agree_with_the_reference() {
    for [level, expected] in golden().z {
        let z = z(level).unwrap();
        assert!(
            (z - expected).abs() < 1e-9 * expected.max(1.0),
            "{level}: {z}, not {expected}"
        );
        if level == 0.95 {
            assert!((Z95 - expected).abs() < 1e-15);
        }
    }
    for level in [0.0, 1.0, -0.5, f64::NAN] {
        assert_eq!(z(level), None);
    }
    let (low, high) = normal(10.0, 2.0, 0.95).unwrap();
    assert!((low - (10.0 - 2.0 * Z95)).abs() < 1e-9 && (high - (10.0 + 2.0 * Z95)).abs() < 1e-9);
}

#[test]
fn without_limits_the_limited_ones_are_those_that_they_limit() {
    let rows = golden().rows;
    let answers = all(&rows, [f64::INFINITY; 3]);
    let of = |name| {
        answers
            .iter()
            .find(|(of, _)| *of == name)
            .unwrap()
            .1
            .clone()
    };
    for (limited, unlimited) in [("cips", "ips"), ("switch_dr", "dr"), ("dros", "dr")] {
        assert_eq!(of(limited).value, of(unlimited).value);
        assert_eq!(of(limited).weights, of(unlimited).weights);
    }
    // and with a limit of 0, no weight is used
    let answers = all(&rows, [0.0; 3]);
    let of = |name| {
        answers
            .iter()
            .find(|(of, _)| *of == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(of("cips").value, Some(0.0));
    for name in ["switch_dr", "dros"] {
        assert!(near(of(name).value.unwrap(), of("dm").value.unwrap()));
        assert_eq!(of(name).weights.unwrap().effective, 0.0);
    }
}

#[test]
fn of_few_rows_they_say_no_more_than_they_know() {
    assert!(all(&[], [1.0; 3]).is_empty());
    for (name, one) in all(&[[2.0, 0.5, 0.25, 1.0, 1.5]], [1.0; 3]) {
        assert!(one.value.is_some(), "{name}");
        assert_eq!(
            (one.standard_error, one.interval(), one.rows),
            (None, None, 1),
            "{name}"
        );
    }
    let none = ratio(&of(&[[2.0, 0.5, 0.0], [3.0, 0.5, 0.0]], weighted))
        .unwrap()
        .unwrap();
    assert_eq!(
        (none.value, none.standard_error, none.interval()),
        (None, None, None)
    );
    assert_eq!(
        none.weights,
        Some(Weights {
            effective: 0.0,
            largest: 0.0,
            mean: 0.0
        })
    );
    assert!(none.warning.unwrap().starts_with("no support"));
    let both = ratio(&of(&[[2.0, 0.5, 0.0], [3.0, 0.5, 1.0]], weighted))
        .unwrap()
        .unwrap();
    assert_eq!((both.value, both.standard_error), (Some(3.0), Some(0.0)));
    assert_eq!(
        both.weights,
        Some(Weights {
            effective: 1.0,
            largest: 2.0,
            mean: 1.0
        })
    );
}

#[test]
fn equal_rewards_have_no_spread_by_snips() {
    for n in 2..200 {
        let rows: Vec<_> = (0..n).map(|i| [0.1, 0.3, f64::from(i % 7) / 9.0]).collect();
        let answer = ratio(&of(&rows, weighted)).unwrap().unwrap();
        assert!(
            (answer.value.unwrap() - 0.1).abs() < 1e-15 && answer.standard_error.unwrap() < 1e-8
        );
    }
}

#[test]
fn nothing_is_lost_where_rewards_are_large_and_vary_little() {
    let rows: Vec<_> = (0..1000)
        .map(|i| [1e9 + f64::from(i % 2), 0.5, 0.5])
        .collect();
    let all = of(&rows, weighted);
    let expected = (0.25 / 999.0f64).sqrt();
    for answer in [mean(&all), ratio(&all)] {
        let error = answer.unwrap().unwrap().standard_error.unwrap();
        assert!(
            (error - expected).abs() < 1e-6 * expected,
            "{error}, not {expected}"
        );
    }
}

#[test]
fn impossible_rows_are_refused() {
    let good = [1.0, 0.5, 0.5, 0.2, 0.3, 2.0];
    assert!(switched(good).is_ok() && shrunk(good).is_ok());
    let bad = [
        (
            0,
            "reward",
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].as_slice(),
        ),
        (1, "logged", &[0.0, -0.1, 1.1, f64::NAN, f64::INFINITY]),
        (2, "target", &[-0.1, 1.5, f64::NAN]),
        (3, "q_logged", &[f64::NAN, f64::INFINITY]),
        (4, "q_target", &[f64::NAN, f64::NEG_INFINITY]),
        (5, "threshold", &[-1.0, f64::NAN]),
    ];
    for (at, argument, values) in bad {
        for &value in values {
            let mut row = good;
            row[at] = value;
            assert_eq!(switched(row).unwrap_err().argument, argument);
            let [r, p, t, q, b, l] = row;
            let refused = [
                weighted([r, p, t]).is_err() == (at < 3),
                clipped([r, p, t, l]).is_err() == (at < 3 || at == 5),
                modelled([b]).is_err() == (at == 4),
                doubly_robust([r, p, t, q, b]).is_err() == (at < 5),
                split([r, p, t, q, b]).is_err() == (at < 5),
                shrunk(row).is_err(),
            ];
            assert_eq!(refused, [true; 6], "{argument} {value}");
        }
    }
    let error = weighted([1.0, 0.5, -0.5]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "target must be a probability from 0 to 1, not -0.5"
    );
}

#[test]
fn beyond_the_range_of_numbers_there_is_no_answer() {
    assert_eq!(
        mean(&of(&[[1.0, 1e-320, 1.0]], weighted)),
        Some(Err(Overflow))
    );
    assert_eq!(
        mean(&of(&[[1e300, 1e-10, 1.0]], weighted)),
        Some(Err(Overflow))
    );
    assert_eq!(
        ratio(&of(&[[1e200, 1.0, 1.0], [-1e200, 1.0, 1.0]], weighted)),
        Some(Err(Overflow))
    );
    assert_eq!(
        mean_modelled(&of(&[[1e200], [-1e200]], modelled)),
        Some(Err(Overflow))
    );
}

/// A log of actions drawn with `logged`, which a target sees with `target`; rewards are what the action brings.
fn log(seed: u64, rows: usize, logged: &[f64], target: &[f64], reward: &[f64]) -> Vec<[f64; 3]> {
    let mut draws = Draws::from_seed(seed);
    let mut draw = || {
        let mut left = draws.unit();
        let action = logged.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        let action = action.unwrap_or(logged.len() - 1);
        let reward = if draws.unit() < reward[action] {
            1.0
        } else {
            0.0
        };
        [reward, logged[action], target[action]]
    };
    (0..rows).map(|_| draw()).collect()
}

#[test]
fn warnings_tell_where_the_log_cannot() {
    let warning = |rows: &[[f64; 3]]| mean(&of(rows, weighted)).unwrap().unwrap().warning;
    // the same policy, or one near by: nothing to tell
    for seed in 0..20 {
        assert_eq!(
            warning(&log(seed, 5000, &[0.5, 0.5], &[0.5, 0.5], &[0.1, 0.2])),
            None
        );
        assert_eq!(
            warning(&log(seed, 5000, &[0.5, 0.5], &[0.9, 0.1], &[0.1, 0.2])),
            None
        );
    }
    // 30 % of the target is on an action that was never logged
    let text = warning(&log(1, 5000, &[0.5, 0.5], &[0.3, 0.4], &[0.1, 0.2])).unwrap();
    assert!(
        text.starts_with("the mean weight is 0.6") || text.starts_with("the mean weight is 0.7"),
        "{text}"
    );
    // logged probabilities that are too small
    let wrong: Vec<_> = log(2, 5000, &[0.5, 0.5], &[0.4, 0.6], &[0.1, 0.2])
        .iter()
        .map(|&[r, p, t]| [r, p / 2.0, t])
        .collect();
    assert!(warning(&wrong).unwrap().contains("or rows are missing"));
    // a handful of rows have all the weight
    let text = warning(&log(3, 5000, &[0.999, 0.001], &[0.0, 1.0], &[0.1, 0.2])).unwrap();
    assert!(text.contains("effective sample size"), "{text}");
    // nothing of the target was logged
    assert!(
        warning(&[[1.0, 0.5, 0.0]; 50])
            .unwrap()
            .starts_with("no support")
    );
    // clipping takes weight, and says so; without effect it says nothing
    let rows = log(4, 5000, &[0.9, 0.1], &[0.1, 0.9], &[0.1, 0.2]);
    let clip = |most: f64| {
        let rows: Vec<_> = rows.iter().map(|&[r, p, t]| [r, p, t, most]).collect();
        mean_clipped(&of(&rows, clipped)).unwrap().unwrap()
    };
    assert!(clip(3.0).warning.unwrap().contains("clipping takes"));
    assert_eq!(
        (clip(10.0).warning, clip(3.0).weights.unwrap().largest),
        (None, 3.0)
    );
}

/// 95 % intervals of 1,000 samples cover the truth about 95 times in 100; Bernstein's at least as often.
#[test]
fn intervals_cover_the_truth() {
    let (logged, target, rate) = ([0.7, 0.3], [0.4, 0.6], [0.2, 0.5]);
    let truth = target[0] * rate[0] + target[1] * rate[1];
    // a model that is wrong, so that the log has something to correct
    let model = [0.3, 0.4];
    let base = target[0] * model[0] + target[1] * model[1];
    let samples = 1000;
    let mut covered = std::collections::BTreeMap::new();
    let mut bernstein_covered = 0;
    for seed in 0..samples {
        let with = |[r, p, t]: [f64; 3]| [r, p, t, model[usize::from(p == 0.3)], base];
        let rows: Vec<_> = log(seed, 500, &logged, &target, &rate)
            .into_iter()
            .map(with)
            .collect();
        for (name, answer) in all(&rows, [f64::INFINITY; 3]) {
            // the direct method has no error of its own here: the model says the same of every row
            if name != "dm" {
                let (low, high) = answer.interval().unwrap();
                *covered.entry(name).or_insert(0) += i32::from(low <= truth && truth <= high);
            }
            if name == "ips" {
                let (value, error) = (answer.value.unwrap(), answer.standard_error.unwrap());
                let (low, high) = bernstein(value, error, answer.rows, 2.0, 0.95).unwrap();
                bernstein_covered += i32::from(low <= truth && truth <= high);
            }
        }
    }
    for (name, covered) in covered {
        // 3.5 standard deviations of 1,000 tries at 95 %
        assert!(
            (f64::from(covered) / samples as f64 - 0.95).abs() < 0.025,
            "{name}: {covered}"
        );
    }
    assert!(bernstein_covered >= 990, "{bernstein_covered}");
}

proptest! {
    #[test]
    fn parts_merge_into_the_whole(
        rows in prop::collection::vec((-100.0..100.0f64, 0.01..1.0f64, 0.0..1.0f64, -1.0..1.0f64, -1.0..1.0f64), 1..100),
        cut in 0..100usize,
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(r, p, t, q, b)| split([r, p, t, q, b]).unwrap()).collect();
        let moments = |rows: &[[f64; 3]]| {
            let mut all = Moments::new();
            rows.iter().for_each(|row| all.push(*row));
            all
        };
        let cut = cut.min(rows.len());
        let (mut merged, whole) = (moments(&rows[..cut]), moments(&rows));
        merged.merge(&moments(&rows[cut..]));
        let (a, b) = (ratio_doubly_robust(&merged).unwrap().unwrap(), ratio_doubly_robust(&whole).unwrap().unwrap());
        prop_assert_eq!(a.rows, b.rows);
        let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * (1.0 + b.abs()),
            (a, b) => a == b,
        };
        prop_assert!(same(a.value, b.value) && same(a.standard_error, b.standard_error), "{:?} {:?}", a, b);
    }
}
