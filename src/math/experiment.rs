//! What an experiment has shown: differences of means and ratios with their intervals, fixed and always valid, adjusted by a
//! covariate; whether units fell to variants as they should have; and corrections for many comparisons.
//!
//! Formulas are those of gbstats, GrowthBook's statistics: Welch's t-test, the delta method for ratios and for relative
//! differences, CUPED with one coefficient for both variants, and the asymptotic confidence sequence of Waudby-Smith et al.
//! (2023, equations 9, 155 and 161) with GrowthBook's tuning parameter.

mod correction;
mod special;

pub use correction::{Correction, adjust};
use special::{chi_square_beyond, normal_beyond, normal_quantile, t_beyond, t_quantile};

/// What is known of the units of a variant: how many, and moments of outcome, denominator and covariate. Variances and
/// covariances have n − 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    pub n: f64,
    pub outcome: f64,
    pub outcome_variance: f64,
    pub denominator: f64,
    pub denominator_variance: f64,
    pub outcome_denominator: f64,
    pub covariate: f64,
    pub covariate_variance: f64,
    pub outcome_covariate: f64,
}

impl From<[f64; 9]> for Moments {
    /// In the order of the fields.
    fn from(of: [f64; 9]) -> Moments {
        let [
            n,
            outcome,
            outcome_variance,
            denominator,
            denominator_variance,
            outcome_denominator,
            covariate,
            covariate_variance,
            outcome_covariate,
        ] = of;
        Moments {
            n,
            outcome,
            outcome_variance,
            denominator,
            denominator_variance,
            outcome_denominator,
            covariate,
            covariate_variance,
            outcome_covariate,
        }
    }
}

/// A mean, or a ratio of means, whose variance is that of a single unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistic {
    pub n: f64,
    pub mean: f64,
    /// Without the covariate.
    pub unadjusted: f64,
    pub variance: f64,
}

impl Moments {
    /// The mean of the outcome.
    pub fn mean(&self) -> Statistic {
        Statistic {
            n: self.n,
            mean: self.outcome,
            unadjusted: self.outcome,
            variance: self.outcome_variance,
        }
    }

    /// Outcome by denominator, by the delta method: with decisions as the denominator it is the mean of a decision, whose error
    /// knows that decisions of one user are not independent.
    pub fn ratio(&self) -> Statistic {
        let (m, d) = (self.outcome, self.denominator);
        if d == 0.0 {
            return Statistic {
                n: self.n,
                mean: 0.0,
                unadjusted: 0.0,
                variance: 0.0,
            };
        }
        let variance = self.outcome_variance / (d * d)
            - 2.0 * self.outcome_denominator * m / (d * d * d)
            + m * m * self.denominator_variance / (d * d * d * d);
        Statistic {
            n: self.n,
            mean: m / d,
            unadjusted: m / d,
            variance: variance.max(0.0),
        }
    }

    /// The mean less what the covariate says of it.
    pub fn adjusted(&self, theta: f64) -> Statistic {
        let variance = self.outcome_variance + theta * theta * self.covariate_variance
            - 2.0 * theta * self.outcome_covariate;
        Statistic {
            n: self.n,
            mean: self.outcome - theta * self.covariate,
            unadjusted: self.outcome,
            variance: variance.max(0.0),
        }
    }
}

/// By how much the outcome moves with the covariate, over the units of both variants together; 0 where one of them is constant.
pub fn theta(a: &Moments, b: &Moments) -> f64 {
    let n = a.n + b.n;
    let between = a.n * b.n / n;
    let pooled = |one: f64, other: f64, apart: f64| {
        ((a.n - 1.0) * one + (b.n - 1.0) * other + between * apart) / (n - 1.0)
    };
    let x = b.covariate - a.covariate;
    let y = b.outcome - a.outcome;
    let variance = pooled(a.covariate_variance, b.covariate_variance, x * x);
    let of_outcome = pooled(a.outcome_variance, b.outcome_variance, y * y);
    let together = pooled(a.outcome_covariate, b.outcome_covariate, x * y);
    match variance > 0.0 && of_outcome > 0.0 {
        true => together / variance,
        false => 0.0,
    }
}

