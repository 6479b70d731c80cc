//! The SQL functions that judge policies from traces.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::calibration::Predictor;
use super::estimators;
use super::log::Log;
use super::policies::{self, Difference, Finding};
use super::propensities::{self, Estimated, Question};
use super::support;
use crate::decide::Judge;
use crate::error::{Error, OrRaise};
use crate::govern::acting::{as_owner, as_reader};
use crate::govern::waiting::Waiting;
use crate::math::estimate::WeightLimits;
use crate::pg::call::Call;
use crate::pg::{datum, identity};
use crate::policy::Target;

/// evaluate_policy(surface, policy, …): a row for each cohort and estimator.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn evaluate_draft(
    surface: Option<&str>,
    policy: Option<&str>,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    outcome: Option<&str>,
    cohort: Option<&str>,
    reward_model: Option<&str>,
    within: Option<Interval>,
    most_weight: Option<f64>,
    threshold: Option<f64>,
    lambda: Option<f64>,
    call: FunctionCallInfo,
) {
    let log = log(surface, from, to, outcome, cohort, within);
    let limits = limits(most_weight, threshold, lambda);
    let policy = need(policy, "policy");
    evaluate(call, &log, reward_model, limits, || {
        Target::draft(policy, log.surface)
    });
}

/// evaluate_policy(surface, bundle, …): the same.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn evaluate_bundle(
    surface: Option<&str>,
    bundle: Option<i64>,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    outcome: Option<&str>,
    cohort: Option<&str>,
    reward_model: Option<&str>,
    within: Option<Interval>,
    most_weight: Option<f64>,
    threshold: Option<f64>,
    lambda: Option<f64>,
    call: FunctionCallInfo,
) {
    let log = log(surface, from, to, outcome, cohort, within);
    let limits = limits(most_weight, threshold, lambda);
    let bundle = need(bundle, "bundle");
    evaluate(call, &log, reward_model, limits, || {
        Target::published(bundle, log.surface)
    });
}

fn evaluate(
    call: FunctionCallInfo,
    log: &Log<'_>,
    reward_model: Option<&str>,
    limits: WeightLimits,
    target: impl FnOnce() -> Result<Target, Error>,
) {
    let call = Call::running(call);
    let mut rows = call.rows();
    let owner = as_reader(&call, "evaluate_policy");
    let evaluate = || {
        let mut judge = Judge::new(log.surface, target()?, reward_model)?;
        policies::evaluate(log, &mut judge, limits, owner.caller(), |finding| {
            let Finding {
                cohort,
                estimator,
                estimate,
            } = finding;
            let [value, std_error, low, high, n, ess, largest, mean, warning] =
                estimators::columns(&estimate);
            rows.push([
                datum::optional_text(cohort),
                datum::text(estimator),
                value,
                std_error,
                low,
                high,
                n,
                ess,
                largest,
                mean,
                warning,
            ]);
        })
    };
    Waiting::of_verb("evaluate_policy").run(evaluate).or_raise();
}

/// compare_policies(surface, policy, baseline, …): a row for each cohort and estimator. A name is that of a row of
/// decide.policy, a number that of a bundle.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn compare_policies(
    surface: Option<&str>,
    policy: Option<&str>,
    baseline: Option<&str>,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    outcome: Option<&str>,
    cohort: Option<&str>,
    reward_model: Option<&str>,
    within: Option<Interval>,
    most_weight: Option<f64>,
    bundle: Option<i64>,
    baseline_bundle: Option<i64>,
    call: FunctionCallInfo,
) {
    let log = log(surface, from, to, outcome, cohort, within);
    let limits = limits(most_weight, Some(f64::INFINITY), Some(f64::INFINITY));
    let call = Call::running(call);
    let mut rows = call.rows();
    let owner = as_reader(&call, "compare_policies");
    let judge = |policy: Option<&str>, bundle: Option<i64>| {
        let target = match (policy, bundle) {
            (Some(_), Some(_)) => refuse("give a policy or a bundle, not both".into()),
            (Some(policy), None) => Target::draft(policy, log.surface)?,
            (None, Some(bundle)) => Target::published(bundle, log.surface)?,
            (None, None) => return Ok(None),
        };
        Judge::new(log.surface, target, reward_model).map(Some)
    };
    let compare = || {
        let policy = judge(policy, bundle)?;
        let mut policy = policy.ok_or(Error::Null("policy"))?;
        let mut baseline = judge(baseline, baseline_bundle)?;
        let caller = owner.caller();
        let then = |found: Difference<'_>| {
            let Difference {
                cohort,
                estimator,
                values: [policy_value, baseline_value],
                difference,
                warning,
            } = found;
            let (low, high) = difference.interval().unzip();
            let number = |value: Option<f64>| value.and_then(datum::float8);
            rows.push([
                datum::optional_text(cohort),
                datum::text(estimator),
                number(policy_value),
                number(baseline_value),
                number(difference.value),
                number(difference.standard_error),
                number(low),
                number(high),
                datum::int8(difference.rows as i64),
                datum::optional_text(warning.as_deref()),
            ]);
        };
        policies::compare(&log, &mut policy, baseline.as_mut(), limits, caller, then)
    };
    Waiting::of_verb("compare_policies").run(compare).or_raise();
}

