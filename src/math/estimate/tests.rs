use super::*;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    rows: Vec<[f64; 3]>,
    logged: [f64; 2],
    ips: [f64; 2],
    snips: [f64; 2],
    effective_rows: f64,
    z: Vec<[f64; 2]>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../pgrx-tests/golden/off_policy.json")).unwrap()
}

fn of(rows: &[[f64; 3]]) -> OffPolicy {
    let mut all = OffPolicy::new();
    for &[reward, logged, target] in rows {
        all.push(reward, logged, target).unwrap();
    }
    all
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-12 * b.abs()
}

#[test]
fn agrees_with_the_reference() {
    let golden = golden();
    let all = of(&golden.rows);
    for (estimate, [value, error]) in [
        (all.logged(), golden.logged),
        (all.ips(), golden.ips),
        (all.snips(), golden.snips),
    ] {
        let estimate = estimate.unwrap();
        assert!(
            near(estimate.value, value) && near(estimate.standard_error, error),
            "{estimate:?}, {value} ± {error}"
        );
    }
    assert!(near(all.effective_rows().unwrap(), golden.effective_rows));
    assert_eq!(all.rows(), golden.rows.len() as u64);
}

#[test]
fn quantiles_agree_with_the_reference() {
    for [level, expected] in golden().z {
        let z = z(level).unwrap();
        assert!(
            (z - expected).abs() < 1e-9 * expected.max(1.0),
            "{level}: {z}, not {expected}"
        );
    }
    for level in [0.0, 1.0, -0.5, f64::NAN] {
        assert_eq!(z(level), None);
    }
    let (low, high) = Estimate {
        value: 10.0,
        standard_error: 2.0,
    }
    .interval(0.95)
    .unwrap();
    assert!(
        (low - (10.0 - 2.0 * 1.959964)).abs() < 1e-5
            && (high - (10.0 + 2.0 * 1.959964)).abs() < 1e-5
    );
}

#[test]
fn of_few_rows_it_says_no_more_than_it_knows() {
    let mut all = OffPolicy::new();
    assert_eq!((all.logged(), all.ips(), all.snips()), (None, None, None));
    assert_eq!(
        (all.mean_weight(), all.max_weight(), all.effective_rows()),
        (None, None, None)
    );
    all.push(2.0, 0.5, 0.0).unwrap();
    assert_eq!(
        all.ips(),
        Some(Estimate {
            value: 0.0,
            standard_error: f64::INFINITY
        })
    );
    assert_eq!((all.snips(), all.effective_rows()), (None, None));
    all.push(3.0, 0.5, 1.0).unwrap();
    assert_eq!(all.ips().unwrap().value, 3.0);
    assert_eq!(
        all.snips(),
        Some(Estimate {
            value: 3.0,
            standard_error: 0.0
        })
    );
    assert_eq!(
        (all.mean_weight(), all.max_weight(), all.effective_rows()),
        (Some(1.0), Some(2.0), Some(1.0))
    );
}

#[test]
fn nothing_merged_with_nothing_is_nothing() {
    let mut all = OffPolicy::new();
    all.merge(&OffPolicy::new());
    assert_eq!(all, OffPolicy::new());
    all.push(3.0, 0.5, 0.5).unwrap();
    all.merge(&OffPolicy::new());
    assert_eq!(all.ips().unwrap().value, 3.0);
}

#[test]
fn the_largest_weight_is_kept() {
    let all = of(&[[1.0, 0.5, 0.5], [1.0, 0.1, 0.8], [1.0, 0.5, 0.1]]);
    assert_eq!(all.max_weight(), Some(8.0));
}

#[test]
fn equal_rewards_have_no_spread_by_snips() {
    for n in 2..200 {
        let rows: Vec<_> = (0..n).map(|i| [0.1, 0.3, f64::from(i % 7) / 9.0]).collect();
        let Estimate {
            value,
            standard_error,
        } = of(&rows).snips().unwrap();
        assert!(
            (value - 0.1).abs() < 1e-15 && standard_error < 1e-8,
            "{value} ± {standard_error}"
        );
    }
}

