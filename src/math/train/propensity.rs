//! Probabilities of what was chosen, estimated from covariates where a log has none: cross-fitted, so that no row is
//! predicted by what was learned from it, and calibrated.
//!
//! Sources: V. Chernozhukov et al., "Double/debiased machine learning", 2018 (cross-fitting); C. Guo et al., "On calibration of modern neural
//! networks", 2017 (one temperature for all scores); D. F. McCaffrey et al., "A tutorial on propensity score estimation for
//! multiple treatments", 2013 (balance of each treatment against all rows).

use super::design::Design;
use super::fit::TrainError;
use super::multinomial::{Multinomial, softmax};
use crate::random::Draws;

/// The estimated probabilities of the classes, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Propensities {
    classes: usize,
    probabilities: Vec<f64>,
    /// By which scores were divided: above 1 where the fits were too sure.
    pub temperature: f64,
    /// Whether every fit reached its minimum.
    pub converged: bool,
}

impl Propensities {
    /// Fits on all folds but one, and predicts that one, for each of `folds`; `fold_of` says which one each row is in.
    pub fn estimate(
        design: &Design,
        width: usize,
        classes: usize,
        l2: f64,
        fold_of: &[usize],
        folds: usize,
        interrupt: &mut dyn FnMut(),
    ) -> Result<Propensities, TrainError> {
        let mut scores = vec![0.0; design.rows() * classes];
        let (mut converged, mut row, mut found) = (true, Vec::new(), Vec::new());
        for fold in 0..folds {
            let is_in = |row: usize| fold_of[row] != fold;
            let fit = Multinomial::fit(design, width, classes, l2, &is_in, interrupt)?;
            converged &= fit.converged;
            let rows = design.iter().zip(scores.chunks_exact_mut(classes));
            for (((columns, values), out), _) in rows.zip(fold_of).filter(|(_, of)| **of == fold) {
                row.clear();
                row.extend(columns.iter().copied().zip(values.iter().copied()));
                fit.scores(&row, &mut found);
                out.copy_from_slice(&found);
            }
        }
        let temperature = temperature(&scores, design.labels(), classes);
        for row in scores.chunks_exact_mut(classes) {
            softmax(row, temperature);
        }
        Ok(Propensities {
            classes,
            probabilities: scores,
            temperature,
            converged,
        })
    }

    /// Those of each row, class by class.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.probabilities.chunks_exact(self.classes)
    }

    /// How far each class is from all rows in each column, in standard deviations of that column: as it is, and with each of
    /// its rows weighted by 1 / probability. Class by class and column by column; 0 for a column without variance.
    pub fn balance(&self, design: &Design, width: usize) -> Vec<Imbalance> {
        let n = design.rows() as f64;
        let (mut sums, mut squares) = (vec![0.0; width], vec![0.0; width]);
        let mut plain = Groups::new(self.classes, width);
        let mut weighted = Groups::new(self.classes, width);
        let labels = design.labels().iter().map(|&label| label as usize);
        for (((columns, values), label), row) in design.iter().zip(labels).zip(self.rows()) {
            plain.add(label, 1.0, columns, values);
            weighted.add(label, 1.0 / row[label], columns, values);
            for (&column, &value) in columns.iter().zip(values) {
                let value = f64::from(value);
                sums[column as usize] += value;
                squares[column as usize] += value * value;
            }
        }
        let mut all = Vec::with_capacity(self.classes * width);
        for class in 0..self.classes {
            for column in 0..width {
                let mean = sums[column] / n;
                let variance = (squares[column] - n * mean * mean) / (n - 1.0);
                let apart = |groups: &Groups| match variance > 1e-12 * mean * mean {
                    true => (groups.mean(class, column) - mean) / variance.sqrt(),
                    false => 0.0,
                };
                all.push(Imbalance {
                    class,
                    column,
                    before: apart(&plain),
                    after: apart(&weighted),
                });
            }
        }
        all
    }
}

/// How far a class is from all rows in a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Imbalance {
    pub class: usize,
    pub column: usize,
    pub before: f64,
    pub after: f64,
}

/// Weighted sums of the columns in each class.
struct Groups {
    width: usize,
    sums: Vec<f64>,
    weights: Vec<f64>,
}

impl Groups {
    fn new(classes: usize, width: usize) -> Groups {
        Groups {
            width,
            sums: vec![0.0; classes * width],
            weights: vec![0.0; classes],
        }
    }

    fn add(&mut self, class: usize, weight: f64, columns: &[u32], values: &[f32]) {
        self.weights[class] += weight;
        for (&column, &value) in columns.iter().zip(values) {
            self.sums[class * self.width + column as usize] += weight * f64::from(value);
        }
    }

    fn mean(&self, class: usize, column: usize) -> f64 {
        self.sums[class * self.width + column] / self.weights[class]
    }
}

