//! The SQL functions of this room.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::approve::approve as approved;
use super::history::Span;
use super::train::{TrainArgs, train as fit};
use crate::error::{Error, OrRaise, printable};
use crate::govern::acting::as_owner;
use crate::govern::waiting::Waiting;
use crate::math::model::Family;
use crate::pg::call::Call;
use crate::policy::is_name;

/// import_decisions(source, origin): how many rows came in.
#[pg_extern(sql = false)]
fn import_decisions(call: FunctionCallInfo) -> i64 {
    let call = Call::running(call);
    let source = call.oid(0).ok_or(Error::Null("source")).or_raise();
    let origin = call.text(1).ok_or(Error::Null("origin")).or_raise();
    if !is_name(origin) {
        Error::Import(
            "origin is not a valid name".into(),
            "Name the system that made the decisions.",
        )
        .raise();
    }
    let owner = as_owner(&call, "import_decisions");
    let import = || super::import::import(source, origin, owner.caller());
    Waiting::of_verb("import_decisions").run(import).or_raise()
}

/// train(model, surface, terms, …): the number of the new version.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn train(
    model: Option<&str>,
    surface: Option<&str>,
    terms: Option<Vec<Option<String>>>,
    outcome: Option<&str>,
    family: Option<&str>,
    decided_from: Option<TimestampWithTimeZone>,
    decided_to: Option<TimestampWithTimeZone>,
    l2: Option<f64>,
    weighted: Option<bool>,
    holdout: Option<f64>,
    seed: Option<i64>,
    min_count: Option<i32>,
    hash_buckets: Option<i32>,
    posterior: Option<bool>,
    half_life: Option<Interval>,
    categorical: Option<Vec<Option<String>>>,
    numerical: Option<Vec<Option<String>>>,
    delay_corrected: Option<bool>,
    call: FunctionCallInfo,
) -> i32 {
    let args = TrainArgs {
        model: need(model, "model"),
        terms: need(terms, "terms").into_iter().flatten().collect(),
        family: match need(family, "family") {
            "linear" => Family::Linear,
            "logistic" => Family::Logistic,
            other => refuse(&format!(
                "family \"{}\" is neither linear nor logistic",
                printable(other)
            )),
        },
        span: Span {
            surface: need(surface, "surface"),
            outcome: need(outcome, "outcome"),
            from: decided_from.map_or(i64::MIN, TimestampWithTimeZone::into_inner),
            to: decided_to.map_or(i64::MAX, TimestampWithTimeZone::into_inner),
            delay_corrected: need(delay_corrected, "delay_corrected"),
        },
        l2: need(l2, "l2"),
        weighted: need(weighted, "weighted"),
        holdout: need(holdout, "holdout"),
        seed: need(seed, "seed"),
        min_count: usize::try_from(need(min_count, "min_count"))
            .unwrap_or(0)
            .max(1),
        hash_buckets: match need(hash_buckets, "hash_buckets") {
            0 => None,
            buckets => match u32::try_from(buckets) {
                Ok(buckets) => Some(buckets),
                Err(_) => refuse("hash_buckets must be 0, for none, or more"),
            },
        },
        posterior: need(posterior, "posterior"),
        half_life: half_life.map(|half_life| half_life.as_micros() as f64),
        categorical: need(categorical, "categorical")
            .into_iter()
            .flatten()
            .collect(),
        numerical: need(numerical, "numerical").into_iter().flatten().collect(),
    };
    if !is_name(args.model) {
        refuse("model is not a valid name")
    }
    if !(args.l2 >= 0.0 && args.l2.is_finite()) {
        refuse("l2 must be a number from 0 up")
    }
    if args.half_life.is_some_and(|half_life| half_life <= 0.0) {
        refuse("half_life must be above 0")
    }
    if !(0.0..1.0).contains(&args.holdout) {
        refuse("holdout must be from 0 up and below 1")
    }
    let owner = as_owner(&Call::running(call), "train");
    let caller = owner.caller_name();
    Waiting::of_verb("train")
        .run(|| fit(&args, &caller))
        .or_raise()
}

/// approve(model, version).
#[pg_extern(sql = false)]
fn approve(call: FunctionCallInfo) {
    let call = Call::running(call);
    let model = need(call.text(0), "model");
    let version = need(call.int4(1), "version");
    let owner = as_owner(&call, "approve");
    let caller = owner.caller_name();
    Waiting::of_verb("approve")
        .run(|| approved(model, version, &caller))
        .or_raise();
}

/// An argument that must not be null.
fn need<T>(value: Option<T>, name: &'static str) -> T {
    value.ok_or(Error::Null(name)).or_raise()
}

fn refuse(what: &str) -> ! {
    Error::Training(what.to_owned(), "See \\df+ decide.train.").raise()
}