#[test]
fn impossible_rows_are_refused_and_leave_nothing_behind() {
    let mut all = of(&[[1.0, 0.5, 0.25]]);
    let before = all;
    assert_eq!(
        all.push(f64::INFINITY, 0.5, 0.5),
        Err(EstimateError::Reward(f64::INFINITY))
    );
    for p in [0.0, -0.1, 1.1, f64::INFINITY] {
        assert_eq!(all.push(1.0, p, 0.5), Err(EstimateError::Logged(p)));
    }
    assert!(all.push(1.0, f64::NAN, 0.5).is_err() && all.push(f64::NAN, 0.5, 0.5).is_err());
    assert_eq!(all.push(1.0, 0.5, 1.5), Err(EstimateError::Target(1.5)));
    assert_eq!(
        all.push(1.0, 0.5, -0.5).unwrap_err().to_string(),
        "a probability must be between 0 and 1, not -0.5"
    );
    assert_eq!(all, before);
}

#[test]
fn nothing_is_lost_where_rewards_are_large_and_vary_little() {
    let rows: Vec<_> = (0..1000)
        .map(|i| [1e9 + f64::from(i % 2), 0.5, 0.5])
        .collect();
    let all = of(&rows);
    let expected = (0.25 / 999.0f64).sqrt();
    for estimate in [all.logged(), all.ips(), all.snips()] {
        let error = estimate.unwrap().standard_error;
        assert!(
            (error - expected).abs() < 1e-6 * expected,
            "{error}, not {expected}"
        );
    }
}

/// 95% intervals of many small samples cover the truth about 95 times in 100.
#[test]
fn intervals_cover_the_truth() {
    let mut draws = crate::random::Draws::from_seed(11);
    let (logged, target, rate) = ([0.7, 0.3], [0.4, 0.6], [0.2, 0.5]);
    let truth = target[0] * rate[0] + target[1] * rate[1];
    let (samples, mut ips, mut snips) = (2000, 0.0, 0.0);
    for _ in 0..samples {
        let mut all = OffPolicy::new();
        for _ in 0..400 {
            let action = usize::from(draws.unit() >= logged[0]);
            let reward = if draws.unit() < rate[action] {
                1.0
            } else {
                0.0
            };
            all.push(reward, logged[action], target[action]).unwrap();
        }
        let covers = |estimate: Option<Estimate>| {
            let (low, high) = estimate.unwrap().interval(0.95).unwrap();
            f64::from(u8::from(low <= truth && truth <= high))
        };
        ips += covers(all.ips());
        snips += covers(all.snips());
    }
    for covered in [ips, snips] {
        // 3.5 standard deviations of 2,000 tries at 95%
        assert!(
            (covered / f64::from(samples) - 0.95).abs() < 0.017,
            "{covered} of {samples}"
        );
    }
}

proptest! {
    #[test]
    fn parts_merge_into_the_whole(
        rows in prop::collection::vec((-100.0..100.0f64, 0.01..1.0f64, 0.0..1.0f64), 0..60),
        cut in 0..60usize,
    ) {
        let rows: Vec<_> = rows.into_iter().map(|(r, p, q)| [r, p, q]).collect();
        let cut = cut.min(rows.len());
        let (mut merged, whole) = (of(&rows[..cut]), of(&rows));
        merged.merge(&of(&rows[cut..]));
        prop_assert_eq!(merged.rows(), whole.rows());
        let estimates = |all: OffPolicy| [all.logged(), all.ips(), all.snips()];
        for (a, b) in estimates(merged).into_iter().zip(estimates(whole)) {
            prop_assert_eq!(a.is_some(), b.is_some());
            if let (Some(a), Some(b)) = (a, b) {
                prop_assert!((a.value - b.value).abs() < 1e-9 * (1.0 + b.value.abs()));
                let same = a.standard_error == b.standard_error;
                prop_assert!(same || (a.standard_error - b.standard_error).abs() < 1e-6 * (1.0 + b.standard_error));
            }
        }
    }
}
