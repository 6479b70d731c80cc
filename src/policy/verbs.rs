//! The SQL functions of this room.

use pgrx::AnyElement;
use pgrx::pg_sys::{FunctionCallInfo, TEXTOID};
use pgrx::prelude::*;

use super::action_names::{must_be_short, with_names};
use super::adjust::{self, Adjustment};
use super::person::{self, Seen};
use super::publish as publishing;
use crate::error::{Error, OrRaise};
use crate::govern::acting::as_owner;
use crate::govern::pseudonym;
use crate::govern::waiting::{Waiting, run_in_sql};
use crate::math::choice::{LOWER_BOUND_GAMMA, MIN_LOWER_BOUND, MIN_PROBABILITY, SELECTIONS};
use crate::math::runs::expand;
use crate::pg::call::Call;
use crate::pg::invalidation::{self, Watch};
use crate::pg::{Statement, clock, datum, image};

thread_local! {
    static RENAME: Statement = const { Statement::new(
        "SELECT decide.rename_rows($1, $2, $3)", &[TEXTOID, TEXTOID, TEXTOID]) };
    static CHANGE_EXPERIMENT: Statement = const { Statement::new(
        "SELECT decide.change_experiment_rows($1, $2, $3)", &[TEXTOID, TEXTOID, TEXTOID]) };
}

#[pg_extern(sql = false)]
fn user_key_text(user_id: Option<&str>) -> pgrx::Uuid {
    user_key(user_id)
}

#[pg_extern(sql = false)]
fn user_key_bigint(user_id: Option<i64>) -> pgrx::Uuid {
    user_key(user_id.map(|id| id.to_string()).as_deref())
}

#[pg_extern(sql = false)]
fn user_key_uuid(user_id: Option<pgrx::Uuid>) -> pgrx::Uuid {
    user_key(
        user_id
            .map(|id| uuid::Uuid::from_bytes(*id.as_bytes()).to_string())
            .as_deref(),
    )
}

/// user_turn(user_id): as user_key, but null for what is no user_id.
#[pg_extern(sql = false)]
fn user_turn(user_id: &str) -> Option<pgrx::Uuid> {
    pseudonym::user_id(Some(user_id)).ok().map(pseudonym_of)
}

fn user_key(user_id: Option<&str>) -> pgrx::Uuid {
    pseudonym_of(pseudonym::user_id(user_id).or_raise())
}

/// Of a user_id that was checked.
fn pseudonym_of(user_id: &str) -> pgrx::Uuid {
    invalidation::changes(Watch::Publication);
    let user_key = person::user_key(user_id, Seen::ToRead).or_raise();
    pgrx::Uuid::from_bytes(*user_key.as_bytes())
}

#[pg_extern(sql = false)]
fn user_keys_text(user_id: Option<&str>) -> Vec<pgrx::Uuid> {
    user_keys(user_id)
}

#[pg_extern(sql = false)]
fn user_keys_bigint(user_id: Option<i64>) -> Vec<pgrx::Uuid> {
    user_keys(user_id.map(|id| id.to_string()).as_deref())
}

#[pg_extern(sql = false)]
fn user_keys_uuid(user_id: Option<pgrx::Uuid>) -> Vec<pgrx::Uuid> {
    user_keys(
        user_id
            .map(|id| uuid::Uuid::from_bytes(*id.as_bytes()).to_string())
            .as_deref(),
    )
}

/// user_keys(user_id): all pseudonyms under which rows of the person may be.
fn user_keys(user_id: Option<&str>) -> Vec<pgrx::Uuid> {
    let user_id = pseudonym::user_id(user_id).or_raise();
    invalidation::changes(Watch::Publication);
    let user_keys = person::every_key_of(user_id).or_raise();
    let person = person::person_of(&user_keys);
    let shown = person
        .iter()
        .map(|key| pgrx::Uuid::from_bytes(*key.as_bytes()));
    shown.collect()
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

/// change_experiment(experiment, change, winner).
#[pg_extern(sql = false)]
fn change_experiment(call: FunctionCallInfo) {
    let call = Call::running(call);
    let args = [call.text(0), call.text(1), call.text(2)].map(datum::optional_text);
    run_in_sql("change_experiment", &CHANGE_EXPERIMENT, &args);
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
