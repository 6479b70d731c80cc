//! What another policy would have earned, from the decisions of the one that was in force.
//!
//! For each decision there is the reward r, the probability p₀ that the policy in force gave to the action that it chose
//! (`logged`), and the probability p₁ that the other policy gives to the same action (`target`). A model may say what it
//! expects of that action, q, and of the other policy, b = Σ p₁·q over all actions. With the importance weight w = p₁/p₀:
//!
//! | estimator | value V | residual e of a row | source |
//! | --- | --- | --- | --- |
//! | IPS | mean of w·r | w·r − V | D. G. Horvitz, D. J. Thompson, 1952 |
//! | clipped IPS | mean of min(w, M)·r | min(w, M)·r − V | E. L. Ionides, 2008 |
//! | SNIPS | mean of w·r / mean of w | w·(r − V) / mean of w | A. Swaminathan, T. Joachims, 2015 |
//! | DM | mean of b | b − V | A. Beygelzimer, J. Langford, 2009 |
//! | DR | mean of b + w·(r − q) | b + w·(r − q) − V | M. Dudík, J. Langford, L. Li, 2011 |
//! | SNDR | mean of b + R, with R = mean of w·(r − q) / mean of w | b − mean of b + w·(r − q − R) / mean of w | P. S. Thomas, E. Brunskill, 2016 |
//! | Switch-DR | DR with w where w ≤ τ, and 0 elsewhere | as DR | Y.-X. Wang, A. Agarwal, M. Dudík, 2017 |
//! | DRos | DR with λ·w / (w² + λ) | as DR | Y. Su, M. Dimakopoulou, A. Krishnamurthy, M. Dudík, 2020 |
//!
//! The standard error is √(Σe² / (n·(n − 1))). For the self-normalised ones that is the linearisation of a ratio of means
//! (A. B. Owen, "Monte Carlo theory, methods and examples", section 9.2). Intervals are V ± z · standard error, by the
//! normal approximation. They are too narrow where few decisions carry most of the weight: see [`Weights::effective`],
//! and [`Estimate::warning`].

mod bound;
pub mod difference;
mod moments;
mod row;
mod slate;

pub use bound::{bernstein, normal, z};
pub use moments::Moments;
pub use row::{
    RowError, clipped, doubly_robust, finite_reward, modelled, shrunk, split, switched, weighted,
};
pub use slate::{DecisionRow, Estimates, Named, Slot, WeightLimits};

use std::fmt::Write;

/// z for 95 %.
const Z95: f64 = 1.959_963_984_540_054;

/// Fewer effective rows than this get a warning: the normal approximation wants as many.
const FEW_ROWS: f64 = 30.0;

/// So does a smaller share of the rows than this.
const FEW_OF_ROWS: f64 = 0.01;

/// The mean weight gets a warning when it is off 1 by more than this, and by so many of its standard errors.
const MEAN_WEIGHT_OFF: f64 = 0.01;
const MEAN_WEIGHT_ERRORS: f64 = 3.0;

/// Clipping gets a warning when it takes more than this share of the weight.
const CLIPPED: f64 = 0.1;

/// An estimated mean. What a single row, or no weight, does not tell is None.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate, in the unit of the reward for each decision.
    pub value: Option<f64>,
    /// Its standard error, in the same unit.
    pub standard_error: Option<f64>,
    pub rows: u64,
    /// The weights that the estimator has used; the direct method uses none.
    pub weights: Option<Weights>,
    /// Why the interval should not be relied upon.
    pub warning: Option<String>,
}

/// The importance weights of an estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// (Σw)² / Σw²: as many equally weighted decisions would tell as much (L. Kish, 1965); 0 without any weight.
    pub effective: f64,
    pub largest: f64,
    /// Near 1 if the logged probabilities are true and cover the other policy.
    pub mean: f64,
}

/// A result is beyond the range of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// The column of the weights that an estimator uses; the first column is what it takes the mean of.
const WEIGHT: usize = 1;

/// The column of the importance weights as they are, where an estimator uses others; or of b, in [`split`].
const THIRD: usize = 2;

