//! Chances to be the largest against adaptive quadrature, and what must hold whatever the spreads.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    scores: Vec<f32>,
    spreads: Vec<f32>,
    probabilities: Vec<f64>,
}

fn chances(scores: &[f32], spreads: &[f32]) -> (Vec<f64>, f64) {
    let mut out = vec![f64::NAN; scores.len()];
    let taken = vec![false; scores.len()];
    let scored = Scored { scores, spreads };
    let total = Largest::default().chances(scored, 1.0, &taken, &mut out);
    (out, total)
}

#[test]
fn chances_agree_with_the_reference() {
    let golden = include_str!("../../../../pgrx-tests/golden/thompson.json");
    let golden: Golden = serde_json::from_str(golden).unwrap();
    for case in golden.cases {
        let (found, total) = chances(&case.scores, &case.spreads);
        for (p, expected) in found.iter().zip(&case.probabilities) {
            let p = p / total;
            assert!((p - expected).abs() < 1e-9, "{p}, not {expected}");
        }
    }
}

#[test]
fn two_normals_have_a_closed_form() {
    for (gap, a, b) in [
        (0.3, 1.0, 2.0),
        (-1.0, 0.01, 3.0),
        (5.0, 1.0, 1e-6),
        (0.0, 1e-30, 1.0),
    ] {
        let (found, total) = chances(&[gap as f32, 0.0], &[a as f32, b as f32]);
        let [gap, a, b] = [gap as f32, a as f32, b as f32].map(f64::from);
        let z = gap / (a * a + b * b).sqrt();
        let expected = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
        assert!(
            (found[0] / total - expected).abs() < 1e-9,
            "{found:?}, not {expected}"
        );
    }
}

#[test]
fn what_has_no_spread_is_its_score() {
    assert_eq!(chances(&[1.0, 3.0, 3.0], &[0.0; 3]).0, [0.0, 1.0, 0.0]);
    assert_eq!(chances(&[1.0, 3.0, 3.0], &[]).0, [0.0, 1.0, 0.0]);
    assert_eq!(chances(&[2.0, 1.0], &[f32::NAN, -1.0]).0, [1.0, 0.0]);
    // A certain one in the middle of one that is not.
    let (found, _) = chances(&[0.0, 0.0], &[0.0, 1.0]);
    assert!(found.iter().all(|p| (p - 0.5).abs() < 1e-9), "{found:?}");
    let (found, _) = chances(&[5.0, 5.0, -40.0], &[1.0, 0.0, 0.0]);
    assert!(
        (found[1] - 0.5).abs() < 1e-9 && found[2] == 0.0,
        "{found:?}"
    );
    // One that is far below all others, and one that is far above.
    assert_eq!(chances(&[-100.0, 0.0], &[0.0, 1.0]).0[0], 0.0);
    assert_eq!(chances(&[100.0, 0.0], &[0.0, 1.0]).0, [1.0, 0.0]);
}

#[test]
fn numbers_that_make_no_sense_break_nothing() {
    let odd = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        0.0,
        1e-45,
    ];
    for scale in [1e-300, 1.0, 1e300, 0.0, f64::NAN, f64::INFINITY] {
        for a in odd {
            for b in odd {
                let scored = Scored {
                    scores: &[a, b, 1.0, a],
                    spreads: &[b, a, f32::MAX, 1e-45],
                };
                let mut out = [f64::NAN; 4];
                let total = Largest::default().chances(scored, scale, &[false; 4], &mut out);
                assert!((total - 1.0).abs() < 1e-9, "{scored:?} {scale}: {total}");
                assert!(
                    out.iter().all(|&p| (0.0..=1.0 + 1e-9).contains(&p)),
                    "{out:?}"
                );
            }
        }
    }
}

