//! The SQL functions of this room.

use pgrx::prelude::*;

use super::{names, publish as publishing};
use crate::error::OrRaise;
use crate::math::runs::expand;

#[pg_extern(sql = false)]
fn publish(note: Option<&str>) -> i64 {
    publishing::publish(note).or_raise()
}

#[pg_extern(sql = false)]
fn rollback(bundle: Option<i64>, note: Option<&str>) {
    let bundle = bundle.ok_or(crate::error::Error::Null("bundle")).or_raise();
    publishing::rollback(bundle, note).or_raise();
}

#[pg_extern(sql = false)]
fn action_name(number: i32) -> Option<String> {
    names::names_of(&[number]).pop().flatten()
}

#[pg_extern(sql = false)]
fn candidate_names(runs: Array<'_, i32>) -> Vec<Option<String>> {
    names::must_be_short(runs.len()).or_raise();
    let runs: Vec<i32> = runs.iter().flatten().collect();
    let numbers: Vec<i32> = expand(&runs).collect();
    names::names_of(&numbers)
}

#[pg_extern(sql = false)]
fn action_names(numbers: Array<'_, i32>) -> Vec<Option<String>> {
    names::must_be_short(numbers.len()).or_raise();
    // No action has the number 0.
    let numbers: Vec<i32> = numbers.iter().map(Option::unwrap_or_default).collect();
    names::names_of(&numbers)
}