/// IPS of rows of [`weighted`], DR of rows of [`doubly_robust`]. None without rows, as for all of these.
pub fn mean(rows: &Moments<2>) -> Option<Result<Estimate, Overflow>> {
    let rows = some(rows)?;
    Some(of_mean(&rows, rows.products(0, 0)).and_then(|estimate| {
        let weights = weights_of(&rows)?;
        Ok(estimate.with(
            weights,
            &[support(&rows, WEIGHT), few(&weights, rows.rows())],
        ))
    }))
}

/// Clipped IPS of rows of [`clipped`].
pub fn mean_clipped(rows: &Moments<3>) -> Option<Result<Estimate, Overflow>> {
    let rows = some(rows)?;
    Some(of_mean(&rows, rows.products(0, 0)).and_then(|estimate| {
        let weights = weights_of(&rows)?;
        let whole = rows.mean(THIRD);
        let taken = (weights.mean < (1.0 - CLIPPED) * whole).then(|| {
            let share = 100.0 * (1.0 - weights.mean / whole);
            format!("clipping takes {share:.0} % of the weight, so the value is biased")
        });
        let warnings = [support(&rows, THIRD), few(&weights, rows.rows()), taken];
        Ok(estimate.with(weights, &warnings))
    }))
}

/// Switch-DR of rows of [`switched`], and DRos of rows of [`shrunk`].
pub fn mean_limited(rows: &Moments<3>) -> Option<Result<Estimate, Overflow>> {
    let rows = some(rows)?;
    Some(of_mean(&rows, rows.products(0, 0)).and_then(|estimate| {
        let weights = weights_of(&rows)?;
        // Where the weights are limited, the model stands in for the log: few rows of weight are its purpose.
        Ok(estimate.with(weights, &[support(&rows, THIRD)]))
    }))
}

/// The direct method, of rows of [`modelled`].
pub fn mean_modelled(rows: &Moments<1>) -> Option<Result<Estimate, Overflow>> {
    let rows = some(rows)?;
    Some(of_mean(&rows, rows.products(0, 0)))
}

/// SNIPS, of rows of [`weighted`]: a little biased in small samples, and usually much less noisy than IPS. It has no value
/// if all weights are 0, that is, if the other policy would have chosen nothing of what was logged.
pub fn ratio(rows: &Moments<2>) -> Option<Result<Estimate, Overflow>> {
    let rows = some(rows)?;
    let weight = rows.mean(WEIGHT);
    let value = rows.mean(0) / weight;
    // Σ(w·r − V·w)², whose mean is 0 by the choice of V
    let squares = rows.products(0, 0) - 2.0 * value * rows.products(0, WEIGHT)
        + value * value * rows.products(WEIGHT, WEIGHT);
    Some(self_normalised(
        &rows,
        weight,
        value,
        squares / (weight * weight),
    ))
}

/// SNDR, of rows of [`split`]; without a value as [`ratio`].
pub fn ratio_doubly_robust(rows: &Moments<3>) -> Option<Result<Estimate, Overflow>> {
    let rows = some(rows)?;
    let weight = rows.mean(WEIGHT);
    let rest = rows.mean(0) / weight;
    // Σ(b + (y − R·w) / mean of w)² about its mean, with y = w·(r − q)
    let about = |i: usize, j: usize| rows.products(i, j);
    let of_rest = about(0, 0) - 2.0 * rest * about(0, WEIGHT) + rest * rest * about(WEIGHT, WEIGHT);
    let squares = about(THIRD, THIRD)
        + 2.0 * (about(0, THIRD) - rest * about(WEIGHT, THIRD)) / weight
        + of_rest / (weight * weight);
    Some(self_normalised(
        &rows,
        weight,
        rows.mean(THIRD) + rest,
        squares,
    ))
}

/// An estimate with a sum of weights in its denominator.
fn self_normalised<const K: usize>(
    rows: &Moments<K>,
    weight: f64,
    value: f64,
    squares: f64,
) -> Result<Estimate, Overflow> {
    let weights = weights_of(rows)?;
    let estimate = if weight > 0.0 {
        estimate(value, squares.max(0.0), rows.rows())?
    } else {
        Estimate {
            value: None,
            standard_error: None,
            rows: rows.rows(),
            weights: None,
            warning: None,
        }
    };
    Ok(estimate.with(
        weights,
        &[support(rows, WEIGHT), few(&weights, rows.rows())],
    ))
}

