//! Fits against reference libraries and closed forms, and what cannot be fitted.

use super::*;
use crate::logistic;
use crate::model::Family;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    /// Five columns, label, weight.
    rows: Vec<[f64; 7]>,
    fits: Vec<GoldenFit>,
}

#[derive(Deserialize)]
struct GoldenFit {
    l2: f64,
    intercept: f64,
    weights: Vec<f64>,
}

/// A design with the intercept as column 0.
fn design(rows: &[[f64; 7]]) -> Design {
    let mut design = Design::new();
    for &[x @ .., label, weight] in rows {
        let mut row = vec![(0, 1.0)];
        row.extend((1..).zip(x.map(|x| x as f32)).filter(|&(_, x)| x != 0.0));
        design.push(&row, label, weight);
    }
    design
}

fn fit_all(design: &Design, width: usize, family: Family, l2: f64) -> Result<Fit, TrainError> {
    fit(design, width, family, l2, &|column| column != 0, &mut || ())
}

fn agrees(golden: &str, family: Family, precision: f64) {
    let golden: Golden = serde_json::from_str(golden).unwrap();
    let design = design(&golden.rows);
    for expected in golden.fits {
        let fit = fit_all(&design, 6, family, expected.l2).unwrap();
        assert!(fit.converged, "{fit:?}");
        let all = std::iter::once(expected.intercept).chain(expected.weights);
        for (weight, expected) in fit.weights.iter().zip(all) {
            assert!(
                (weight - expected).abs() <= precision * expected.abs().max(1e-3),
                "{weight}, not {expected}"
            );
        }
    }
}

#[test]
fn ridge_agrees_with_the_reference() {
    agrees(
        include_str!("../../../pgrx-tests/golden/ridge.json"),
        Family::Linear,
        1e-9,
    );
}

#[test]
fn logistic_agrees_with_the_reference() {
    agrees(
        include_str!("../../../pgrx-tests/golden/logistic.json"),
        Family::Logistic,
        1e-7,
    );
}

#[test]
fn rates_of_groups_have_a_closed_form() {
    // without penalty a one-hot logistic model predicts each group's rate
    let mut design = Design::new();
    for (group, positive, negative) in [(0, 3.0, 7.0), (1, 40.0, 2.0), (2, 1.0, 999.0)] {
        design.push(&[(group, 1.0)], 1.0, positive);
        design.push(&[(group, 1.0)], 0.0, negative);
    }
    let fit = fit(&design, 3, Family::Logistic, 0.0, &|_| true, &mut || ()).unwrap();
    assert!(fit.converged);
    for (weight, rate) in fit.weights.iter().zip([0.3, 40.0 / 42.0, 0.001]) {
        assert!((logistic(*weight) - rate).abs() < 1e-12 * rate, "{weight}");
    }
    // a label between 0 and 1 is a share of a positive row
    let mut shares = Design::new();
    for (group, rate, n) in [(0, 0.3, 10.0), (1, 40.0 / 42.0, 42.0), (2, 0.001, 1000.0)] {
        shares.push(&[(group, 1.0)], rate, n);
    }
    let same = super::fit(&shares, 3, Family::Logistic, 0.0, &|_| true, &mut || ()).unwrap();
    for (a, b) in same.weights.iter().zip(&fit.weights) {
        assert!((a - b).abs() < 1e-9);
    }
}

#[test]
fn a_column_that_no_row_has_stays_at_zero() {
    for family in [Family::Linear, Family::Logistic] {
        for l2 in [0.0, 1.0] {
            let mut design = Design::new();
            design.push(&[(0, 1.0)], 1.0, 1.0);
            design.push(&[(0, 1.0), (2, 1.0)], 0.0, 1.0);
            design.push(&[(0, 1.0), (2, 1.0)], 1.0, 1.0);
            design.push(&[(0, 1.0)], 0.0, 1.0);
            let fit = fit_all(&design, 4, family, l2).unwrap();
            assert!(
                fit.converged && fit.weights[1] == 0.0 && fit.weights[3] == 0.0,
                "{fit:?}"
            );
        }
    }
}

#[test]
fn steps_that_overshoot_are_shortened() {
    // Newton's full steps from zero do not converge on any of these
    let cases: [&[[f64; 3]]; 3] = [
        &[[4.0, 0.0, 100.0], [3.0, 1.0, 1.0]],
        &[[-1.0, 0.0, 1.0], [-4.0, 0.0, 100.0], [-1.0, 1.0, 1.0]],
        &[
            [3.0, 0.0, 1.0],
            [1.0, 1.0, 1.0],
            [0.0, 0.0, 100.0],
            [100.0, 1.0, 1.0],
        ],
    ];
    for rows in cases {
        let mut design = Design::new();
        for &[x, label, weight] in rows {
            design.push(&[(0, 1.0), (1, x as f32)], label, weight);
        }
        let fit = fit(&design, 2, Family::Logistic, 0.001, &|_| true, &mut || ()).unwrap();
        assert!(fit.converged, "{rows:?}: {fit:?}");
    }
}

