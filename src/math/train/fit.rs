//! Ridge and L2-penalised logistic regression.
//!
//! Source: A. E. Hoerl, R. W. Kennard, "Ridge regression", 1970; truncated Newton with conjugate gradients as in
//! J. Nocedal, S. J. Wright, "Numerical optimization", 2nd ed., section 7.1.

use super::conjugate::{Solution, dot, solve};
use super::design::Design;
use crate::model::{Family, MAX_WIDTH};
use crate::{logistic, sum};
use ndarray::Array1;
use std::fmt;

/// How near to the solution of a linear system conjugate gradients go, relative to the start.
const TOLERANCE: f64 = 1e-12;
/// The same within a Newton step, at its most exact.
const STEP_TOLERANCE: f64 = 1e-6;
/// Newton steps, which normally number below ten.
const NEWTON_STEPS: usize = 100;
/// The Newton decrement at which the minimum is reached, for an average row weight of 1: about 1e-10 standard errors.
const DECREMENT: f64 = 1e-20;
/// The decrement that is good enough once rounding keeps it from falling further: about 1e-4 standard errors.
const STALLED: f64 = 1e-8;

/// Weights that minimise the objective of [`fit`].
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// One weight for each column.
    pub weights: Vec<f64>,
    /// Conjugate-gradient iterations in total; each passes over the rows twice.
    pub iterations: usize,
    /// Whether the minimum was reached. If not, the weights are the best found.
    pub converged: bool,
}

/// Why nothing can be learned.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainError {
    /// There are no rows, or all of them have weight 0.
    Empty,
    /// There are more columns than a model may have.
    TooWide(usize),
    /// A row has a column beyond the width.
    Column {
        /// The row.
        row: usize,
        /// The column.
        column: u32,
    },
    /// A row has a value that is NaN or infinite.
    Value(usize),
    /// A row's label is NaN or infinite or, for a logistic model, outside [0, 1].
    Label {
        /// The row.
        row: usize,
        /// Its label.
        label: f64,
    },
    /// A row's weight is negative, NaN or infinite.
    Weight {
        /// The row.
        row: usize,
        /// Its weight.
        weight: f64,
    },
    /// The penalty is negative, NaN or infinite.
    Penalty(f64),
    /// The numbers are so large that sums of them are infinite.
    Overflow,
    /// Some columns say the same as others and are not penalised: their weights could be anything.
    Singular,
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrainError::Empty => f.write_str("there are no rows to learn from"),
            TrainError::TooWide(width) => {
                write!(f, "the model has {width} weights, more than {MAX_WIDTH}")
            }
            TrainError::Column { row, column } => write!(
                f,
                "row {row} has a column {column}, which the model has not"
            ),
            TrainError::Value(row) => {
                write!(f, "row {row} has a value that is not a finite number")
            }
            TrainError::Label { row, label } => write!(
                f,
                "row {row} has the label {label}, which the model cannot predict"
            ),
            TrainError::Weight { row, weight } => write!(f, "row {row} has the weight {weight}"),
            TrainError::Penalty(l2) => write!(
                f,
                "the penalty must be a finite number of at least 0, not {l2}"
            ),
            TrainError::Overflow => f.write_str("the labels, values or weights are too large"),
            TrainError::Singular => f.write_str(
                "some weights have no covariance, as other columns say the same as theirs",
            ),
        }
    }
}

impl std::error::Error for TrainError {}