fn some<const K: usize>(rows: &Moments<K>) -> Option<Moments<K>> {
    (rows.rows() > 0).then(|| rows.settled())
}

fn of_mean<const K: usize>(rows: &Moments<K>, squares: f64) -> Result<Estimate, Overflow> {
    estimate(rows.mean(0), squares, rows.rows())
}

fn estimate(value: f64, squares: f64, rows: u64) -> Result<Estimate, Overflow> {
    let n = rows as f64;
    let standard_error = (rows > 1).then(|| (squares / (n * (n - 1.0))).sqrt());
    if !value.is_finite() || standard_error.is_some_and(|error| !error.is_finite()) {
        return Err(Overflow);
    }
    Ok(Estimate {
        value: Some(value),
        standard_error,
        rows,
        weights: None,
        warning: None,
    })
}

fn weights_of<const K: usize>(rows: &Moments<K>) -> Result<Weights, Overflow> {
    let n = rows.rows() as f64;
    let (mean, squares) = (rows.mean(WEIGHT), rows.products(WEIGHT, WEIGHT));
    if !squares.is_finite() || !mean.is_finite() {
        return Err(Overflow);
    }
    let effective = match mean > 0.0 {
        // scaled, so that no square of a mean overflows
        true => n / (1.0 + squares / mean / mean / n),
        false => 0.0,
    };
    Ok(Weights {
        effective,
        largest: rows.largest(WEIGHT),
        mean,
    })
}

/// What the importance weights in a column say of the log: their mean is 1, but for chance, if logged probabilities are
/// true, and if every action that the target takes had a chance.
fn support<const K: usize>(rows: &Moments<K>, column: usize) -> Option<String> {
    let (n, mean) = (rows.rows() as f64, rows.mean(column));
    if mean == 0.0 {
        return Some("no support: the target gives no logged action a probability above 0".into());
    }
    let error = match rows.rows() {
        1 => return None,
        _ => (rows.products(column, column) / (n * (n - 1.0))).sqrt(),
    };
    let off = (mean - 1.0).abs();
    if off <= MEAN_WEIGHT_OFF || off <= MEAN_WEIGHT_ERRORS * error {
        return None;
    }
    let mut text = format!("the mean weight is {}, not 1: ", rounded(mean));
    text += match mean < 1.0 {
        true => "the target takes actions that had no chance, or logged probabilities are wrong",
        false => "logged probabilities are wrong, or rows are missing",
    };
    Some(text)
}

/// Whether the weight lies on a few rows.
fn few(weights: &Weights, rows: u64) -> Option<String> {
    let least = FEW_ROWS.max(FEW_OF_ROWS * rows as f64);
    // all weights 0 is what `support` tells
    (weights.effective < least && weights.mean > 0.0).then(|| {
        let effective = rounded(weights.effective);
        format!("the effective sample size is {effective}, of {rows} rows: the interval is not to be relied upon")
    })
}

/// A number with four significant digits, for a text.
fn rounded(x: f64) -> String {
    let digits = 3 - (x.abs().max(1e-4).log10().floor() as i32).clamp(-4, 3);
    format!("{x:.0$}", digits as usize)
}

impl Estimate {
    fn with(mut self, weights: Weights, warnings: &[Option<String>]) -> Estimate {
        self.weights = Some(weights);
        let mut text = String::new();
        for warning in warnings.iter().flatten() {
            let between = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{between}{warning}");
        }
        self.warning = (!text.is_empty()).then_some(text);
        self
    }

    /// The interval that covers the truth with probability 95 %, if the estimate is normally distributed about it.
    pub fn interval(&self) -> Option<(f64, f64)> {
        let (value, reach) = (self.value?, Z95 * self.standard_error?);
        Some((value - reach, value + reach))
    }
}

#[cfg(test)]
mod tests;
