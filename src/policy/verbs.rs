//! The SQL functions of this room.

use pgrx::pg_sys::{FunctionCallInfo, TEXTOID};
use pgrx::prelude::*;

use super::{action_names, publish as publishing};
use crate::error::{Error, OrRaise};
use crate::govern::acting::as_owner;
use crate::govern::waiting::{Waiting, run_in_sql};
use crate::math::choice::{LOWER_BOUND_GAMMA, MIN_LOWER_BOUND, MIN_PROBABILITY, SELECTIONS};
use crate::math::runs::expand;
use crate::pg::call::Call;
use crate::pg::{Statement, datum};

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

#[pg_extern(sql = false)]
fn action_name(number: i32) -> Option<String> {
    action_names::names_of(&[number]).pop().flatten()
}

#[pg_extern(sql = false)]
fn candidate_names(runs: Array<'_, i32>) -> Vec<Option<String>> {
    action_names::must_be_short(runs.len()).or_raise();
    let runs: Vec<i32> = runs.iter().flatten().collect();
    let numbers: Vec<i32> = expand(&runs).collect();
    action_names::names_of(&numbers)
}

#[pg_extern(sql = false)]
fn action_names(numbers: Array<'_, i32>) -> Vec<Option<String>> {
    action_names::must_be_short(numbers.len()).or_raise();
    // No action has the number 0.
    let numbers: Vec<i32> = numbers.iter().map(Option::unwrap_or_default).collect();
    action_names::names_of(&numbers)
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