#[test]
fn narrow_valleys_are_not_leaped_over_for_ever() {
    // accepting any step that falls at all does not get there in a hundred
    type Facts<'f> = &'f [(u32, f32)];
    let rows: &[(Facts<'_>, f64, f64)] = &[
        (&[(1, 5.0), (2, -1000.0), (3, 5.0)], 1.0, 1.0),
        (&[(1, -3000.0), (2, -4.0), (3, 1000.0)], 0.0, 1.0),
        (&[(3, 2000.0)], 1.0, 1.0),
        (&[(1, 4.0), (4, 2000.0)], 0.0, 1.0),
        (&[(2, -2.0), (3, 1.0), (4, 3.0)], 0.0, 1000.0),
        (&[(1, -5000.0), (2, 3.0), (3, -1.0)], 1.0, 1000.0),
        (&[(1, 1000.0), (3, 2.0), (4, 3.0)], 0.0, 1.0),
        (&[(3, -1.0)], 0.0, 1000.0),
        (&[(1, -3.0), (4, 3.0)], 1.0, 1000.0),
    ];
    let mut design = Design::new();
    for &(row, label, weight) in rows {
        let row: Vec<_> = std::iter::once((0, 1.0))
            .chain(row.iter().copied())
            .collect();
        design.push(&row, label, weight);
    }
    let fit = fit(&design, 5, Family::Logistic, 3e-4, &|_| true, &mut || ()).unwrap();
    assert!(fit.converged, "{fit:?}");
}

#[test]
fn the_scale_of_columns_costs_no_iterations() {
    let mut design = Design::new();
    for (column, x) in [1e-3, 1.0, 30.0, 1e4].into_iter().enumerate() {
        design.push(&[(column as u32, x)], 1.0, 1.0);
    }
    let fit = fit(&design, 4, Family::Linear, 0.0, &|_| true, &mut || ()).unwrap();
    assert_eq!(
        (fit.converged, fit.iterations),
        (true, 1),
        "the diagonal alone solves it"
    );
}

#[test]
fn columns_that_say_the_same_share_the_weight() {
    // a full set of indicators beside the intercept, without a penalty: many minima, one prediction
    for family in [Family::Linear, Family::Logistic] {
        let mut design = Design::new();
        for i in 0..60u32 {
            let group = i % 3;
            design.push(
                &[(0, 1.0), (1 + group, 1.0)],
                f64::from(u8::from(i % 4 <= group)),
                1.0,
            );
        }
        let fit = fit_all(&design, 4, family, 0.0).unwrap();
        assert!(fit.converged, "{family:?}: {fit:?}");
        let predictions = design.predict(family, &fit.weights);
        for (group, rate) in [0.25, 0.5, 0.75].into_iter().enumerate() {
            assert!(
                (predictions[group] - rate).abs() < 1e-9,
                "{family:?}: {predictions:?}"
            );
        }
    }
}

#[test]
fn labels_that_can_be_separated_end_with_large_weights() {
    let mut design = Design::new();
    for x in [-2.0, -1.0, 1.0, 2.0] {
        design.push(&[(0, 1.0), (1, x)], f64::from(u8::from(x > 0.0)), 1.0);
    }
    let fit = fit_all(&design, 2, Family::Logistic, 0.0).unwrap();
    assert!(fit.weights[1] > 10.0 && fit.weights[1] < 1e6, "{fit:?}");
    let fit = fit_all(&design, 2, Family::Logistic, 1e-6).unwrap();
    assert!(fit.converged && fit.weights[1] > 5.0, "{fit:?}");
}

#[test]
fn extreme_labels_and_values_do_not_break_newton() {
    let mut design = Design::new();
    for i in 0..100 {
        let x = if i % 10 == 0 { 1e6 } else { i as f32 };
        design.push(&[(0, 1.0), (1, x)], f64::from(u8::from(i % 3 == 0)), 1e-9);
    }
    let fit = fit_all(&design, 2, Family::Logistic, 1e-12).unwrap();
    assert!(fit.converged, "{fit:?}");
}

#[test]
fn what_cannot_be_learned_from_is_named() {
    let fault = |row: &[(u32, f32)], label, weight, family| {
        let mut design = Design::new();
        design.push(&[(0, 1.0)], 1.0, 1.0);
        design.push(row, label, weight);
        fit_all(&design, 2, family, 1.0).unwrap_err()
    };
    assert_eq!(
        fault(&[(2, 1.0)], 1.0, 1.0, Family::Linear),
        TrainError::Column { row: 1, column: 2 }
    );
    assert_eq!(
        fault(&[(1, f32::NAN)], 1.0, 1.0, Family::Linear),
        TrainError::Value(1)
    );
    assert!(matches!(
        fault(&[], f64::NAN, 1.0, Family::Linear),
        TrainError::Label { row: 1, .. }
    ));
    assert_eq!(
        fault(&[], 2.0, 1.0, Family::Logistic),
        TrainError::Label { row: 1, label: 2.0 }
    );
    assert_eq!(
        fault(&[], 1.0, -1.0, Family::Linear),
        TrainError::Weight {
            row: 1,
            weight: -1.0
        }
    );
    assert_eq!(
        fault(&[(0, 1.0)], f64::MAX, 1e10, Family::Linear),
        TrainError::Overflow
    );
    let mut empty = Design::new();
    assert_eq!(
        fit_all(&empty, 2, Family::Linear, 1.0),
        Err(TrainError::Empty)
    );
    empty.push(&[(0, 1.0)], 1.0, 0.0);
    assert_eq!(
        fit_all(&empty, 2, Family::Linear, 1.0),
        Err(TrainError::Empty)
    );
    assert_eq!(
        fit_all(&empty, 2, Family::Linear, -1.0),
        Err(TrainError::Penalty(-1.0))
    );
    assert_eq!(
        fit_all(&empty, 10_000_001, Family::Linear, 0.0),
        Err(TrainError::TooWide(10_000_001))
    );
    assert_eq!(
        TrainError::Empty.to_string(),
        "there are no rows to learn from"
    );
}

#[test]
fn each_iteration_can_be_interrupted() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../pgrx-tests/golden/logistic.json")).unwrap();
    for family in [Family::Linear, Family::Logistic] {
        let mut calls = 0;
        let fit = fit(
            &design(&golden.rows),
            6,
            family,
            1.0,
            &|_| true,
            &mut || calls += 1,
        )
        .unwrap();
        assert!(calls >= fit.iterations && fit.iterations > 2);
    }
}

