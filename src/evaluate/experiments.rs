//! The SQL functions that compare variants of experiments. What they compare is summed up in SQL.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use crate::error::{Error, OrRaise};
use crate::math::experiment::{
    Comparison, Correction, Levels, Moments, adjust, compare, detectable, sample_ratio, theta,
    times_as_many,
};
use crate::pg::call::Call;
use crate::pg::datum;

/// What to do about moments.
const MOMENTS: &str = "decide.experiment_moments answers what decide.compare_variants takes.";

/// compare_variants(baseline, variant, kind, alpha, tuning, power, effect): one row.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn compare_variants(
    baseline: Option<Vec<Option<f64>>>,
    variant: Option<Vec<Option<f64>>>,
    kind: Option<&str>,
    alpha: Option<f64>,
    tuning: Option<f64>,
    power: Option<f64>,
    effect: Option<f64>,
    call: FunctionCallInfo,
) {
    let levels = Levels {
        alpha: share(alpha, "alpha"),
        tuning: tuning
            .filter(|tuning| tuning.is_finite() && *tuning > 0.0)
            .unwrap_or_else(|| refuse("tuning must be a positive number", "5000 is GrowthBook's.")),
    };
    let power = share(power, "power");
    let (a, b) = (moments(baseline, "baseline"), moments(variant, "variant"));
    let (one, other) = match kind {
        Some("mean") => (a.mean(), b.mean()),
        Some("ratio") => (a.ratio(), b.ratio()),
        Some("adjusted") => {
            let theta = theta(&a, &b);
            (a.adjusted(theta), b.adjusted(theta))
        }
        _ => refuse("kind must be mean, ratio or adjusted", MOMENTS),
    };
    let (mean, baseline_mean) = (datum::float8(other.mean), datum::float8(one.mean));
    let nothing = (None, None, None);
    let found = compare(one, other, levels);
    let (low, high) = pair(found, |of| of.interval);
    let (always_low, always_high) = pair(found, |of| of.always);
    let lift = found.and_then(|of| of.lift);
    let (lift, lift_low, lift_high) = lift.map_or(nothing, |(lift, low, high)| {
        (datum::float8(lift), datum::float8(low), datum::float8(high))
    });
    let value =
        |of: fn(&Comparison) -> f64| found.as_ref().and_then(|found| datum::float8(of(found)));
    let least = found.map(|of| detectable(of.std_error, levels.alpha, power));
    let times = found.and_then(|of| {
        let sought = effect.map_or(of.difference, |effect| effect * one.unadjusted);
        let times = times_as_many(sought, of.std_error, levels.alpha, power);
        times.is_finite().then_some(times)
    });
    let call = Call::running(call);
    call.rows().push([
        mean.filter(|_| other.n > 0.0),
        baseline_mean.filter(|_| one.n > 0.0),
        value(|of| of.difference),
        value(|of| of.std_error),
        low,
        high,
        value(|of| of.p_value),
        lift,
        lift_low,
        lift_high,
        always_low,
        always_high,
        value(|of| of.always_p),
        least.and_then(datum::float8),
        times.and_then(datum::float8),
    ]);
}

fn pair(
    found: Option<Comparison>,
    of: impl FnOnce(&Comparison) -> (f64, f64),
) -> (datum::Arg<'static>, datum::Arg<'static>) {
    let ends = found.as_ref().map(of);
    let (low, high) = ends.unzip();
    (low.and_then(datum::float8), high.and_then(datum::float8))
}

/// sample_ratio_p(counts, weights).
#[pg_extern(sql = false)]
fn sample_ratio_p(counts: Vec<Option<i64>>, weights: Vec<Option<f64>>) -> f64 {
    let counts: Option<Vec<f64>> = counts
        .into_iter()
        .map(|count| count.filter(|&count| count >= 0).map(|count| count as f64))
        .collect();
    let weights: Option<Vec<f64>> = weights
        .into_iter()
        .map(|weight| weight.filter(|weight| weight.is_finite() && *weight >= 0.0))
        .collect();
    match (counts, weights) {
        (Some(counts), Some(weights)) if counts.len() == weights.len() => {
            sample_ratio(&counts, &weights)
        }
        _ => refuse(
            "counts and weights must be as many, none of them negative or null",
            "Pass both in the order of the variants.",
        ),
    }
}

/// adjust_p_values(p_values, correction): nulls stay.
#[pg_extern(sql = false)]
fn adjust_p_values(p_values: Vec<Option<f64>>, correction: &str) -> Vec<Option<f64>> {
    let Some(correction) = Correction::named(correction) else {
        let names = Correction::ALL.map(|(name, _)| name).join(", ");
        refuse(
            &format!("correction must be one of {names}"),
            "holm keeps the chance of any mistake, benjamini-hochberg the share of mistakes among what is found.",
        )
    };
    let known: Vec<f64> = p_values.iter().copied().flatten().collect();
    if known.iter().any(|p| !(0.0..=1.0).contains(p)) {
        refuse("p-values must be between 0 and 1", "Nulls are left out.");
    }
    let mut adjusted = adjust(&known, correction).into_iter();
    let in_place = p_values.iter().map(|p| p.and_then(|_| adjusted.next()));
    in_place.collect()
}

/// Nine finite numbers, of which the variances are not negative.
fn moments(numbers: Option<Vec<Option<f64>>>, name: &'static str) -> Moments {
    let numbers = numbers.ok_or(Error::Null(name)).or_raise();
    let all: Option<Vec<f64>> = numbers.into_iter().collect();
    let all = all.filter(|all| all.iter().all(|number| number.is_finite()));
    let nine: Option<[f64; 9]> = all.and_then(|all| all.try_into().ok());
    match nine {
        Some(nine) => Moments::from(nine),
        None => refuse(&format!("{name} must be nine finite numbers"), MOMENTS),
    }
}

/// A share between 0 and 1, without the ends.
fn share(value: Option<f64>, name: &str) -> f64 {
    value
        .filter(|value| *value > 0.0 && *value < 1.0)
        .unwrap_or_else(|| {
            refuse(
                &format!("{name} must be between 0 and 1"),
                "0 and 1 themselves are none.",
            )
        })
}

#[cold]
fn refuse(what: &str, todo: &'static str) -> ! {
    Error::Evaluation(what.to_owned(), todo).raise()
}