/// exploration_value(surface, …): a row for each cohort and action.
#[pg_extern(sql = false)]
fn exploration_value(
    surface: Option<&str>,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    outcome: Option<&str>,
    cohort: Option<&str>,
    within: Option<Interval>,
    call: FunctionCallInfo,
) {
    let log = log(surface, from, to, outcome, cohort, within);
    let call = Call::running(call);
    let mut rows = call.rows();
    let owner = as_reader(&call, "exploration_value");
    let explore = || {
        support::explore(&log, owner.caller(), |cohort, action, support| {
            let estimate = support.estimate()?;
            let estimate = estimate.as_ref();
            let interval = estimate.and_then(|estimate| estimate.interval());
            let (low, high) = interval.unzip();
            let number = |value: Option<f64>| value.and_then(datum::float8);
            let least = Some(support.least).filter(|least| least.is_finite());
            rows.push([
                datum::optional_text(cohort),
                datum::text(action),
                datum::int8(support.candidate as i64),
                datum::int8(support.without_chance as i64),
                datum::int8(support.shown as i64),
                datum::float8(support.expected),
                number(least),
                number(estimate.and_then(|of| of.value)),
                number(estimate.and_then(|of| of.value.and(of.standard_error))),
                number(low),
                number(high),
                number(
                    estimate
                        .and_then(|of| of.weights)
                        .map(|weights| weights.effective),
                ),
                datum::optional_text(estimate.and_then(|of| of.warning.as_deref())),
            ]);
            Ok(())
        })
    };
    Waiting::of_verb("exploration_value")
        .run(explore)
        .or_raise();
}

/// predictions(surface, model, …): a row for each slot that a policy has filled.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn predictions(
    surface: Option<&str>,
    model: Option<&str>,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    outcome: Option<&str>,
    cohort: Option<&str>,
    within: Option<Interval>,
    call: FunctionCallInfo,
) {
    let log = log(surface, from, to, outcome, cohort, within);
    let model = need(model, "model");
    let call = Call::running(call);
    let mut rows = call.rows();
    let owner = as_reader(&call, "predictions");
    let predict = || {
        let mut predictor = Predictor::of(model, log.surface)?;
        predictor.each(&log, owner.caller(), |of| {
            rows.push([
                datum::uuid(of.decision_id),
                datum::timestamp(of.decided_at.0),
                datum::int4(of.slot),
                datum::text(of.action),
                datum::float8(of.propensity),
                datum::float8(of.predicted),
                of.baseline.and_then(datum::float8),
                datum::float8(of.reward),
                datum::float8(of.label),
                datum::optional_text(of.cohort),
            ]);
        })
    };
    Waiting::of_verb("predictions").run(predict).or_raise();
}

/// calibrate(model, surface, …): the number of the new version.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn calibrate(
    model: Option<&str>,
    surface: Option<&str>,
    outcome: Option<&str>,
    decided_from: Option<TimestampWithTimeZone>,
    decided_to: Option<TimestampWithTimeZone>,
    within: Option<Interval>,
    most_slope: Option<f64>,
    call: FunctionCallInfo,
) -> i32 {
    let log = log(surface, decided_from, decided_to, outcome, None, within);
    let model = need(model, "model");
    let most_slope = need(most_slope, "most_slope");
    if !(most_slope >= 1.0 && most_slope.is_finite()) {
        let what = "most_slope must be a number from 1 up".into();
        Error::Evaluation(what, "See \\df+ decide.calibrate.").raise();
    }
    let call = Call::running(call);
    let owner = as_owner(&call, "calibrate");
    let caller = owner.caller_name();
    // No expression of the caller's is evaluated: the log is read with the rights of the owner, as train() does.
    let reader = identity::current();
    let calibrate = || {
        let mut predictor = Predictor::of(model, log.surface)?;
        predictor.calibrate(&log, most_slope, (reader, &caller))
    };
    Waiting::of_verb("calibrate").run(calibrate).or_raise()
}

