//! Arithmetic: everything that is a formula, and nothing that is a table.
//!
//! This room imports nothing of Postgres, does no I/O, reads no clock and no source of entropy: time, seeds and data
//! come in as arguments. It has no `unsafe`.
//!
//! | file | what |
//! | --- | --- |
//! | `decay` | counts and sums that fade with a half-life, whatever the order in which events arrive |
//! | `delay` | how long outcomes take, fitted from decisions that may yet have one |
//! | `aggregate` | what a feature keeps of its events: counts, sums, means, rates, windows, first and last, distinct |
//! | `keyed` | such features kept for each key: a user's affinity to categories, brands, items |
//! | `random` | the stream of draws that belongs to a seed |
//! | `choice` | selection rules, their exact probabilities, and slates drawn without repetition |
//! | `model` | linear and logistic models over products of user, context and action facts |
//! | `normal` | the normal distribution from a table, for quadrature |
//! | `scorer` | a model compiled for a fixed list of actions, for the path of a decision |
//! | `train` | ridge and L2-logistic regression, encodings learned from data, metrics |
//! | `estimate` | off-policy estimators with confidence intervals |
//! | `uplift` | how well scores find those whom a treatment moves |
//! | `assignment` | which variation of an experiment a user gets |
//! | `experiment` | what an experiment has shown: differences with intervals, CUPED, ratios, sample ratio mismatch |
//! | `pacing` | budgets spread over their windows: curves, the gate, the price of a unit, forecasts of traffic |
//! | `hash` | small stable hashes of text |
//! | `identifier` | UUIDs that say when a decision was made |
//! | `ledger` | what was taken from a cap, over calendar and sliding windows, and reserved |
//! | `runs` | ascending numbers in little space |
//! | `slab` | long arrays that an image holds for many processes |
//!
//! # The same bits everywhere
//! A decision is replayed bit for bit, on another machine and by another build. So everything on its path
//! - uses only IEEE 754 addition, subtraction, multiplication, division and square root, none of them fused;
//! - takes `exp`, `log` and `erfc` from the `libm` crate, never from the platform (2^−x for fading is its own, in `decay`);
//! - sums in an order that is written down in the code (see [`sum`]), never in one that a compiler or a thread chose.

pub mod aggregate;
pub mod assignment;
pub mod choice;
pub mod decay;
pub mod delay;
pub mod estimate;
pub mod experiment;
pub mod hash;
pub mod identifier;
pub mod keyed;
pub mod ledger;
pub mod model;
pub mod normal;
pub mod pacing;
pub mod random;
pub mod runs;
pub mod scorer;
pub mod slab;
pub mod train;
pub mod uplift;

/// The sum of `values`, always in the same order: eight running sums, the i-th over the positions that leave i when
/// divided by 8, added pairwise at the end. Eight independent chains are as fast as the hardware adds; and their order
/// being fixed here, the result has the same bits on every machine. An empty slice sums to 0.
pub fn sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

/// The logistic function 1 / (1 + e^−x), computed on the side where e^ cannot overflow. NaN gives NaN.
pub fn logistic(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

/// `x` as the nearest f32; what is beyond its range becomes its largest or smallest finite number. NaN stays NaN.
pub fn to_f32(x: f64) -> f32 {
    x.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_follows_its_stated_order() {
        assert_eq!(sum(&[]), 0.0);
        assert_eq!(sum(&[0.1, 0.2, 0.3]), (0.1 + 0.2) + 0.3);
        let values: Vec<f64> = (1..=20).map(|i| 1.0 / f64::from(i)).collect();
        let lane = |i: usize| values.iter().skip(i).step_by(8).fold(0.0, |s, v| s + v);
        let stated = ((lane(0) + lane(4)) + (lane(1) + lane(5)))
            + ((lane(2) + lane(6)) + (lane(3) + lane(7)));
        assert_eq!(sum(&values).to_bits(), stated.to_bits());
    }

    #[test]
    fn logistic_is_symmetric_and_safe_at_both_ends() {
        assert_eq!(logistic(0.0), 0.5);
        assert_eq!(logistic(f64::INFINITY), 1.0);
        assert_eq!(logistic(f64::NEG_INFINITY), 0.0);
        assert_eq!(logistic(-745.0), libm::exp(-745.0));
        for x in [0.1, 1.0, 7.5, 30.0] {
            assert!((logistic(x) + logistic(-x) - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn f32_conversion_saturates() {
        assert_eq!(to_f32(1e300), f32::MAX);
        assert_eq!(to_f32(-1e300), f32::MIN);
        assert_eq!(to_f32(0.1), 0.1f32);
        assert!(to_f32(f64::NAN).is_nan());
    }
}