/// The temperature between 1/20 and 20 with the least log loss, by golden section over its logarithm: the loss has one
/// minimum there, since it is convex in 1/T.
fn temperature(scores: &[f64], labels: &[f64], classes: usize) -> f64 {
    let loss = |log: f64| {
        let temperature = libm::exp(log);
        let rows = scores.chunks_exact(classes).zip(labels);
        let losses = rows.map(|(row, &label)| {
            let highest = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let total: f64 = row
                .iter()
                .map(|s| libm::exp((s - highest) / temperature))
                .sum();
            libm::log(total) - (row[label as usize] - highest) / temperature
        });
        losses.fold(0.0, |sum, loss| sum + loss)
    };
    let share = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-libm::log(20.0), libm::log(20.0));
    let (mut left, mut right) = (high - share * (high - low), low + share * (high - low));
    let (mut at_left, mut at_right) = (loss(left), loss(right));
    while high - low > 1e-7 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - share * (high - low);
            at_left = loss(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + share * (high - low);
            at_right = loss(right);
        }
    }
    libm::exp((low + high) / 2.0)
}

/// A fold for each row, drawn so that each class is spread over all folds as evenly as can be.
pub fn stratified_folds(labels: &[f64], classes: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut draws = Draws::from_seed(seed);
    let mut of_class = vec![Vec::new(); classes];
    for (row, &label) in labels.iter().enumerate() {
        of_class[label as usize].push(row);
    }
    let mut fold_of = vec![0; labels.len()];
    for rows in &mut of_class {
        for i in (1..rows.len()).rev() {
            let other = ((draws.unit() * (i + 1) as f64) as usize).min(i);
            rows.swap(i, other);
        }
        let first = (draws.unit() * folds as f64) as usize;
        for (i, &row) in rows.iter().enumerate() {
            fold_of[row] = (first + i) % folds;
        }
    }
    fold_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        /// Five columns and the class.
        rows: Vec<[f64; 6]>,
        folds: Vec<usize>,
        fits: Vec<GoldenFit>,
    }

    #[derive(Deserialize)]
    struct GoldenFit {
        l2: f64,
        /// Of the fit to all rows.
        probabilities: Vec<[f64; 3]>,
        temperature: f64,
        /// Cross-fitted and calibrated.
        propensities: Vec<[f64; 3]>,
        /// Class, column, before, after.
        balance: Vec<[f64; 4]>,
    }

    fn near(a: f64, b: f64, precision: f64) -> bool {
        (a - b).abs() <= precision * (1.0 + b.abs())
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let golden = include_str!("../../../pgrx-tests/golden/propensity.json");
        let golden: Golden = serde_json::from_str(golden).unwrap();
        let mut design = Design::new();
        for &[x @ .., class] in &golden.rows {
            let mut row = vec![(0, 1.0)];
            row.extend((1..).zip(x.map(|x| x as f32)).filter(|&(_, x)| x != 0.0));
            design.push(&row, class, 1.0);
        }
        for expected in golden.fits {
            let l2 = expected.l2;
            let fit = Multinomial::fit(&design, 6, 3, l2, &|_| true, &mut || ()).unwrap();
            assert!(fit.converged);
            let mut found = Vec::new();
            for ((columns, values), expected) in design.iter().zip(&expected.probabilities) {
                let row = columns.iter().copied().zip(values.iter().copied());
                fit.scores(&row.collect::<Vec<_>>(), &mut found);
                softmax(&mut found, 1.0);
                for (p, e) in found.iter().zip(expected) {
                    assert!(near(*p, *e, 1e-8), "{p}, not {e}, with l2 {l2}");
                }
            }
            let folds = golden.folds.iter().max().unwrap() + 1;
            let estimated =
                Propensities::estimate(&design, 6, 3, l2, &golden.folds, folds, &mut || ());
            let estimated = estimated.unwrap();
            assert!(estimated.converged);
            assert!(
                near(estimated.temperature, expected.temperature, 1e-6),
                "temperature {}, not {}",
                estimated.temperature,
                expected.temperature
            );
            for (row, expected) in estimated.rows().zip(&expected.propensities) {
                for (p, e) in row.iter().zip(expected) {
                    assert!(near(*p, *e, 1e-6), "{p}, not {e}, with l2 {l2}");
                }
            }
            let balance = estimated.balance(&design, 6);
            for &[class, column, before, after] in &expected.balance {
                let (class, column) = (class as usize, column as usize);
                let mut balance = balance.iter();
                let found = balance.find(|of| (of.class, of.column) == (class, column));
                let found = found.unwrap();
                assert!(near(found.before, before, 1e-9) && near(found.after, after, 1e-5));
            }
        }
    }

    #[test]
    fn folds_have_as_many_of_each_class() {
        let labels: Vec<f64> = (0..103).map(|i| f64::from(i % 3)).collect();
        let folds = stratified_folds(&labels, 3, 5, 7);
        assert_eq!(folds, stratified_folds(&labels, 3, 5, 7));
        assert_ne!(folds, stratified_folds(&labels, 3, 5, 8));
        for class in 0..3 {
            let count = |fold: usize| {
                let rows = folds.iter().zip(&labels);
                rows.filter(|&(&of, &label)| of == fold && label == f64::from(class))
                    .count()
            };
            let counts: Vec<usize> = (0..5).map(count).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
        }
    }

    #[test]
    fn labels_that_are_no_class_are_refused() {
        for label in [-1.0, 0.5, 3.0, f64::NAN] {
            let mut design = Design::new();
            design.push(&[(0, 1.0)], 0.0, 1.0);
            design.push(&[(0, 1.0)], label, 1.0);
            assert!(Multinomial::fit(&design, 1, 3, 1.0, &|_| true, &mut || ()).is_err());
        }
    }
}