/// Spreads over the whole range of f32 take panels by the logarithm of their ratio.
#[test]
fn the_number_of_panels_is_bounded() {
    let spreads: Vec<f32> = (-44..38).map(|power| 10f32.powi(power)).collect();
    let scores = vec![0.0; spreads.len()];
    let mut largest = Largest::default();
    let mut out = vec![0.0; scores.len()];
    let scored = Scored {
        scores: &scores,
        spreads: &spreads,
    };
    let total = largest.chances(scored, 1.0, &vec![false; scores.len()], &mut out);
    assert!((total - 1.0).abs() < 1e-9, "{total}");
    assert!(largest.ends.len() < 1000, "{} panels", largest.ends.len());
}

/// So many that no surface has them: the panels become fewer.
#[test]
fn the_work_is_bounded_whatever_there_is() {
    let spreads: Vec<f32> = (0..200_000).map(|i| 10f32.powi(i % 76 - 38)).collect();
    let mut largest = Largest::default();
    let mut out = vec![0.0; spreads.len()];
    let scored = Scored {
        scores: &vec![0.0; spreads.len()],
        spreads: &spreads,
    };
    largest.chances(scored, 1.0, &vec![false; spreads.len()], &mut out);
    assert!(largest.ends.len() <= LEAST_PANELS + 1);
    assert!(out.iter().all(|p| p.is_finite() && *p >= 0.0));
}

fn any_spread() -> impl Strategy<Value = f32> {
    prop_oneof![4 => 0.1..2.0f32, 2 => (-20.0..3.0f32).prop_map(f32::exp), 1 => Just(0.0f32)]
}

proptest! {
    #[test]
    fn chances_are_one_in_all(
        candidates in prop::collection::vec((-2.0..2.0f32, any_spread()), 1..80),
        shift in prop_oneof![Just(0.0f32), -1e4..1e4f32],
    ) {
        let (scores, spreads): (Vec<f32>, Vec<f32>) = candidates.iter().map(|&(m, s)| (m + shift, s)).unzip();
        let (found, total) = chances(&scores, &spreads);
        prop_assert!((total - 1.0).abs() < 1e-9, "{}", total);
        prop_assert!(found.iter().all(|&p| (0.0..=1.0 + 1e-9).contains(&p)));
        // A better score has a better chance, if it is known as well as the other.
        for (i, (a, p)) in scores.iter().zip(&found).enumerate() {
            for (j, (b, q)) in scores.iter().zip(&found).enumerate() {
                if a > b && spreads[i] == spreads[j] {
                    prop_assert!(*p >= q - 1e-9, "{} {}", p, q);
                }
            }
        }
    }

    #[test]
    fn a_simpler_rule_says_the_same(
        candidates in prop::collection::vec((-1.0..1.0f32, 0.05..1.0f32), 2..40),
    ) {
        let (scores, spreads): (Vec<f32>, Vec<f32>) = candidates.into_iter().unzip();
        let (found, total) = chances(&scores, &spreads);
        let steps = 2_000;
        let mut expected = vec![0.0; scores.len()];
        for step in 0..steps {
            let t = -9.0 + 18.0 * (f64::from(step) + 0.5) / f64::from(steps);
            let z = |i: usize| (t - f64::from(scores[i])) / f64::from(spreads[i]);
            let below: Vec<f64> = (0..scores.len())
                .map(|i| 0.5 * libm::erfc(-z(i) * std::f64::consts::FRAC_1_SQRT_2))
                .collect();
            let all: f64 = below.iter().product();
            if all == 0.0 {
                continue;
            }
            for (i, expected) in expected.iter_mut().enumerate() {
                let density = (-0.5 * z(i) * z(i)).exp() / (f64::from(spreads[i]) * std::f64::consts::TAU.sqrt());
                *expected += 18.0 / f64::from(steps) * density * all / below[i];
            }
        }
        for (p, expected) in found.iter().zip(expected) {
            prop_assert!((p / total - expected).abs() < 1e-9, "{} is not {}", p, expected);
        }
    }
}
