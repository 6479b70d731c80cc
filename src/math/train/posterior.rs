//! How sure one can be of weights that were fitted: the covariance of their posterior distribution.
//!
//! With the penalty as the precision of a prior around 0, and a flat prior for what is not penalised, the posterior of
//! a linear model is normal around the weights of [`super::fit`]; that of a logistic model nearly is, with the second
//! derivative of the objective as its precision (Laplace's approximation). Source: C. M. Bishop, "Pattern recognition
//! and machine learning", 2006, sections 3.3 and 4.5.

use super::design::Design;
use super::fit::TrainError;
use crate::model::{Covariance, FULL_WIDTH, Family};
use crate::{logistic, sum};

/// A pivot that is so much smaller than the diagonal it came from is nothing but rounding; less so where pivots before
/// it have lost digits in the same way.
const LEAST_PIVOT: f64 = 1e-13;

/// Rows between two looks for interrupts.
const ROWS_AT_ONCE: usize = 1024;

/// The covariance of weights that [`super::fit`] found for this design, family and penalty:
///
///   σ² · (Xᵀ·R·X + L)⁻¹, with L the penalties and
///
/// R the rows' weights and σ² the residual variance (linear), or R the rows' weights times p·(1 − p) and σ² = 1
/// (logistic). The residual variance is Σ w·(y − η)² / (Σ w − the effective number of weights), which is the trace of
/// (Xᵀ·R·X + L)⁻¹·Xᵀ·R·X; the divisor is at least 1.
///
/// Beyond [`FULL_WIDTH`] weights the covariance is taken to be diagonal: one over each diagonal element of Xᵀ·R·X + L.
/// That is how sure one would be of a weight if the others were known, so it is rather too small; σ² is Σ w·(y − η)² /
/// Σ w then.
pub fn posterior(
    design: &Design,
    family: Family,
    weights: &[f64],
    l2: f64,
    penalise: &dyn Fn(usize) -> bool,
    interrupt: &mut dyn FnMut(),
) -> Result<Covariance, TrainError> {
    let width = weights.len();
    let eta = design.times(weights);
    let curvature = curvature(design, family, &eta);
    let penalty: Vec<f64> = (0..width)
        .map(|column| if penalise(column) { l2 } else { 0.0 })
        .collect();
    let rows = sum(design.weights());
    let (mut entries, freedom) = if width > FULL_WIDTH {
        let mut precision = penalty;
        design.add_squares(&curvature, &mut precision);
        if precision.contains(&0.0) {
            return Err(TrainError::Singular);
        }
        let variances = precision.iter().map(|precision| 1.0 / precision);
        (variances.collect::<Vec<f64>>(), rows)
    } else {
        let entries = full(design, &curvature, &penalty, interrupt)?;
        let of_prior = penalty.iter().enumerate();
        let of_prior = of_prior.map(|(j, penalty)| penalty * entries[j * (j + 3) / 2]);
        let effective = width as f64 - of_prior.sum::<f64>();
        (entries, f64::max(rows - effective, 1.0))
    };
    if family == Family::Linear {
        let noise = squared_error(design, &eta) / freedom;
        entries.iter_mut().for_each(|entry| *entry *= noise);
    }
    Covariance::new(width, entries).ok_or(TrainError::Overflow)
}

/// R, row by row.
fn curvature(design: &Design, family: Family, eta: &[f64]) -> Vec<f64> {
    let of_row = |(&weight, &eta): (&f64, &f64)| match family {
        Family::Linear => weight,
        Family::Logistic => weight * logistic(eta) * logistic(-eta),
    };
    design.weights().iter().zip(eta).map(of_row).collect()
}

/// Σ w·(y − η)².
fn squared_error(design: &Design, eta: &[f64]) -> f64 {
    let rows = design.labels().iter().zip(eta).zip(design.weights());
    let errors: Vec<f64> = rows
        .map(|((y, eta), w)| w * (y - eta) * (y - eta))
        .collect();
    sum(&errors)
}

/// The lower triangle of (Xᵀ·R·X + L)⁻¹, row by row.
fn full(
    design: &Design,
    curvature: &[f64],
    penalty: &[f64],
    interrupt: &mut dyn FnMut(),
) -> Result<Vec<f64>, TrainError> {
    let width = penalty.len();
    let mut matrix = vec![0.0; width * width];
    for (row, ((columns, values), &r)) in design.iter().zip(curvature).enumerate() {
        if row.is_multiple_of(ROWS_AT_ONCE) {
            interrupt();
        }
        for (&i, &x) in columns.iter().zip(values) {
            let scaled = f64::from(x) * r;
            for (&j, &y) in columns.iter().zip(values) {
                if j <= i {
                    matrix[i as usize * width + j as usize] += scaled * f64::from(y);
                }
            }
        }
    }
    for (j, penalty) in penalty.iter().enumerate() {
        matrix[j * width + j] += penalty;
    }
    factorise(&mut matrix, width, interrupt)?;
    invert(&mut matrix, width, interrupt);
    // (L·Lᵀ)⁻¹ = L⁻ᵀ·L⁻¹
    let mut entries = Vec::with_capacity(Covariance::entries_for(width));
    for i in 0..width {
        interrupt();
        for j in 0..=i {
            let products = (i..width).map(|k| matrix[k * width + i] * matrix[k * width + j]);
            entries.push(products.fold(0.0, |sum, product| sum + product));
        }
    }
    Ok(entries)
}

/// Cholesky's factor of a symmetric matrix, in place of its lower triangle.
fn factorise(
    matrix: &mut [f64],
    width: usize,
    interrupt: &mut dyn FnMut(),
) -> Result<(), TrainError> {
    let mut least_left = 1.0;
    for j in 0..width {
        interrupt();
        let before = matrix[j * width + j];
        if !before.is_finite() {
            return Err(TrainError::Overflow);
        }
        let squares = matrix[j * width..j * width + j].iter().map(|x| x * x);
        let pivot = squares.fold(before, |left, square| left - square);
        if pivot * least_left <= LEAST_PIVOT * before {
            return Err(TrainError::Singular);
        }
        least_left = f64::min(least_left, pivot / before);
        let root = pivot.sqrt();
        matrix[j * width + j] = root;
        for i in j + 1..width {
            let (above, below) = matrix.split_at_mut(i * width);
            let products = above[j * width..j * width + j].iter().zip(&below[..j]);
            let left = products.fold(below[j], |left, (a, b)| left - a * b);
            below[j] = left / root;
        }
    }
    Ok(())
}

/// The inverse of a lower triangle, in its place.
fn invert(matrix: &mut [f64], width: usize, interrupt: &mut dyn FnMut()) {
    for j in 0..width {
        interrupt();
        matrix[j * width + j] = 1.0 / matrix[j * width + j];
        for i in j + 1..width {
            let products = (j..i).map(|k| matrix[i * width + k] * matrix[k * width + j]);
            let total = products.fold(0.0, |sum, product| sum + product);
            matrix[i * width + j] = -total / matrix[i * width + i];
        }
    }
}

#[cfg(test)]
mod tests;
