//! Multinomial logistic regression with an L2 penalty: the probability of each of several classes.
//!
//! Source: A. Agresti, "Categorical data analysis", 3rd ed., section 8.1; truncated Newton as in [`super::fit`].

use super::conjugate::{dot, solve};
use super::design::Design;
use super::fit::{TrainError, check};
use crate::model::Family;
use crate::sum;
use ndarray::Array1;

/// Newton steps, which normally number below ten.
const NEWTON_STEPS: usize = 100;
/// How near to the solution of a Newton step conjugate gradients go, at their most exact.
const STEP_TOLERANCE: f64 = 1e-6;
/// The Newton decrement, for each row, at which the minimum is reached; and the one that is good enough where rounding keeps it from
/// falling further.
const DECREMENT: f64 = 1e-20;
const STALLED: f64 = 1e-10;

/// The weights of every class.
#[derive(Clone, Debug, PartialEq)]
pub struct Multinomial {
    classes: usize,
    /// Class by class, a weight for each column.
    weights: Vec<f64>,
    /// Whether the minimum was reached. If not, the weights are the best found.
    pub converged: bool,
}

impl Multinomial {
    /// Finds the weights that minimise
    ///
    ///   Σᵢ wᵢ · (log Σₖ e^ηᵢₖ − ηᵢ of its class) + l2/2 · Σ β² over all columns but the first, the intercept,
    ///
    /// over the rows that `is_in` names, with ηᵢₖ = xᵢ·βₖ. A label is the index of a class. So `l2` is 1/C of scikit-learn's
    /// `LogisticRegression`. The probabilities are unique, the intercepts are so but for a number that is added to all.
    /// `interrupt` is called in every iteration. Memory: about ten vectors of `width` · `classes` and of rows · `classes`.
    pub fn fit(
        design: &Design,
        width: usize,
        classes: usize,
        l2: f64,
        is_in: &dyn Fn(usize) -> bool,
        interrupt: &mut dyn FnMut(),
    ) -> Result<Multinomial, TrainError> {
        check(design, width, Family::Linear, l2)?;
        let labels = design.labels();
        let is_class = |label: f64| label >= 0.0 && label < classes as f64 && label.fract() == 0.0;
        let mut rows = labels.iter().enumerate();
        if let Some((row, &label)) = rows.find(|&(_, &label)| !is_class(label)) {
            return Err(TrainError::Label { row, label });
        }
        let rows = design.weights().iter().enumerate();
        let weights: Vec<f64> = rows
            .map(|(row, &weight)| if is_in(row) { weight } else { 0.0 })
            .collect();
        if weights.iter().all(|&weight| weight == 0.0) {
            return Err(TrainError::Empty);
        }
        let problem = Problem {
            design,
            weights,
            labels: labels.iter().map(|&label| label as usize).collect(),
            width,
            classes,
            l2,
        };
        problem.minimise(interrupt)
    }

    /// Writes the scores of a row, one for each class: their softmax are its probabilities.
    pub fn scores(&self, row: &[(u32, f32)], out: &mut Vec<f64>) {
        let width = self.weights.len() / self.classes;
        out.clear();
        out.extend((0..self.classes).map(|class| {
            let weights = &self.weights[class * width..][..width];
            let terms = row.iter();
            terms
                .map(|&(column, value)| weights[column as usize] * f64::from(value))
                .sum::<f64>()
        }));
    }
}

/// Turns scores into probabilities, at a temperature.
pub(super) fn softmax(scores: &mut [f64], temperature: f64) {
    let highest = scores.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let mut total = 0.0;
    for score in &mut *scores {
        *score = libm::exp((*score - highest) / temperature);
        total += *score;
    }
    for score in scores {
        *score /= total;
    }
}

struct Problem<'d> {
    design: &'d Design,
    /// 0 for rows that do not take part.
    weights: Vec<f64>,
    labels: Vec<usize>,
    width: usize,
    classes: usize,
    l2: f64,
}