/// Finds the weights β that minimise
///
///   Σᵢ wᵢ · loss(yᵢ, ηᵢ) + l2/2 · Σⱼ βⱼ² over the columns that `penalise` names, with η = X·β and
///
///   loss(y, η) = (y − η)²/2 (linear), or log(1 + e^η) − y·η (logistic, y in [0, 1]).
///
/// So `l2` is the alpha of scikit-learn's `Ridge`, and 1/C of its `LogisticRegression`. The usual intercept is not
/// penalised. Columns are taken as they are, without scaling. A column that no row has, and that is not penalised,
/// keeps the weight 0. With l2 = 0 and labels that the columns separate perfectly there is no minimum, and the weights
/// are merely large.
///
/// The result depends on the order of rows by rounding alone, and for the same order has the same bits on every
/// machine. `interrupt` is called in every iteration. Memory: about ten vectors of `width` and five of the number of
/// rows.
pub fn fit(
    design: &Design,
    width: usize,
    family: Family,
    l2: f64,
    penalise: &dyn Fn(usize) -> bool,
    interrupt: &mut dyn FnMut(),
) -> Result<Fit, TrainError> {
    check(design, width, family, l2)?;
    let penalty = Array1::from_shape_fn(width, |j| if penalise(j) { l2 } else { 0.0 });
    let problem = Problem { design, penalty };
    let fit = match family {
        Family::Linear => problem.ridge(interrupt),
        Family::Logistic => problem.logistic(interrupt),
    };
    fit.filter(|fit| fit.weights.iter().all(|weight| weight.is_finite()))
        .ok_or(TrainError::Overflow)
}

/// Refuses what cannot be learned from.
pub(super) fn check(
    design: &Design,
    width: usize,
    family: Family,
    l2: f64,
) -> Result<(), TrainError> {
    if width > MAX_WIDTH {
        return Err(TrainError::TooWide(width));
    }
    if !(l2 >= 0.0 && l2.is_finite()) {
        return Err(TrainError::Penalty(l2));
    }
    for (row, (columns, values)) in design.iter().enumerate() {
        if let Some(&column) = columns.iter().find(|&&column| column as usize >= width) {
            return Err(TrainError::Column { row, column });
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(TrainError::Value(row));
        }
        let (label, weight) = (design.labels()[row], design.weights()[row]);
        if !label.is_finite() || family == Family::Logistic && !(0.0..=1.0).contains(&label) {
            return Err(TrainError::Label { row, label });
        }
        if !(weight >= 0.0 && weight.is_finite()) {
            return Err(TrainError::Weight { row, weight });
        }
    }
    if design.weights().iter().all(|&weight| weight == 0.0) {
        return Err(TrainError::Empty);
    }
    Ok(())
}

/// The rows, and the penalty on each column.
struct Problem<'d> {
    design: &'d Design,
    penalty: Array1<f64>,
}

