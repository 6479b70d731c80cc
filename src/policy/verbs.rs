//! The SQL functions of this room.

use pgrx::AnyElement;
use pgrx::pg_sys::{FunctionCallInfo, TEXTOID};
use pgrx::prelude::*;

use super::action_names::{must_be_short, with_names};
use super::publish as publishing;
use crate::error::{Error, OrRaise};
use crate::govern::acting::as_owner;
use crate::govern::waiting::{Waiting, run_in_sql};
use crate::math::choice::{LOWER_BOUND_GAMMA, MIN_LOWER_BOUND, MIN_PROBABILITY, SELECTIONS};
use crate::math::runs::expand;
use crate::pg::call::Call;
use crate::pg::{Statement, clock, datum, image};

thread_local! {
    static RENAME: Statement = const { Statement::new(
        "SELECT decide.rename_rows($1, $2, $3)", &[TEXTOID, TEXTOID, TEXTOID]) };
}

#[pg_extern(sql = false)]
fn publish(call: FunctionCallInfo) -> i64 {
    let call = Call::running(call);
    let owner = as_owner(&call, "publish");
    let publish = || publishing::publish(call.text(0), &owner.caller_name());
    Waiting::of_verb("publish").run(publish).or_raise()
}

#[pg_extern(sql = false)]
fn rollback(call: FunctionCallInfo) {
    let call = Call::running(call);
    let bundle = call.int8(0).ok_or(Error::Null("bundle")).or_raise();
    let owner = as_owner(&call, "rollback");
    let rollback = || publishing::rollback(bundle, call.text(1), &owner.caller_name());
    Waiting::of_verb("rollback").run(rollback).or_raise();
}

/// rename(kind, old, new).
#[pg_extern(sql = false)]
fn rename(call: FunctionCallInfo) {
    let call = Call::running(call);
    let args = [call.text(0), call.text(1), call.text(2)].map(datum::optional_text);
    run_in_sql("rename", &RENAME, &args);
}

/// action_name(number).
#[pg_extern(sql = false)]
fn action_name(call: FunctionCallInfo) -> Option<AnyElement> {
    let call = Call::running(call);
    let number = call.int4(0)?;
    let name = with_names(&call, [number].into_iter(), |names| names.text(number));
    call.answer(name)
}

/// action_names(numbers): null where there is no such action.
#[pg_extern(sql = false)]
fn action_names(call: FunctionCallInfo) -> Option<AnyElement> {
    let call = Call::running(call);
    let numbers = call.optional_int4s(0)?;
    must_be_short(numbers.len()).or_raise();
    // No action has the number 0.
    let numbers = numbers.iter().map(|number| number.unwrap_or_default());
    let names = with_names(&call, numbers.clone(), |names| names.array(numbers));
    call.answer(Some(names))
}

/// candidate_names(runs).
#[pg_extern(sql = false)]
fn candidate_names(call: FunctionCallInfo) -> Option<AnyElement> {
    let call = Call::running(call);
    let runs = runs(&call)?;
    let numbers = expand(&runs);
    let names = with_names(&call, numbers.clone(), |names| names.array(numbers));
    call.answer(Some(names))
}

/// candidate_numbers(runs).
#[pg_extern(sql = false)]
fn candidate_numbers(call: FunctionCallInfo) -> Option<AnyElement> {
    let call = Call::running(call);
    let numbers: Vec<i32> = expand(&runs(&call)?).collect();
    call.answer(datum::array(&numbers))
}

/// The candidates of a trace, as runs of numbers.
fn runs(call: &Call) -> Option<Vec<i32>> {
    let runs = call.optional_int4s(0)?;
    must_be_short(runs.len()).or_raise();
    Some(runs.into_iter().flatten().collect())
}

/// places(actions): 1 to as many as the array has.
#[pg_extern(sql = false)]
fn places(actions: Array<'_, i32>) -> SetOfIterator<'static, i32> {
    SetOfIterator::new(1..=i32::try_from(actions.len()).unwrap_or(i32::MAX))
}

/// image_files(): a row for each file.
#[pg_extern(sql = false)]
fn image_files(call: FunctionCallInfo) {
    let call = Call::running(call);
    let mut rows = call.rows();
    for file in image::all() {
        rows.push([
            datum::text(&file.name),
            datum::int8(file.bytes),
            datum::timestamp(clock::from_unix_micros(file.made_at)),
            datum::bool(file.mapped),
        ]);
    }
}

/// selection_catalog(): a row for each parameter of each selection.
#[pg_extern(sql = false)]
fn selection_catalog(call: FunctionCallInfo) {
    let call = Call::running(call);
    let mut rows = call.rows();
    for (number, rule) in SELECTIONS.iter().enumerate() {
        let growth = rule
            .growth
            .iter()
            .flat_map(|growth| [&growth.scale, &growth.exponent]);
        let bound = [&MIN_LOWER_BOUND, &LOWER_BOUND_GAMMA];
        let bound = bound.into_iter().filter(|_| rule.needs_scores);
        let own = rule.parameter.iter().chain(growth);
        for parameter in own.chain([&MIN_PROBABILITY]).chain(bound) {
            let (lowest, highest) = parameter.range.ends();
            rows.push([
                datum::text(rule.name),
                datum::text(parameter.name),
                parameter.default.and_then(datum::float8),
                lowest.and_then(datum::float8),
                highest.and_then(datum::float8),
                datum::text(rule.description),
                datum::int4(number as i32),
            ]);
        }
    }
}
