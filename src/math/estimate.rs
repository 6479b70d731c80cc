//! What another policy would have earned, from the decisions of the one that was in force.
//!
//! For each decision there is the reward r, the probability p₀ that the policy in force gave to the action that it chose,
//! and the probability p₁ that the other policy gives to the same action. With the importance weight w = p₁/p₀ over n decisions:
//!
//! | estimator | value V | standard error | source |
//! | --- | --- | --- | --- |
//! | logged | Σr / n | √(Σ(r − V)² / (n·(n − 1))) | the sample mean: what the policy in force did earn |
//! | IPS | Σw·r / n | √(Σ(w·r − V)² / (n·(n − 1))) | D. G. Horvitz, D. J. Thompson, 1952 |
//! | SNIPS | Σw·r / Σw | √(Σw²·(r − V)² / (n·(n − 1))) / (Σw / n) | A. Swaminathan, T. Joachims, 2015; the error by the delta method for a ratio of means (A. B. Owen, "Monte Carlo theory, methods and examples", section 9.2) |
//!
//! Intervals are V ± z · standard error, by the normal approximation. They are too narrow when few decisions carry most
//! of the weight: see [`OffPolicy::effective_rows`].

use serde::{Deserialize, Serialize};
use std::fmt;

/// The moments that the estimators need, kept so that they can be added to one at a time and merged. Sums of squares
/// are about the means (B. P. Welford, 1962; T. F. Chan, G. H. Golub, R. J. LeVeque, 1979), so that nothing is lost
/// where rewards are large and vary little. The order of rows and merges matters for rounding alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OffPolicy {
    rows: u64,
    /// Means of r, w·r and w.
    mean: [f64; 3],
    /// Sums of squares about the means, of r, w·r and w.
    squares: [f64; 3],
    /// The sum of products about the means, of w·r and w.
    product: f64,
    max_weight: f64,
}

/// An estimated mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate, in the unit of the reward for each decision.
    pub value: f64,
    /// Its standard error, in the same unit; infinite when there is but one row.
    pub standard_error: f64,
}

/// Why a row cannot be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EstimateError {
    /// The reward is NaN or infinite.
    Reward(f64),
    /// The logged probability is not above 0 and at most 1.
    Logged(f64),
    /// The other policy's probability is not in [0, 1].
    Target(f64),
}

impl fmt::Display for EstimateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EstimateError::Reward(x) => write!(f, "a reward must be a finite number, not {x}"),
            EstimateError::Logged(x) => write!(
                f,
                "a logged probability must be above 0 and at most 1, not {x}"
            ),
            EstimateError::Target(x) => write!(f, "a probability must be between 0 and 1, not {x}"),
        }
    }
}

impl std::error::Error for EstimateError {}

impl OffPolicy {
    /// No rows.
    pub fn new() -> OffPolicy {
        OffPolicy::default()
    }

    /// Adds a decision: its reward, the probability with which it was chosen, and that which the other policy gives it.
    pub fn push(&mut self, reward: f64, logged_p: f64, target_p: f64) -> Result<(), EstimateError> {
        if !reward.is_finite() {
            return Err(EstimateError::Reward(reward));
        }
        if !(logged_p > 0.0 && logged_p <= 1.0) {
            return Err(EstimateError::Logged(logged_p));
        }
        if !(0.0..=1.0).contains(&target_p) {
            return Err(EstimateError::Target(target_p));
        }
        let weight = target_p / logged_p;
        let mean = [reward, weight * reward, weight];
        self.merge(&OffPolicy {
            rows: 1,
            mean,
            max_weight: weight,
            ..OffPolicy::default()
        });
        Ok(())
    }

    /// Adds the rows of another accumulator.
    pub fn merge(&mut self, other: &OffPolicy) {
        if other.rows == 0 {
            return;
        }
        let (n, m) = (self.rows as f64, other.rows as f64);
        let share = m / (n + m);
        let apart: [f64; 3] = std::array::from_fn(|i| other.mean[i] - self.mean[i]);
        for (i, apart) in apart.iter().enumerate() {
            self.mean[i] += apart * share;
            self.squares[i] += other.squares[i] + apart * apart * (n * share);
        }
        self.product += other.product + apart[1] * apart[2] * (n * share);
        self.max_weight = self.max_weight.max(other.max_weight);
        self.rows += other.rows;
    }

    /// The number of decisions.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The mean importance weight: near 1 if the logged probabilities are true and cover the other policy.
    pub fn mean_weight(&self) -> Option<f64> {
        (self.rows > 0).then_some(self.mean[2])
    }

    /// The largest importance weight.
    pub fn max_weight(&self) -> Option<f64> {
        (self.rows > 0).then_some(self.max_weight)
    }

    /// (Σw)² / Σw²: as many equally weighted decisions would tell as much (L. Kish, 1965). None without any weight.
    pub fn effective_rows(&self) -> Option<f64> {
        let n = self.rows as f64;
        let [_, _, w] = self.mean;
        (w > 0.0).then(|| n * w * w / (w * w + self.squares[2] / n))
    }

    /// What the policy in force earned for each decision. None without rows.
    pub fn logged(&self) -> Option<Estimate> {
        (self.rows > 0).then(|| self.estimate(self.mean[0], self.squares[0]))
    }

    /// What the other policy would have earned for each decision, by inverse propensity scoring. Unbiased where the
    /// policy in force gave each choice of the other a chance. None without rows.
    pub fn ips(&self) -> Option<Estimate> {
        (self.rows > 0).then(|| self.estimate(self.mean[1], self.squares[1]))
    }

    /// The same, self-normalised: a little biased in small samples, and usually much less noisy. None if all weights
    /// are 0, that is, if the other policy would have chosen nothing of what was logged.
    pub fn snips(&self) -> Option<Estimate> {
        let [_, earned, weight] = self.mean;
        (weight > 0.0).then(|| {
            let value = earned / weight;
            let [_, earned2, weight2] = self.squares;
            // Σ(w·r − V·w)², whose mean is 0 by the choice of V
            let residuals = earned2 - 2.0 * value * self.product + value * value * weight2;
            let Estimate { standard_error, .. } = self.estimate(value, residuals.max(0.0));
            Estimate {
                value,
                standard_error: standard_error / weight,
            }
        })
    }

    fn estimate(&self, value: f64, squares: f64) -> Estimate {
        let n = self.rows as f64;
        let standard_error = if self.rows > 1 {
            (squares / (n * (n - 1.0))).sqrt()
        } else {
            f64::INFINITY
        };
        Estimate {
            value,
            standard_error,
        }
    }
}

impl Estimate {
    /// The interval that covers the truth with probability `level` (0.95, say), if the estimate is normally
    /// distributed about it. None if the level is not between 0 and 1.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let reach = z(level)? * self.standard_error;
        Some((self.value - reach, self.value + reach))
    }
}

/// How many standard deviations to both sides of its mean a normal distribution has the share `level`: 1.96 for 0.95.
/// The z with erfc(z/√2) = 1 − level, by bisection. None if the level is not between 0 and 1.
pub fn z(level: f64) -> Option<f64> {
    if !(level > 0.0 && level < 1.0) {
        return None;
    }
    let (mut low, mut high) = (0.0, 40.0);
    loop {
        let middle = (low + high) / 2.0;
        if middle <= low || middle >= high {
            return Some(middle);
        }
        if libm::erfc(middle * std::f64::consts::FRAC_1_SQRT_2) > 1.0 - level {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests;