/// estimate_propensities(source, covariates, action, id, l2, folds, seed, least_share): a row for each row of the source.
#[pg_extern(sql = false)]
fn estimate_propensities(call: FunctionCallInfo) {
    let call = Call::running(call);
    let least_share = need(call.float8(7), "least_share");
    with_propensities(&call, "estimate_propensities", |found| {
        let least = least_share / found.actions.len() as f64;
        let mut rows = call.rows();
        for (i, row) in found.propensities.rows().enumerate() {
            let action = found.chosen[i];
            let lowest = row.iter().fold(f64::INFINITY, |a, &b| a.min(b));
            rows.push([
                datum::text(&found.ids[i]),
                datum::text(&found.actions[action]),
                datum::float8(row[action]),
                datum::float8(lowest),
                datum::bool(lowest >= least),
                datum::int4(found.fold_of[i] as i32 + 1),
            ]);
        }
    });
}

/// propensity_balance(…): a row for each action and column that was made of the covariates.
#[pg_extern(sql = false)]
fn propensity_balance(call: FunctionCallInfo) {
    let call = Call::running(call);
    let least_share = need(call.float8(7), "least_share");
    with_propensities(&call, "propensity_balance", |found| {
        let classes = found.actions.len();
        let least = least_share / classes as f64;
        let mut of_action = vec![(0i64, 0i64, 0.0, 0.0); classes];
        for (row, &action) in found.propensities.rows().zip(&found.chosen) {
            let of = &mut of_action[action];
            let weight = 1.0 / row[action];
            of.0 += 1;
            of.1 += i64::from(row.iter().any(|&p| p < least));
            of.2 += weight;
            of.3 += weight * weight;
        }
        let mut rows = call.rows();
        let balance = found
            .propensities
            .balance(&found.design, found.columns.len());
        for imbalance in balance.iter().filter(|of| of.column > 0) {
            let (n, outside, weights, squares) = of_action[imbalance.class];
            rows.push([
                datum::text(&found.actions[imbalance.class]),
                datum::text(&found.columns[imbalance.column]),
                datum::float8(imbalance.before),
                datum::float8(imbalance.after),
                datum::int8(n),
                datum::float8(weights * weights / squares),
                datum::float8(outside as f64 / n as f64),
                datum::float8(found.propensities.temperature),
            ]);
        }
    });
}

/// What both have in common: arguments, rights and the estimate.
fn with_propensities(call: &Call, verb: &'static str, then: impl FnOnce(&Estimated)) {
    let covariates = need(call.texts(1), "covariates");
    let question = Question {
        source: need(call.oid(0), "source"),
        covariates: covariates.into_iter().flatten().collect(),
        action: need(call.text(2), "action"),
        id: need(call.text(3), "id"),
        l2: need(call.float8(4), "l2"),
        folds: usize::try_from(need(call.int4(5), "folds")).unwrap_or(0),
        seed: need(call.int8(6), "seed"),
    };
    let owner = as_reader(call, verb);
    let estimate = || propensities::estimate(&question, owner.caller());
    let found = Waiting::of_verb(verb).run(estimate).or_raise();
    then(&found);
}

fn log<'a>(
    surface: Option<&'a str>,
    from: Option<TimestampWithTimeZone>,
    to: Option<TimestampWithTimeZone>,
    outcome: Option<&'a str>,
    cohort: Option<&'a str>,
    within: Option<Interval>,
) -> Log<'a> {
    let within = within.map(|within| i64::try_from(within.as_micros()).unwrap_or(i64::MAX));
    if within.is_some_and(|within| within <= 0) {
        refuse("within must be above 0".into());
    }
    Log {
        surface: need(surface, "surface"),
        outcome: need(outcome, "outcome"),
        from: need(from, "from").into_inner(),
        to: need(to, "to").into_inner(),
        cohort,
        within,
    }
}

fn limits(most_weight: Option<f64>, threshold: Option<f64>, lambda: Option<f64>) -> WeightLimits {
    let limit = |value: Option<f64>, name: &'static str| {
        let value = need(value, name);
        if value.is_nan() || value < 0.0 {
            refuse(format!("{name} must be a number from 0 up, not {value}"));
        }
        value
    };
    WeightLimits {
        most_weight: limit(most_weight, "most_weight"),
        threshold: limit(threshold, "threshold"),
        lambda: limit(lambda, "lambda"),
    }
}

/// An argument that must not be null.
fn need<T>(value: Option<T>, name: &'static str) -> T {
    value.ok_or(Error::Null(name)).or_raise()
}

fn refuse(what: String) -> ! {
    Error::Evaluation(what, "See \\df+ decide.evaluate_policy.").raise()
}
