//! The SQL functions of assignment.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use crate::error::{Error, OrRaise};
use crate::math::assignment;
use crate::pg::call::Call;

/// bucket(seed, value, version): null for an unknown version.
#[pg_extern(sql = false)]
fn bucket(seed: &str, value: &str, version: i32) -> Option<f64> {
    assignment::bucket(seed, value, version)
}

/// choose_variation(bucket, coverage, weights): −1 for none.
#[pg_extern(sql = false)]
fn choose_variation(call: FunctionCallInfo) -> Option<i32> {
    let call = Call::running(call);
    let (bucket, coverage) = (call.float8(0)?, call.float8(1)?);
    let weights = call.float8s(2).ok_or(Error::Null("a weight")).or_raise();
    let variation = assignment::choose_variation(bucket, coverage, &weights);
    Some(variation.map_or(-1, |variation| variation as i32))
}
