//! The SQL functions of this room.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;
use uuid::Uuid;

use super::{erase as erasing, legal_hold};
use crate::error::{Error, OrRaise};
use crate::govern::acting::as_owner;
use crate::govern::pseudonym;
use crate::govern::waiting::Waiting;
use crate::pg::call::Call;
use crate::pg::invalidation::{self, Watch};

#[pg_extern(sql = false)]
fn erase_text(call: FunctionCallInfo) -> pgrx::Uuid {
    let call = Call::running(call);
    erase(&call, || user_key(call.text(0)).map(|user| vec![user]))
}

#[pg_extern(sql = false)]
fn erase_bigint(call: FunctionCallInfo) -> pgrx::Uuid {
    let call = Call::running(call);
    let user_id = call.int8(0).map(|id| id.to_string());
    erase(&call, || user_key(user_id.as_deref()).map(|user| vec![user]))
}

#[pg_extern(sql = false)]
fn erase_uuid(call: FunctionCallInfo) -> pgrx::Uuid {
    let call = Call::running(call);
    let user_id = call.uuid(0).map(|id| id.to_string());
    erase(&call, || user_key(user_id.as_deref()).map(|user| vec![user]))
}

/// erase(user_keys): many persons, with one receipt.
#[pg_extern(sql = false)]
fn erase_many(call: FunctionCallInfo) -> pgrx::Uuid {
    let call = Call::running(call);
    erase(&call, || {
        let users = call.uuids(0).ok_or(Error::Null("user_keys"))?;
        let users: Option<Vec<Uuid>> = users.into_iter().collect();
        users.ok_or(Error::Null("an element of user_keys"))
    })
}

/// erase(…): the receipt.
fn erase(call: &Call, users: impl FnOnce() -> Result<Vec<Uuid>, Error>) -> pgrx::Uuid {
    let owner = as_owner(call, "erase");
    let users = users().or_raise();
    let erase = || erasing::erase(users, &owner.caller_name());
    let receipt = Waiting::of_verb("erase").run(erase).or_raise();
    pgrx::Uuid::from_bytes(receipt.into_bytes())
}

/// set_legal_hold(user_id, why).
#[pg_extern(sql = false)]
fn set_legal_hold(call: FunctionCallInfo) {
    let call = Call::running(call);
    let owner = as_owner(&call, "set_legal_hold");
    let set = || {
        let user_key = user_key(call.text(0))?;
        legal_hold::set(user_key, call.text(1).unwrap_or_default(), &owner.caller_name())
    };
    Waiting::of_verb("set_legal_hold").run(set).or_raise();
}

/// lift_legal_hold(user_id).
#[pg_extern(sql = false)]
fn lift_legal_hold(call: FunctionCallInfo) {
    let call = Call::running(call);
    let _owner = as_owner(&call, "lift_legal_hold");
    let lift = || legal_hold::lift(user_key(call.text(0))?);
    Waiting::of_verb("lift_legal_hold").run(lift).or_raise();
}

/// The pseudonym of a user under the key that is in force.
fn user_key(user_id: Option<&str>) -> Result<Uuid, Error> {
    let user_id = pseudonym::user_id(user_id)?;
    invalidation::changes(Watch::Publication);
    Ok(pseudonym::key()?.of(user_id))
}
