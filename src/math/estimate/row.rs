//! One decision as the columns of which an estimator takes the moments: first what it takes the mean of, then the weight.

use std::fmt;

/// Why a row cannot be used: the argument, its value, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowError {
    pub argument: &'static str,
    pub value: f64,
    pub must: &'static str,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RowError {
            argument,
            value,
            must,
        } = self;
        write!(f, "{argument} must be {must}, not {value}")
    }
}

impl std::error::Error for RowError {}

type Row<const K: usize> = Result<[f64; K], RowError>;

/// For IPS and SNIPS: w·r and w.
#[inline]
pub fn weighted([reward, logged, target]: [f64; 3]) -> Row<2> {
    let weight = weight(reward, logged, target)?;
    Ok([weight * reward, weight])
}

/// For clipped IPS: min(w, M)·r, min(w, M) and w.
#[inline]
pub fn clipped([reward, logged, target, most_weight]: [f64; 4]) -> Row<3> {
    let weight = weight(reward, logged, target)?;
    let used = weight.min(limit("most_weight", most_weight)?);
    Ok([used * reward, used, weight])
}

/// For the direct method: b.
#[inline]
pub fn modelled([q_target]: [f64; 1]) -> Row<1> {
    Ok([finite("q_target", q_target)?])
}

/// For DR: b + w·(r − q) and w.
#[inline]
pub fn doubly_robust([reward, logged, target, q_logged, q_target]: [f64; 5]) -> Row<2> {
    let [rest, weight, base] = split([reward, logged, target, q_logged, q_target])?;
    Ok([base + rest, weight])
}

/// For SNDR: w·(r − q), w and b.
#[inline]
pub fn split([reward, logged, target, q_logged, q_target]: [f64; 5]) -> Row<3> {
    let weight = weight(reward, logged, target)?;
    let (model, base) = (finite("q_logged", q_logged)?, finite("q_target", q_target)?);
    Ok([weight * (reward - model), weight, base])
}

/// For Switch-DR: b + u·(r − q), u and w, where u is w up to the threshold and 0 above.
#[inline]
pub fn switched([reward, logged, target, q_logged, q_target, threshold]: [f64; 6]) -> Row<3> {
    let threshold = limit("threshold", threshold)?;
    let use_up_to = |weight| if weight <= threshold { weight } else { 0.0 };
    limited([reward, logged, target, q_logged, q_target], use_up_to)
}

/// For DRos: b + u·(r − q), u and w, where u = λ·w / (w² + λ).
#[inline]
pub fn shrunk([reward, logged, target, q_logged, q_target, lambda]: [f64; 6]) -> Row<3> {
    let lambda = limit("lambda", lambda)?;
    let shrink = |weight: f64| {
        if weight == 0.0 || lambda == f64::INFINITY {
            weight
        } else {
            lambda * weight / (weight * weight + lambda)
        }
    };
    limited([reward, logged, target, q_logged, q_target], shrink)
}

#[inline]
fn limited(
    [reward, logged, target, q_logged, q_target]: [f64; 5],
    used: impl Fn(f64) -> f64,
) -> Row<3> {
    let weight = weight(reward, logged, target)?;
    let (model, base) = (finite("q_logged", q_logged)?, finite("q_target", q_target)?);
    let used = used(weight);
    Ok([base + used * (reward - model), used, weight])
}

/// A reward that can be used.
pub fn finite_reward(reward: f64) -> Result<f64, RowError> {
    finite("reward", reward)
}

#[inline]
fn weight(reward: f64, logged: f64, target: f64) -> Result<f64, RowError> {
    finite("reward", reward)?;
    if !(logged > 0.0 && logged <= 1.0) {
        return Err(RowError {
            argument: "logged",
            value: logged,
            must: "a probability above 0 and at most 1",
        });
    }
    if !(0.0..=1.0).contains(&target) {
        return Err(RowError {
            argument: "target",
            value: target,
            must: "a probability from 0 to 1",
        });
    }
    Ok(target / logged)
}

#[inline]
pub(super) fn finite(argument: &'static str, value: f64) -> Result<f64, RowError> {
    let must = "a finite number";
    match value.is_finite() {
        true => Ok(value),
        false => Err(RowError {
            argument,
            value,
            must,
        }),
    }
}

/// Infinity means no limit.
#[inline]
fn limit(argument: &'static str, value: f64) -> Result<f64, RowError> {
    let must = "a number from 0 up";
    match value >= 0.0 {
        true => Ok(value),
        false => Err(RowError {
            argument,
            value,
            must,
        }),
    }
}