/// Solves a dense symmetric system by elimination.
fn eliminate(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let pivot = a[k].clone();
        for i in k + 1..n {
            let factor = a[i][k] / pivot[k];
            for (cell, above) in a[i].iter_mut().zip(&pivot) {
                *cell -= factor * above;
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        b[k] = (b[k] - (k + 1..n).map(|j| a[k][j] * b[j]).sum::<f64>()) / a[k][k];
    }
    b
}

/// Facts, label, weight.
type Row = (Vec<(u32, f32)>, bool, f64);

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let row = prop::collection::btree_map(1..6u32, -2.0..2.0f32, 0..4);
    let row = (row, any::<bool>(), 0.1..3.0f64);
    prop::collection::vec(row, 1..40).prop_map(|rows| {
        let full = |row: std::collections::BTreeMap<u32, f32>| {
            std::iter::once((0, 1.0)).chain(row).collect()
        };
        rows.into_iter()
            .map(|(row, label, weight)| (full(row), label, weight))
            .collect()
    })
}

proptest! {
    #[test]
    fn ridge_has_its_closed_form(rows in any_rows(), l2 in 0.01..10.0f64) {
        let mut design = Design::new();
        let (mut a, mut b) = (vec![vec![0.0; 6]; 6], vec![0.0; 6]);
        for (row, label, weight) in &rows {
            let label = f64::from(u8::from(*label)) * 3.0 - 1.0;
            design.push(row, label, *weight);
            for &(i, x) in row {
                b[i as usize] += weight * f64::from(x) * label;
                for &(j, y) in row {
                    a[i as usize][j as usize] += weight * f64::from(x) * f64::from(y);
                }
            }
        }
        for (j, row) in a.iter_mut().enumerate().skip(1) {
            row[j] += l2;
        }
        let fit = fit_all(&design, 6, Family::Linear, l2).unwrap();
        prop_assert!(fit.converged);
        for (weight, expected) in fit.weights.iter().zip(eliminate(a, b)) {
            prop_assert!((weight - expected).abs() < 1e-8 * (1.0 + expected.abs()), "{} is not {}", weight, expected);
        }
    }

    #[test]
    fn at_the_logistic_minimum_the_slope_is_zero(rows in any_rows(), l2 in 0.01..10.0f64) {
        let mut design = Design::new();
        for (row, label, weight) in &rows {
            design.push(row, f64::from(u8::from(*label)), *weight);
        }
        // the intercept is penalised here, since all labels may be equal
        let fit = fit(&design, 6, Family::Logistic, l2, &|_| true, &mut || ()).unwrap();
        prop_assert!(fit.converged);
        let predictions = design.predict(Family::Logistic, &fit.weights);
        let mut slope: Vec<f64> = fit.weights.iter().map(|weight| l2 * weight).collect();
        for ((row, label, weight), p) in rows.iter().zip(predictions) {
            for &(j, x) in row {
                slope[j as usize] += weight * (p - f64::from(u8::from(*label))) * f64::from(x);
            }
        }
        prop_assert!(slope.iter().all(|slope| slope.abs() < 1e-8), "{:?}", slope);
    }
}
