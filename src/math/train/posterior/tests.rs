//! Covariances against reference libraries, and how often intervals hold what they should.

use super::*;
use crate::random::Draws;
use crate::train::fit;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    rows: Vec<[f32; 5]>,
    fits: Vec<GoldenFit>,
}

#[derive(Deserialize)]
struct GoldenFit {
    family: Family,
    by: String,
    l2: f64,
    labels: Vec<f64>,
    weights: Vec<f64>,
    /// The residual variance that the reference found, or has for another reason.
    noise: Option<f64>,
    given_noise: Option<f64>,
    covariance: Vec<f64>,
}

fn not_the_first(column: usize) -> bool {
    column != 0
}

fn fitted(design: &Design, width: usize, family: Family, l2: f64) -> (Vec<f64>, Covariance) {
    let fit = fit(design, width, family, l2, &not_the_first, &mut || ()).unwrap();
    let known = posterior(design, family, &fit.weights, l2, &not_the_first, &mut || ());
    (fit.weights, known.unwrap())
}

#[test]
fn covariances_agree_with_the_references() {
    let golden = include_str!("../../../../pgrx-tests/golden/posterior.json");
    let golden: Golden = serde_json::from_str(golden).unwrap();
    for expected in golden.fits {
        let mut design = Design::new();
        let labels = expected.labels.iter().zip(&expected.weights);
        for (x, (&label, &weight)) in golden.rows.iter().zip(labels) {
            let mut row = vec![(0, 1.0)];
            row.extend((1..).zip(*x).filter(|&(_, x)| x != 0.0));
            design.push(&row, label, weight);
        }
        let (weights, known) = fitted(&design, 6, expected.family, expected.l2);
        let mut entries = known.entries().to_vec();
        if let Some(noise) = expected.given_noise {
            let eta = design.times(&weights);
            let traced = (0..6).filter(|&j| j > 0);
            let residual = squared_error(&design, &eta);
            // What is found for the noise is what the entries are multiples of.
            let own = own_noise(
                &entries,
                residual,
                sum(design.weights()),
                expected.l2,
                traced,
            );
            entries.iter_mut().for_each(|entry| *entry *= noise / own);
        }
        assert_eq!(expected.noise.is_some(), expected.by == "OLS");
        for (entry, expected_entry) in entries.iter().zip(&expected.covariance) {
            assert!(
                (entry - expected_entry).abs() <= 1e-6 * expected_entry.abs(),
                "{}: {entry}, not {expected_entry}",
                expected.by
            );
        }
    }
}

/// The residual variance σ² from entries that are multiples of it: σ² · (n − d + l2 · Σ entry/σ²) is the squared error.
fn own_noise(
    entries: &[f64],
    squared_error: f64,
    rows: f64,
    l2: f64,
    penalised: impl Iterator<Item = usize>,
) -> f64 {
    let trace: f64 = penalised.map(|j| entries[j * (j + 3) / 2]).sum();
    (squared_error - l2 * trace) / (rows - 6.0)
}

#[test]
fn beyond_the_bound_variances_are_those_of_one_weight_alone() {
    let width = FULL_WIDTH + 1;
    let mut design = Design::new();
    for column in 1..width as u32 {
        design.push(&[(column, 2.0)], 1.0, 1.0);
    }
    design.push(&[(0, 1.0)], 1.0, 3.0);
    let weights = vec![0.0; width];
    let known = posterior(
        &design,
        Family::Logistic,
        &weights,
        1.0,
        &not_the_first,
        &mut || (),
    );
    let known = known.unwrap();
    assert!(known.is_diagonal());
    assert_eq!(known.between(0, 0), 1.0 / 0.75);
    assert_eq!(known.between(9, 9), 1.0 / (1.0 + 4.0 * 0.25));
    let known = posterior(
        &design,
        Family::Linear,
        &weights,
        1.0,
        &not_the_first,
        &mut || (),
    );
    // Every label is 1 and nothing is predicted: σ² = 1.
    assert_eq!(known.unwrap().between(9, 9), 1.0 / (1.0 + 4.0));
}

#[test]
fn what_has_no_covariance_is_told() {
    let mut design = Design::new();
    for i in 0..6 {
        design.push(&[(0, 1.0), (1, 1.0)], f64::from(i % 2), 1.0);
    }
    for family in [Family::Linear, Family::Logistic] {
        let told = posterior(&design, family, &[0.0; 2], 0.0, &not_the_first, &mut || ());
        assert_eq!(told, Err(TrainError::Singular));
        // A column that no row has, and that nothing holds.
        let told = posterior(
            &design,
            family,
            &[0.0; 300],
            0.0,
            &not_the_first,
            &mut || (),
        );
        assert_eq!(told, Err(TrainError::Singular));
        let known = posterior(&design, family, &[0.0; 2], 1.0, &not_the_first, &mut || ());
        assert!(known.is_ok(), "the prior makes it definite");
    }
}

#[test]
fn it_can_be_interrupted() {
    let mut design = Design::new();
    (0..5_000).for_each(|i| design.push(&[(0, 1.0)], f64::from(i % 2), 1.0));
    let mut calls = 0;
    let known = posterior(
        &design,
        Family::Linear,
        &[0.5],
        1.0,
        &not_the_first,
        &mut || calls += 1,
    );
    assert!(known.is_ok() && calls >= 5);
}

/// A normal number, by Box and Muller.
fn normal(draws: &mut Draws) -> f64 {
    let (u, v) = (1.0 - draws.unit(), draws.unit());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// 500 seeds: weights from the prior, rows from the weights. The interval of 90 % around a score holds the truth in 90 %
/// of them: 450, with a standard deviation of 7.
#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    for family in [Family::Linear, Family::Logistic] {
        let mut held = 0;
        for seed in 0..500 {
            let mut draws = Draws::from_seed(seed);
            let (l2, noise) = (4.0, 0.5f64);
            let prior = match family {
                Family::Linear => noise * noise / l2,
                Family::Logistic => 1.0 / l2,
            };
            let truth: Vec<f64> = (0..4).map(|_| normal(&mut draws) * prior.sqrt()).collect();
            let mut design = Design::new();
            for _ in 0..120 {
                let x = [1.0, normal(&mut draws), normal(&mut draws), draws.unit()];
                let row: Vec<(u32, f32)> = (0..).zip(x.map(|x| x as f32)).collect();
                let eta: f64 = x.iter().zip(&truth).map(|(x, b)| x * b).sum();
                let label = match family {
                    Family::Linear => eta + noise * normal(&mut draws),
                    Family::Logistic => f64::from(u8::from(draws.unit() < logistic(eta))),
                };
                design.push(&row, label, 1.0);
            }
            let (weights, known) = fitted(&design, 4, family, l2);
            let at = [1.0, 0.7, -0.4, 0.2];
            let eta = |weights: &[f64]| at.iter().zip(weights).map(|(x, b)| x * b).sum::<f64>();
            let mut variance = 0.0;
            for (i, x) in at.iter().enumerate() {
                for (j, y) in at.iter().enumerate() {
                    variance += x * y * known.between(i, j);
                }
            }
            held += i32::from((eta(&weights) - eta(&truth)).abs() <= 1.644_854 * variance.sqrt());
        }
        assert!((425..=475).contains(&held), "{family:?}: {held} of 500");
    }
}
