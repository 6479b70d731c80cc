//! The SQL functions of this room.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::explain::explain;
use super::replay::replay as recompute;
use super::request::Asked;
use super::{consider, distribution, features, trace};
use crate::error::{Error, OrRaise};
use crate::govern::pseudonym;
use crate::math::identifier::moment_of;
use crate::math::state::at_slot;
use crate::pg::call::Call;
use crate::pg::json::Json;
use crate::pg::{Session, clock, datum, session};
use crate::policy;

#[pg_extern(sql = false)]
fn decide_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    decide(&call, call.text(0));
}

#[pg_extern(sql = false)]
fn decide_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    decide(&call, call.int8(0).map(|id| id.to_string()).as_deref());
}

#[pg_extern(sql = false)]
fn decide_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    decide(&call, call.uuid(0).map(|id| id.to_string()).as_deref());
}

/// decide(user_id, surface, context): one row per slot, and a trace.
fn decide(call: &Call, user_id: Option<&str>) {
    if session::is_read_only() {
        Error::ReadOnly("decide").raise();
    }
    let asked = asked(call, user_id, None);
    consider(&asked, |decision, desk| {
        trace::write(decision, desk);
        let mut rows = call.rows();
        let surface = decision.request.surface;
        let id = datum::uuid(decision.request.decision_id);
        let reason = decision.reason.as_ref().map(ToString::to_string);
        for slot in 0..surface.slots {
            let pick = desk.slate.picks.get(slot);
            let action = pick.map_or(&surface.fallback, |&i| &surface.actions[desk.open[i]]);
            rows.push([
                datum::int4(slot as i32 + 1),
                datum::text(&action.name),
                datum::float8(desk.slate.chosen[slot]),
                id,
                pick.map_or(datum::optional_text(reason.as_deref()), |_| None),
            ]);
        }
    })
    .or_raise();
}

#[pg_extern(sql = false)]
fn explain_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    explain(&asked(&call, call.text(0), seed(&call)), &call);
}

#[pg_extern(sql = false)]
fn explain_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    explain(
        &asked(
            &call,
            call.int8(0).map(|id| id.to_string()).as_deref(),
            seed(&call),
        ),
        &call,
    );
}

#[pg_extern(sql = false)]
fn explain_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    explain(
        &asked(
            &call,
            call.uuid(0).map(|id| id.to_string()).as_deref(),
            seed(&call),
        ),
        &call,
    );
}

/// explain()'s fourth argument.
fn seed(call: &Call) -> Option<u64> {
    call.int8(3).map(|seed| seed as u64)
}

/// What every verb of this room is asked: user, surface, context.
fn asked<'a>(call: &'a Call, user_id: Option<&'a str>, seed: Option<u64>) -> Asked<'a> {
    Asked {
        user_id,
        surface: call.text(1),
        context: call.json(2).unwrap_or_else(Json::nothing),
        now: clock::now(),
        seed,
    }
}

/// replay(decision_id): one row.
#[pg_extern(sql = false)]
fn replay(call: FunctionCallInfo) {
    let call = Call::running(call);
    let id = call.uuid(0).ok_or(Error::Null("decision_id")).or_raise();
    let difference = recompute(id).or_raise();
    let agrees = datum::bool(difference.is_none());
    call.rows()
        .push([agrees, datum::optional_text(difference.as_deref())]);
}

#[pg_extern(sql = false)]
fn features_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    show_features(&call, call.text(0));
}

#[pg_extern(sql = false)]
fn features_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    show_features(&call, call.int8(0).map(|id| id.to_string()).as_deref());
}

#[pg_extern(sql = false)]
fn features_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    show_features(&call, call.uuid(0).map(|id| id.to_string()).as_deref());
}

/// features(user_id): a row per feature, as a decision of this moment would see it.
fn show_features(call: &Call, user_id: Option<&str>) {
    let bundle = policy::live().or_raise();
    let user_key = pseudonym::key()
        .or_raise()
        .of(pseudonym::user_id(user_id).or_raise());
    let (mut state, mut values) = (Vec::new(), Vec::new());
    let mut rows = call.rows();
    let _session = Session::open();
    features::read(
        user_key,
        clock::now(),
        &bundle.features,
        &mut state,
        &mut values,
    );
    for (feature, value) in bundle.features.iter().zip(values) {
        let kept = at_slot(&state, feature.slot);
        let updated_at = if kept.is_empty() {
            None
        } else {
            datum::timestamp(kept.at)
        };
        rows.push([
            datum::text(&feature.name),
            None,
            datum::float8(value),
            updated_at,
        ]);
    }
}

/// slot_probabilities(candidates, scores, choice, picked, slot): what a slot was drawn from.
#[pg_extern(sql = false)]
fn slot_probabilities(
    candidates: Option<Vec<i32>>,
    scores: Option<Vec<f32>>,
    choice: Option<Vec<f64>>,
    picked: Option<Vec<i32>>,
    slot: Option<i32>,
) -> Option<Vec<f64>> {
    let kept = distribution::Kept {
        candidates: &candidates?,
        scores,
        choice: &choice?,
        picked: &picked?,
    };
    distribution::of_slot(kept, usize::try_from(slot?).ok()?)
}

/// decided_at(decision_id): what the identifier says.
#[pg_extern(sql = false)]
fn decided_at(call: FunctionCallInfo) -> Option<TimestampWithTimeZone> {
    let id = Call::running(call).uuid(0)?;
    let at = clock::from_unix_micros(moment_of(id)?);
    TimestampWithTimeZone::try_from(at).ok()
}
