use super::correction::{Correction, adjust};
use super::special::{chi_square_beyond, t_beyond, t_quantile};
use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    comparisons: Vec<Reference>,
    sample_ratios: Vec<(Vec<f64>, Vec<f64>, f64)>,
    corrections: Vec<[Vec<f64>; 3]>,
    t: Vec<[f64; 4]>,
    chi_square: Vec<[f64; 3]>,
    sizes: Vec<[f64; 4]>,
}

#[derive(Deserialize)]
struct Reference {
    kind: String,
    alpha: f64,
    tuning: f64,
    a: [f64; 9],
    b: [f64; 9],
    difference: f64,
    std_error: f64,
    interval: (f64, f64),
    p_value: f64,
    lift: (f64, f64, f64),
    always: (f64, f64),
    always_p: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../pgrx-tests/golden/experiment.json")).unwrap()
}

#[track_caller]
fn near(own: f64, expected: f64) {
    let tolerance = 1e-9 * expected.abs().max(1.0);
    assert!((own - expected).abs() <= tolerance, "{own} {expected}");
}

#[test]
fn comparisons_agree_with_the_reference() {
    let golden = golden();
    assert!(golden.comparisons.len() > 120);
    for of in &golden.comparisons {
        let (a, b) = (Moments::from(of.a), Moments::from(of.b));
        let theta = theta(&a, &b);
        let statistic = |moments: &Moments| match of.kind.as_str() {
            "mean" => moments.mean(),
            "ratio" => moments.ratio(),
            _ => moments.adjusted(theta),
        };
        let levels = Levels {
            alpha: of.alpha,
            tuning: of.tuning,
        };
        let own = compare(statistic(&a), statistic(&b), levels).unwrap();
        near(own.difference, of.difference);
        near(own.std_error, of.std_error);
        near(own.interval.0, of.interval.0);
        near(own.interval.1, of.interval.1);
        near(own.p_value, of.p_value);
        let (lift, low, high) = own.lift.unwrap();
        near(lift, of.lift.0);
        near(low, of.lift.1);
        near(high, of.lift.2);
        near(own.always.0, of.always.0);
        near(own.always.1, of.always.1);
        near(own.always_p, of.always_p);
    }
}

#[test]
fn distributions_agree_with_the_reference() {
    let golden = golden();
    for [t, freedom, beyond, quantile] in golden.t {
        near(t_beyond(t, freedom), beyond);
        near(t_quantile(0.05, freedom), quantile);
        if beyond > 1e-30 {
            let relative = t_beyond(t, freedom) / beyond - 1.0;
            assert!(relative.abs() < 1e-8, "{t} {freedom} {relative}");
        }
    }
    for [value, freedom, beyond] in golden.chi_square {
        near(chi_square_beyond(value, freedom), beyond);
    }
}

#[test]
fn sample_ratios_agree_with_the_reference() {
    for (counts, weights, p_value) in golden().sample_ratios {
        near(sample_ratio(&counts, &weights), p_value);
    }
    assert_eq!(sample_ratio(&[], &[]), 1.0);
    assert_eq!(sample_ratio(&[0.0, 0.0], &[1.0, 1.0]), 1.0);
}

#[test]
fn corrections_agree_with_the_reference() {
    for [p_values, holm, share] in golden().corrections {
        for (own, expected) in adjust(&p_values, Correction::Holm).into_iter().zip(holm) {
            near(own, expected);
        }
        let own = adjust(&p_values, Correction::BenjaminiHochberg);
        for (own, expected) in own.into_iter().zip(share) {
            near(own, expected);
        }
        assert_eq!(adjust(&p_values, Correction::None), p_values);
    }
}

/// The reference solves for the exact power, to which the other side of the test adds next to nothing.
#[test]
fn sizes_agree_with_the_reference() {
    for [effect, alpha, power, size] in golden().sizes {
        let std_error = (2.0 / size).sqrt();
        let times = times_as_many(effect, std_error, alpha, power);
        assert!(
            (times - 1.0).abs() < 1e-4,
            "{effect} {alpha} {power} {times}"
        );
        let own = power_of(effect, std_error, alpha);
        assert!((own - power).abs() < 1e-4, "{own} {power}");
    }
}

#[test]
fn too_little_is_no_comparison() {
    let levels = Levels {
        alpha: 0.05,
        tuning: 5000.0,
    };
    let of = |n, mean, variance| Statistic {
        n,
        mean,
        unadjusted: mean,
        variance,
    };
    assert_eq!(compare(of(1.0, 2.0, 0.0), of(9.0, 1.0, 1.0), levels), None);
    assert_eq!(compare(of(9.0, 2.0, 0.0), of(9.0, 1.0, 0.0), levels), None);
    assert_eq!(
        compare(of(9.0, 2.0, f64::NAN), of(9.0, 1.0, 0.0), levels),
        None
    );
    let found = compare(of(9.0, 0.0, 1.0), of(9.0, 1.0, 1.0), levels).unwrap();
    assert_eq!(found.lift, None);
    assert_eq!(Moments::default().ratio().mean, 0.0);
}