/// How a variant differs from its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    pub difference: f64,
    pub std_error: f64,
    /// Welch's interval and p-value.
    pub interval: (f64, f64),
    pub p_value: f64,
    /// Relative to the baseline; None where that is 0.
    pub lift: Option<(f64, f64, f64)>,
    /// Valid at every look.
    pub always: (f64, f64),
    pub always_p: f64,
}

/// How sure an interval is to be, and at how many units the always-valid one is to be narrowest.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    pub alpha: f64,
    pub tuning: f64,
}

/// Compares `b` with the baseline `a`; None where a variant has fewer than two units, or nothing varies.
pub fn compare(a: Statistic, b: Statistic, levels: Levels) -> Option<Comparison> {
    if a.n < 2.0 || b.n < 2.0 {
        return None;
    }
    let (of_a, of_b) = (a.variance / a.n, b.variance / b.n);
    let variance = of_a + of_b;
    if variance.is_nan() || variance <= 0.0 {
        return None;
    }
    let difference = b.mean - a.mean;
    let freedom = variance * variance / (of_b * of_b / (b.n - 1.0) + of_a * of_a / (a.n - 1.0));
    let std_error = variance.sqrt();
    let quantile = t_quantile(levels.alpha, freedom);
    let around = |value: f64, width: f64| (value - width, value + width);
    let base = a.unadjusted;
    let lift = (base != 0.0).then(|| {
        let lift = difference / base;
        let scale = b.unadjusted / base;
        let error = (of_b + of_a * scale * scale).sqrt() / base.abs();
        let (low, high) = around(lift, quantile * error);
        (lift, low, high)
    });
    let n = a.n + b.n;
    let rho_squared = rho_squared(levels);
    let scale = n * rho_squared + 1.0;
    let width = (variance * n).sqrt()
        * (2.0 * scale * libm::log(scale.sqrt() / levels.alpha) / (n * n * rho_squared)).sqrt();
    let evidence =
        libm::exp(rho_squared * (difference * difference * n / variance) / (2.0 * scale))
            / scale.sqrt();
    Some(Comparison {
        difference,
        std_error,
        interval: around(difference, quantile * std_error),
        p_value: t_beyond(difference.abs() / std_error, freedom),
        lift,
        always: around(difference, width),
        always_p: (1.0 / evidence).min(1.0),
    })
}

fn rho_squared(Levels { alpha, tuning }: Levels) -> f64 {
    let twice = -2.0 * libm::log(alpha);
    (twice + libm::log(twice + 1.0)) / tuning
}

/// The p-value of counts of units under these weights, by χ²: whether there is a sample ratio mismatch. Variants without a weight
/// have no say, but for the degrees of freedom, as gbstats has it.
pub fn sample_ratio(counts: &[f64], weights: &[f64]) -> f64 {
    let (all, weight): (f64, f64) = (counts.iter().sum(), weights.iter().sum());
    if all <= 0.0 || counts.len() < 2 {
        return 1.0;
    }
    let terms = counts
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight > 0.0);
    let square = terms.map(|(count, share)| {
        let expected = share / weight * all;
        (count - expected) * (count - expected) / expected
    });
    chi_square_beyond(square.sum(), counts.len() as f64 - 1.0)
}

/// The smallest difference that would be found with that power, at that error.
pub fn detectable(std_error: f64, alpha: f64, power: f64) -> f64 {
    (normal_quantile(alpha / 2.0) + normal_quantile(1.0 - power)) * std_error
}

/// How many times as many units it takes to find a difference with that power.
pub fn times_as_many(difference: f64, std_error: f64, alpha: f64, power: f64) -> f64 {
    let ratio = detectable(std_error, alpha, power) / difference;
    ratio * ratio
}

/// The power to find a difference at that error: the chance that a two-sided test rejects on its side.
pub fn power_of(difference: f64, std_error: f64, alpha: f64) -> f64 {
    normal_beyond(normal_quantile(alpha / 2.0) - difference.abs() / std_error)
}

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;
