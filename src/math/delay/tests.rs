use serde::Deserialize;

use super::*;
use crate::random::Draws;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    times: Vec<f64>,
    happened: Vec<bool>,
    weights: Vec<f64>,
    exponential: Reference,
    weibull: Reference,
}

#[derive(Deserialize)]
struct Reference {
    scale: f64,
    #[serde(default = "one")]
    shape: f64,
    log_likelihood: f64,
}

fn one() -> f64 {
    1.0
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs().max(1e-300)
}

#[test]
fn delays_are_those_of_lifelines() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../pgrx-tests/golden/delays.json")).unwrap();
    assert!(golden.cases.len() >= 6);
    for case in &golden.cases {
        let rows = case.times.iter().zip(&case.happened).zip(&case.weights);
        let observed: Vec<Observed> = rows
            .map(|((&time, &happened), &weight)| Observed {
                time,
                weight,
                happened,
            })
            .collect();
        for (fit, reference) in [
            (exponential(&observed), &case.exponential),
            (weibull(&observed), &case.weibull),
        ] {
            let Fit {
                delay,
                log_likelihood,
            } = fit.unwrap();
            assert!(
                is_near(delay.scale, reference.scale),
                "{}: {delay:?}",
                case.name
            );
            assert!(
                is_near(delay.shape, reference.shape),
                "{}: {delay:?}",
                case.name
            );
            assert!(
                is_near(log_likelihood, reference.log_likelihood),
                "{}: {log_likelihood}",
                case.name
            );
        }
    }
}

/// Decisions of ages up to `longest`, of which a share has an outcome after a Weibull delay.
fn drawn(seed: u64, share: f64, truth: Delay, longest: f64, many: usize) -> Vec<Observed> {
    let mut draws = Draws::from_seed(seed);
    (0..many)
        .map(|_| {
            let age = longest * (1.0 - draws.unit());
            let delay = truth.scale * libm::pow(-libm::log(1.0 - draws.unit()), 1.0 / truth.shape);
            let happened = draws.unit() < share && delay <= age;
            let time = if happened { delay.max(1e-9) } else { age };
            Observed {
                time,
                weight: 1.0,
                happened,
            }
        })
        .collect()
}

#[test]
fn share_and_delay_are_found_though_most_never_have_an_outcome() {
    for (seed, shape) in [(1, 1.0), (2, 0.6), (3, 1.7)] {
        let truth = Delay { scale: 20.0, shape };
        let found = conversions(&drawn(seed, 0.1, truth, 60.0, 60_000)).unwrap();
        let delay = found.fit.delay;
        assert!((found.share - 0.1).abs() < 0.01, "{found:?}");
        assert!((delay.scale / truth.scale - 1.0).abs() < 0.2, "{found:?}");
        assert!((delay.shape / shape - 1.0).abs() < 0.1, "{found:?}");
    }
}

#[test]
fn a_weibull_delay_is_taken_where_the_likelihood_says_so() {
    let exponential = |shape: f64| {
        let truth = Delay { scale: 20.0, shape };
        let found = (0..20).map(|seed| conversions(&drawn(seed, 0.3, truth, 60.0, 3_000)).unwrap());
        found
            .filter(|found| found.fit.delay.is_exponential())
            .count()
    };
    // the test is wrong once in twenty times
    assert!(exponential(1.0) >= 16, "{}", exponential(1.0));
    assert_eq!(exponential(0.6), 0);
    assert_eq!(exponential(1.7), 0);
}

#[test]
fn what_is_to_come_makes_young_decisions_whole() {
    let (truth, window) = (
        Delay {
            scale: 20.0,
            shape: 1.0,
        },
        50.0,
    );
    let share = 0.2;
    let observed = drawn(5, share, truth, 30.0, 200_000);
    let found = conversions(&observed).unwrap();
    let happened = observed.iter().filter(|of| of.happened).count() as f64;
    let to_come: f64 = observed
        .iter()
        .filter(|of| !of.happened)
        .map(|of| found.to_come(of.time, window))
        .sum();
    let expected = share * (1.0 - truth.survival(window)) * 200_000.0;
    assert!(
        happened < 0.7 * expected,
        "naive labels are too low: {happened}"
    );
    assert!(
        ((happened + to_come) / expected - 1.0).abs() < 0.04,
        "{} {expected}",
        happened + to_come
    );
    assert_eq!(found.to_come(50.0, window), 0.0);
    assert_eq!(found.seen(50.0, window), 1.0);
    assert!(found.seen(10.0, window) < found.seen(20.0, window));
}

#[test]
fn what_cannot_be_fitted_is_told() {
    let at = |time, happened| Observed {
        time,
        weight: 1.0,
        happened,
    };
    assert_eq!(conversions(&[]), None);
    assert_eq!(conversions(&[at(5.0, false)]), None);
    assert_eq!(exponential(&[at(5.0, false)]), None);
    assert_eq!(weibull(&[at(5.0, false)]), None);
    assert_eq!(conversions(&[at(f64::NAN, true)]), None);
    assert_eq!(conversions(&[at(0.0, true)]), None);
    assert_eq!(
        conversions(&[at(f64::INFINITY, false), at(1.0, true)]),
        None
    );
    // all at once, and all of them
    let found = conversions(&[at(3.0, true), at(3.0, true)]).unwrap();
    assert!(found.share == 1.0 && found.fit.delay.scale > 0.0);
    assert!((0.0..=1.0).contains(&found.to_come(1.0, 10.0)));
    for extreme in [1e-300, 1e300] {
        let found = conversions(&[at(extreme, true), at(extreme, false), at(1.0, true)]);
        assert!(found.is_none_or(|found| (0.0..=1.0).contains(&found.to_come(1.0, 2.0))));
    }
}