impl Problem<'_> {
    fn minimise(&self, interrupt: &mut dyn FnMut()) -> Result<Multinomial, TrainError> {
        let mut beta = Array1::zeros(self.width * self.classes);
        let mut eta = self.times(&beta);
        let mut objective = self.objective(&beta, &eta);
        let total = sum(&self.weights);
        let (mut first, mut last, mut converged) = (None, f64::INFINITY, false);
        for _ in 0..NEWTON_STEPS {
            interrupt();
            let (downhill, probabilities) = self.slope(&beta, &eta);
            let size = dot(&downhill, &downhill).sqrt();
            let nearness = size / *first.get_or_insert(size);
            let tolerance = f64::min(0.1, nearness).max(STEP_TOLERANCE);
            let diagonal = self.diagonal(&probabilities);
            let curved = |v: &Array1<f64>| self.curved(&probabilities, v);
            let limit = (1000 + 2 * beta.len()).min(10_000);
            let step = solve(
                &curved,
                downhill.clone(),
                &diagonal,
                tolerance,
                limit,
                interrupt,
            )
            .ok_or(TrainError::Overflow)?;
            let decrement = dot(&downhill, &step.x);
            let stalled = decrement <= STALLED * total && decrement >= last / 2.0;
            if decrement <= DECREMENT * total || stalled {
                beta += &step.x;
                converged = true;
                break;
            }
            last = decrement;
            let Some(there) = self.search(&mut beta, &mut eta, &step.x, objective, decrement)
            else {
                break;
            };
            objective = there;
        }
        let weights = beta.to_vec();
        match weights.iter().all(|weight| weight.is_finite()) {
            true => Ok(Multinomial {
                classes: self.classes,
                weights,
                converged,
            }),
            false => Err(TrainError::Overflow),
        }
    }

    /// Goes along a step as far as the objective falls as it should, halving the step if need be; None if it nowhere does.
    fn search(
        &self,
        beta: &mut Array1<f64>,
        eta: &mut Vec<f64>,
        step: &Array1<f64>,
        objective: f64,
        decrement: f64,
    ) -> Option<f64> {
        let along = self.times(step);
        let rounding = 1e-13 * objective.abs();
        let mut length = 1.0;
        for _ in 0..50 {
            let beta_there = &*beta + &(step * length);
            let eta_there = eta.iter().zip(&along);
            let eta_there: Vec<f64> = eta_there.map(|(eta, step)| eta + length * step).collect();
            let there = self.objective(&beta_there, &eta_there);
            if there <= objective - 0.25 * length * decrement + rounding {
                *beta = beta_there;
                *eta = eta_there;
                return Some(there);
            }
            length /= 2.0;
        }
        None
    }

    /// For each row its number in each class.
    fn times(&self, beta: &Array1<f64>) -> Vec<f64> {
        let beta = beta.as_slice().expect("made here, in one piece");
        let mut all = Vec::with_capacity(self.labels.len() * self.classes);
        for (columns, values) in self.design.iter() {
            for class in beta.chunks_exact(self.width) {
                let terms = columns.iter().zip(values);
                let terms = terms.map(|(&j, &x)| f64::from(x) * class[j as usize]);
                all.push(terms.fold(0.0, |sum, x| sum + x));
            }
        }
        all
    }

    /// Adds each row, times its number in each class, to `out`.
    fn add_transposed(&self, numbers: &[f64], mut out: Array1<f64>, square: bool) -> Array1<f64> {
        let all = out.as_slice_mut().expect("made here, in one piece");
        let rows = self.design.iter().zip(numbers.chunks_exact(self.classes));
        for ((columns, values), numbers) in rows {
            for (class, &number) in all.chunks_exact_mut(self.width).zip(numbers) {
                for (&j, &x) in columns.iter().zip(values) {
                    let x = f64::from(x);
                    class[j as usize] += if square { x * x * number } else { x * number };
                }
            }
        }
        out
    }

    fn objective(&self, beta: &Array1<f64>, eta: &[f64]) -> f64 {
        let rows = eta.chunks_exact(self.classes).zip(&self.labels);
        let losses = rows.zip(&self.weights).map(|((eta, &label), &weight)| {
            if weight == 0.0 {
                return 0.0;
            }
            let highest = eta.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let total: f64 = eta.iter().map(|&eta| libm::exp(eta - highest)).sum();
            weight * (highest + libm::log(total) - eta[label])
        });
        let losses: Vec<f64> = losses.collect();
        sum(&losses) + dot(&self.penalised(beta), beta) / 2.0
    }

    /// The negative gradient, and the probabilities of the classes in each row.
    fn slope(&self, beta: &Array1<f64>, eta: &[f64]) -> (Array1<f64>, Vec<f64>) {
        let mut probabilities = eta.to_vec();
        for row in probabilities.chunks_exact_mut(self.classes) {
            softmax(row, 1.0);
        }
        let mut rest = probabilities.clone();
        let rows = rest.chunks_exact_mut(self.classes).zip(&self.labels);
        for ((row, &label), &weight) in rows.zip(&self.weights) {
            for (class, p) in row.iter_mut().enumerate() {
                *p = weight * (f64::from(u8::from(class == label)) - *p);
            }
        }
        (
            self.add_transposed(&rest, -self.penalised(beta), false),
            probabilities,
        )
    }

    /// The second derivative times v.
    fn curved(&self, probabilities: &[f64], v: &Array1<f64>) -> Array1<f64> {
        let mut image = self.times(v);
        let rows = image.chunks_exact_mut(self.classes);
        let rows = rows.zip(probabilities.chunks_exact(self.classes));
        for ((row, probabilities), &weight) in rows.zip(&self.weights) {
            let terms = row.iter().zip(probabilities);
            let mean: f64 = terms.map(|(u, p)| u * p).sum();
            for (u, p) in row.iter_mut().zip(probabilities) {
                *u = weight * p * (*u - mean);
            }
        }
        self.add_transposed(&image, self.penalised(v), false)
    }

    fn diagonal(&self, probabilities: &[f64]) -> Array1<f64> {
        let mut variances = probabilities.to_vec();
        let rows = variances.chunks_exact_mut(self.classes);
        for (row, &weight) in rows.zip(&self.weights) {
            for p in row {
                *p = weight * *p * (1.0 - *p);
            }
        }
        let ones = Array1::from_elem(self.width * self.classes, 1.0);
        self.add_transposed(&variances, self.penalised(&ones), true)
    }

    /// l2 times v, but 0 for the intercepts.
    fn penalised(&self, v: &Array1<f64>) -> Array1<f64> {
        let mut out = v * self.l2;
        for class in 0..self.classes {
            out[class * self.width] = 0.0;
        }
        out
    }
}
