//! The SQL functions of this room.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::features::add;
use super::{Taken, track as take};
use crate::error::{Error, OrRaise};
use crate::pg::attempt::attempt;
use crate::pg::call::Call;
use crate::pg::json::Json;
use crate::pg::{datum, session};

/// track(event): what became of it.
#[pg_extern(sql = false)]
fn track(call: FunctionCallInfo) -> &'static str {
    let call = Call::running(call);
    refuse_read_only();
    take(call.json(0).as_ref()).or_raise().as_str()
}

/// track(event) for an event as text: what is no JSON is a bad event, not an error.
#[pg_extern(sql = false)]
fn track_text(call: FunctionCallInfo) -> &'static str {
    let call = Call::running(call);
    refuse_read_only();
    let event = call
        .text(0)
        .and_then(|text| attempt(|| Json::parse(text)).ok());
    take(event.as_ref()).or_raise().as_str()
}

/// track(events): one row of counts.
#[pg_extern(sql = false)]
fn track_many(call: FunctionCallInfo) {
    let call = Call::running(call);
    refuse_read_only();
    let events = call.jsons(0).ok_or(Error::Null("events")).or_raise();
    let mut counts = [0i64; 3];
    for event in &events {
        let place = match take(event.as_ref()).or_raise() {
            Taken::Accepted => 0,
            Taken::Duplicate => 1,
            Taken::Quarantined => 2,
        };
        counts[place] += 1;
        session::check_interrupts();
    }
    call.rows().push(counts.map(datum::int8));
}

fn refuse_read_only() {
    if session::is_read_only() {
        Error::ReadOnly("track").raise();
    }
}

/// add_to_state(state, slots, amounts, at, half_lives): the row of a user with one event more.
#[pg_extern(sql = false)]
fn add_to_state(
    state: Vec<f64>,
    slots: Vec<i32>,
    amounts: Vec<f64>,
    at: f64,
    half_lives: Vec<f64>,
) -> Vec<f64> {
    add(state, &slots, &amounts, at as i64, &half_lives)
}
