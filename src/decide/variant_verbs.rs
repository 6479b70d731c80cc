//! The SQL functions of experiments that requests are assigned in.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::assigned::{CHANGED, KEPT, OVERRIDDEN};
use super::request::DecideArgs;
use super::run;

use crate::error::OrRaise;
use crate::pg::call::Call;
use crate::pg::json::{Document, Json};
use crate::pg::{clock, datum};

#[pg_extern(sql = false)]
fn variants_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    variants(&call, call.text(0));
}

#[pg_extern(sql = false)]
fn variants_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    variants(&call, call.int8(0).map(|id| id.to_string()).as_deref());
}

#[pg_extern(sql = false)]
fn variants_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    variants(&call, call.uuid(0).map(|id| id.to_string()).as_deref());
}

/// variants(user_id, surface, context): a row for each experiment that the request is in.
fn variants(call: &Call, user_id: Option<&str>) {
    let args = DecideArgs {
        user_id,
        surface: call.text(1),
        context: call.json(2).unwrap_or_else(Json::nothing),
        now: clock::now(),
        seed: None,
        decides: false,
        request_id: None,
    };
    run(&args, |decision| {
        let request = &decision.request;
        let mut rows = call.rows();
        request.variants.each(|of| {
            let experiment = &request.bundle.experiments[of.experiment];
            let Some(variant) = of.variant.map(|index| &experiment.variants[index]) else {
                return;
            };
            let payload = variant.payload.as_deref().map(Document::parse);
            let has = |bit: i32| datum::bool(of.flags & bit != 0);
            rows.push([
                datum::text(&experiment.name),
                datum::text(&variant.name),
                payload.as_ref().map(|payload| payload.json().datum()),
                has(CHANGED),
                has(OVERRIDDEN),
                has(KEPT),
            ]);
        });
    })
    .or_raise();
}
