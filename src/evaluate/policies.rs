//! Policies judged from traces: what they would have earned, and by how much two of them differ.

use pgrx::pg_sys::Oid;

use super::cohorts::Cohorts;
use super::log::Log;
use crate::decide::{Judge, Logged};
use crate::error::Error;
use crate::math::estimate::difference::Pairs;
use crate::math::estimate::{DecisionRow, Estimate, Estimates, Named, RowError, WeightLimits};

/// The name under which the log's own value stands.
const LOGGED: &str = "logged";

/// What an estimator says of a cohort.
pub struct Finding<'a> {
    pub cohort: Option<&'a str>,
    pub estimator: &'static str,
    pub estimate: Estimate,
}

/// A warning with what is to be said of decisions whose probabilities were estimated.
fn with_estimated(warning: Option<String>, estimated: u64) -> Option<String> {
    let own = (estimated > 0)
        .then(|| format!("the logged probabilities of {estimated} decisions were estimated"));
    let warnings: Vec<String> = warning.into_iter().chain(own).collect();
    (!warnings.is_empty()).then(|| warnings.join("; "))
}

/// Judges a policy on a log, and hands on what each estimator says of each cohort.
pub fn evaluate(
    log: &Log<'_>,
    judge: &mut Judge,
    limits: WeightLimits,
    caller: Oid,
    mut then: impl FnMut(Finding<'_>),
) -> Result<(), Error> {
    let is_modelled = judge.expects_rewards();
    let mut cohorts = Cohorts::new();
    log.each(caller, |logged: &Logged| {
        let slots = judge.judge(logged)?;
        let new = || (Estimates::new(limits, is_modelled), 0);
        let (estimates, estimated) = cohorts.of(logged.cohort(), new)?;
        estimates.push(slots).map_err(unusable)?;
        *estimated += u64::from(logged.is_estimated());
        Ok(())
    })?;
    for (cohort, (estimates, estimated)) in cohorts.each() {
        for (estimator, estimate) in estimates.estimates() {
            let mut estimate = estimate.map_err(|_| Error::OutOfRange)?;
            if estimator != LOGGED {
                estimate.warning = with_estimated(estimate.warning, *estimated);
            }
            then(Finding {
                cohort,
                estimator,
                estimate,
            });
        }
    }
    Ok(())
}

/// By how much two policies differ, by an estimator.
pub struct Difference<'a> {
    pub cohort: Option<&'a str>,
    pub estimator: &'static str,
    /// What each of the two would have earned.
    pub values: [Option<f64>; 2],
    pub difference: Estimate,
    /// Why the interval should not be relied upon.
    pub warning: Option<String>,
}

/// Two policies on the same decisions.
struct Both {
    each: [Estimates; 2],
    whole: Pairs,
    clipped: Pairs,
    by_slot: Pairs,
    doubly_robust: Pairs,
    /// How many decisions have probabilities that were estimated.
    estimated: u64,
}

/// Compares a policy with another, or with the log itself, and hands on what each estimator says of each cohort.
pub fn compare(
    log: &Log<'_>,
    policy: &mut Judge,
    mut baseline: Option<&mut Judge>,
    limits: WeightLimits,
    caller: Oid,
    mut then: impl FnMut(Difference<'_>),
) -> Result<(), Error> {
    let of_baseline = baseline.as_ref().is_none_or(|of| of.expects_rewards());
    let is_modelled = policy.expects_rewards() && of_baseline;
    let new = || Both {
        each: [
            Estimates::new(limits, is_modelled),
            Estimates::new(limits, is_modelled),
        ],
        whole: Pairs::default(),
        clipped: Pairs::default(),
        by_slot: Pairs::default(),
        doubly_robust: Pairs::default(),
        estimated: 0,
    };
    let mut cohorts = Cohorts::new();
    log.each(caller, |logged: &Logged| {
        let both = cohorts.of(logged.cohort(), new)?;
        both.estimated += u64::from(logged.is_estimated());
        let slots = policy.judge(logged)?;
        let one = both.each[0].push(slots).map_err(unusable)?;
        let other = match &mut baseline {
            Some(baseline) => {
                let slots = baseline.judge(logged)?;
                both.each[1].push(slots).map_err(unusable)?
            }
            None => DecisionRow::of_log(one.reward),
        };
        let add = |pairs: &mut Pairs, value: &dyn Fn(&DecisionRow) -> f64| {
            let side = |row: &DecisionRow| [value(row), row.weight];
            pairs.push(side(&one), side(&other));
        };
        add(&mut both.whole, &|row| row.weight * row.reward);
        add(&mut both.clipped, &|row| {
            row.weight.min(limits.most_weight) * row.reward
        });
        add(&mut both.by_slot, &|row| row.by_slot);
        if is_modelled {
            add(&mut both.doubly_robust, &|row| row.doubly_robust);
        }
        Ok(())
    })?;
    for (cohort, both) in cohorts.each() {
        let own = both.each[0].estimates();
        let others = both.each[1].estimates();
        for &(estimator, ref estimate) in own.iter().skip(1) {
            let difference = match estimator {
                "ips" => both.whole.of_means(),
                "snips" => both.whole.of_ratios(),
                "cips" => both.clipped.of_means(),
                "rips" => both.by_slot.of_means(),
                "dr" | "cascade_dr" => both.doubly_robust.of_means(),
                // of these only the values of each are known
                _ => None,
            };
            let Some(difference) = difference else {
                continue;
            };
            let named = |found: &[Named], name: &str| {
                let mut found = found.iter();
                found.find(|(of, _)| *of == name).map(|(_, of)| of.clone())
            };
            let other = match baseline.is_some() {
                true => named(&others, estimator),
                false => named(&own, LOGGED),
            };
            let one = estimate.clone().map_err(|_| Error::OutOfRange)?;
            let other = other.transpose().map_err(|_| Error::OutOfRange)?;
            then(Difference {
                cohort,
                estimator,
                values: [one.value, other.as_ref().and_then(|of| of.value)],
                difference: difference.map_err(|_| Error::OutOfRange)?,
                warning: with_estimated(warning(&one, other.as_ref()), both.estimated),
            });
        }
    }
    Ok(())
}

fn warning(policy: &Estimate, baseline: Option<&Estimate>) -> Option<String> {
    let of = |name: &str, estimate: &Estimate| {
        let warning = estimate.warning.as_ref();
        warning.map(|warning| format!("{name}: {warning}"))
    };
    let baseline = baseline.and_then(|estimate| of("baseline", estimate));
    let warnings = of("policy", policy).into_iter().chain(baseline);
    let warnings: Vec<String> = warnings.collect();
    (!warnings.is_empty()).then(|| warnings.join("; "))
}

pub fn unusable(error: RowError) -> Error {
    Error::Evaluation(
        error.to_string(),
        "Leave the decision out by \"from\", \"to\" or an outcome of another type, or correct its outcome.",
    )
}