impl Problem<'_> {
    /// (Xᵀ·W·X + L)·β = Xᵀ·W·y, with W the rows' weights and L the penalties. None on overflow.
    fn ridge(&self, interrupt: &mut dyn FnMut()) -> Option<Fit> {
        let weights = self.design.weights();
        let weighted: Vec<f64> = weights
            .iter()
            .zip(self.design.labels())
            .map(|(w, y)| w * y)
            .collect();
        let b = self.transposed(&weighted, Array1::zeros(self.penalty.len()));
        let found = self.solve(weights, b, TOLERANCE, interrupt)?;
        Some(Fit {
            weights: found.x.to_vec(),
            iterations: found.iterations,
            converged: found.converged,
        })
    }

    /// Newton's method, each step by conjugate gradients as exactly as it is worth, shortened until the objective
    /// falls. None on overflow.
    fn logistic(&self, interrupt: &mut dyn FnMut()) -> Option<Fit> {
        let mut beta = Array1::zeros(self.penalty.len());
        let mut eta = vec![0.0; self.design.rows()];
        let mut objective = self.objective(&beta, &eta);
        let average = sum(self.design.weights()) / self.design.rows() as f64;
        let (mut iterations, mut first, mut last) = (0, None, f64::INFINITY);
        let mut converged = false;
        for _ in 0..NEWTON_STEPS {
            interrupt();
            let (downhill, curvature) = self.slope(&beta, &eta);
            let size = dot(&downhill, &downhill).sqrt();
            let nearness = size / *first.get_or_insert(size);
            let tolerance = f64::min(0.1, nearness).max(STEP_TOLERANCE);
            let step = self.solve(&curvature, downhill.clone(), tolerance, interrupt)?;
            iterations += step.iterations;
            let decrement = dot(&downhill, &step.x);
            let stalled = decrement <= STALLED * average && decrement >= last / 2.0;
            if decrement <= DECREMENT * average || stalled {
                beta += &step.x;
                converged = step.converged;
                break;
            }
            let eta_step = self.design.times(slice(&step.x));
            match self.search(
                &mut beta, &mut eta, &step.x, &eta_step, objective, decrement,
            ) {
                Some(lower) => objective = lower,
                None => break,
            }
            last = decrement;
        }
        Some(Fit {
            weights: beta.to_vec(),
            iterations,
            converged,
        })
    }

    /// Goes along a step as far as the objective falls by a quarter of what its slope promises (Armijo's rule), halving
    /// the step if need be, and returns the objective there; None if it nowhere does. With less than a quarter, steps
    /// that leap over a narrow valley would be taken again and again.
    fn search(
        &self,
        beta: &mut Array1<f64>,
        eta: &mut [f64],
        step: &Array1<f64>,
        eta_step: &[f64],
        objective: f64,
        decrement: f64,
    ) -> Option<f64> {
        let rounding = 1e-13 * objective.abs();
        let mut length = 1.0;
        for _ in 0..50 {
            let beta_there = &*beta + &(step * length);
            let eta_there: Vec<f64> = eta
                .iter()
                .zip(eta_step)
                .map(|(eta, step)| eta + length * step)
                .collect();
            let there = self.objective(&beta_there, &eta_there);
            if there <= objective - 0.25 * length * decrement + rounding {
                *beta = beta_there;
                eta.copy_from_slice(&eta_there);
                return Some(there);
            }
            length /= 2.0;
        }
        None
    }

    /// The logistic objective.
    fn objective(&self, beta: &Array1<f64>, eta: &[f64]) -> f64 {
        let rows = eta
            .iter()
            .zip(self.design.labels())
            .zip(self.design.weights());
        let losses: Vec<f64> = rows
            .map(|((&eta, &y), &w)| w * (softplus(eta) - y * eta))
            .collect();
        let squares = beta * beta;
        sum(&losses) + dot(&self.penalty, &squares) / 2.0
    }

    /// The logistic objective's negative gradient, and the rows' weights in its second derivative.
    fn slope(&self, beta: &Array1<f64>, eta: &[f64]) -> (Array1<f64>, Vec<f64>) {
        let mut residuals = Vec::with_capacity(eta.len());
        let mut curvature = Vec::with_capacity(eta.len());
        for ((&eta, &y), &w) in eta
            .iter()
            .zip(self.design.labels())
            .zip(self.design.weights())
        {
            let p = logistic(eta);
            residuals.push(w * (y - p));
            curvature.push(w * p * (1.0 - p));
        }
        (
            self.transposed(&residuals, -(&self.penalty * beta)),
            curvature,
        )
    }

    /// Solves (Xᵀ·diag(r)·X + L)·x = b.
    fn solve(
        &self,
        r: &[f64],
        b: Array1<f64>,
        tolerance: f64,
        interrupt: &mut dyn FnMut(),
    ) -> Option<Solution> {
        let mut diagonal = self.penalty.clone();
        self.design.add_squares(r, slice_mut(&mut diagonal));
        let times = |v: &Array1<f64>| {
            let mut image = self.design.times(slice(v));
            for (image, r) in image.iter_mut().zip(r) {
                *image *= r;
            }
            self.transposed(&image, &self.penalty * v)
        };
        let limit = (1000 + 2 * b.len()).min(10_000);
        solve(&times, b, &diagonal, tolerance, limit, interrupt)
    }

    /// start + Xᵀ·r.
    fn transposed(&self, r: &[f64], mut start: Array1<f64>) -> Array1<f64> {
        self.design.add_transposed(r, slice_mut(&mut start));
        start
    }
}

/// log(1 + e^x), without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn slice(v: &Array1<f64>) -> &[f64] {
    v.as_slice()
        .expect("one-dimensional arrays made here are contiguous")
}

fn slice_mut(v: &mut Array1<f64>) -> &mut [f64] {
    v.as_slice_mut()
        .expect("one-dimensional arrays made here are contiguous")
}
