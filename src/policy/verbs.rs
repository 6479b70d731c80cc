//! The SQL functions of this room.

use pgrx::pg_sys::{FunctionCallInfo, TEXTOID};
use pgrx::prelude::*;

use super::adjust::{self, Adjustment};
use super::{action_names, publish as publishing};
use crate::error::{Error, OrRaise};
use crate::govern::acting::as_owner;
use crate::govern::waiting::{Waiting, run_in_sql};
use crate::math::choice::{MIN_PROBABILITY, SELECTIONS};
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

/// adjust_budget(cap, amount, why, value, at): one row, what was counted before and after.
#[pg_extern(sql = false)]
fn adjust_budget(call: FunctionCallInfo) {
    let call = Call::running(call);
    let owner = as_owner(&call, "adjust_budget");
    let caller = owner.caller_name();
    let asked = adjustment(&call, 0, &caller);
    let adjust = || adjust::adjust_budget(&asked);
    let adjusted = Waiting::of_verb("adjust_budget").run_short(adjust);
    push_adjusted(&call, adjusted.or_raise());
}

#[pg_extern(sql = false)]
fn adjust_exposure_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    adjust_exposure(&call, call.text(0));
}

#[pg_extern(sql = false)]
fn adjust_exposure_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    adjust_exposure(&call, call.int8(0).map(|id| id.to_string()).as_deref());
}

#[pg_extern(sql = false)]
fn adjust_exposure_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    adjust_exposure(&call, call.uuid(0).map(|id| id.to_string()).as_deref());
}

/// adjust_exposure(user_id, cap, amount, why, value, at): the same.
fn adjust_exposure(call: &Call, user_id: Option<&str>) {
    let owner = as_owner(call, "adjust_exposure");
    let caller = owner.caller_name();
    let asked = adjustment(call, 1, &caller);
    let adjust = || adjust::adjust_exposure(&asked, user_id);
    let adjusted = Waiting::of_verb("adjust_exposure").run_short(adjust);
    push_adjusted(call, adjusted.or_raise());
}

/// The arguments of both, from that one on.
fn adjustment<'a>(call: &'a Call, first: usize, caller: &'a str) -> Adjustment<'a> {
    Adjustment {
        cap: call.text(first).ok_or(Error::Null("cap")).or_raise(),
        amount: call
            .float8(first + 1)
            .ok_or(Error::Null("amount"))
            .or_raise(),
        why: call.text(first + 2).unwrap_or_default(),
        value: call.text(first + 3),
        at: call.timestamp(first + 4),
        caller,
    }
}

fn push_adjusted(call: &Call, (before, after): (f64, f64)) {
    call.rows()
        .push([datum::float8(before), datum::float8(after)]);
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
        for parameter in rule.parameter.iter().chain([&MIN_PROBABILITY]) {
            let (lowest, highest) = parameter.range.ends();
            rows.push([
                datum::text(rule.name),
                datum::text(parameter.name),
                datum::float8(parameter.default),
                datum::float8(lowest),
                highest.and_then(datum::float8),
                datum::text(rule.description),
                datum::int4(number as i32),
            ]);
        }
    }
}
