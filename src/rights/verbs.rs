//! The SQL functions of this room.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;
use uuid::Uuid;

use super::consent::Given;
use super::{consent as consenting, erase as erasing, legal_hold, region as regional, rotation};
use crate::error::{Error, OrRaise};
use crate::govern::acting::as_owner;
use crate::govern::pseudonym;
use crate::govern::waiting::Waiting;
use crate::observe::parse_time;
use crate::pg::call::Call;
use crate::pg::datum;
use crate::pg::invalidation::{self, Watch};
use crate::pg::json::{Field, Json};
use crate::policy::{self, Seen};

#[pg_extern(sql = false)]
fn erase_text(call: FunctionCallInfo) -> pgrx::Uuid {
    let call = Call::running(call);
    erase(&call, || user_keys(call.text(0)).map(|user| vec![user]))
}

#[pg_extern(sql = false)]
fn erase_bigint(call: FunctionCallInfo) -> pgrx::Uuid {
    let call = Call::running(call);
    let user_id = call.int8(0).map(|id| id.to_string());
    erase(&call, || {
        user_keys(user_id.as_deref()).map(|user| vec![user])
    })
}

#[pg_extern(sql = false)]
fn erase_uuid(call: FunctionCallInfo) -> pgrx::Uuid {
    let call = Call::running(call);
    let user_id = call.uuid(0).map(|id| id.to_string());
    erase(&call, || {
        user_keys(user_id.as_deref()).map(|user| vec![user])
    })
}

/// erase(user_keys): many persons, with one receipt.
#[pg_extern(sql = false)]
fn erase_many(call: FunctionCallInfo) -> pgrx::Uuid {
    let call = Call::running(call);
    erase(&call, || {
        let users = call.uuids(0).ok_or(Error::Null("user_keys"))?;
        let users: Option<Vec<Vec<Uuid>>> =
            users.into_iter().map(|user| Some(vec![user?])).collect();
        users.ok_or(Error::Null("an element of user_keys"))
    })
}

/// erase(…): the receipt.
fn erase(call: &Call, users: impl FnOnce() -> Result<Vec<Vec<Uuid>>, Error>) -> pgrx::Uuid {
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
        let user_key = user_key(call.text(0), Seen::ToWrite)?;
        legal_hold::set(
            user_key,
            call.text(1).unwrap_or_default(),
            &owner.caller_name(),
        )
    };
    Waiting::of_verb("set_legal_hold").run(set).or_raise();
}

/// lift_legal_hold(user_id).
#[pg_extern(sql = false)]
fn lift_legal_hold(call: FunctionCallInfo) {
    let call = Call::running(call);
    let _owner = as_owner(&call, "lift_legal_hold");
    let lift = || legal_hold::lift(&user_keys(call.text(0))?);
    Waiting::of_verb("lift_legal_hold").run(lift).or_raise();
}

#[pg_extern(sql = false)]
fn set_consent_text(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    set_consent(&call, call.text(0))
}

#[pg_extern(sql = false)]
fn set_consent_bigint(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    set_consent(&call, call.int8(0).map(|id| id.to_string()).as_deref())
}

#[pg_extern(sql = false)]
fn set_consent_uuid(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    set_consent(&call, call.uuid(0).map(|id| id.to_string()).as_deref())
}

/// set_consent(user_id, purpose, granted, source, at): whether it is in force.
fn set_consent(call: &Call, user_id: Option<&str>) -> bool {
    let (purpose, granted, source) = (call.text(1), call.bool(2), call.text(3));
    let at = call.timestamp(4);
    let owner = as_owner(call, "set_consent");
    let set = || {
        let given = Given {
            user_key: user_key(user_id, Seen::ToWrite)?,
            purpose: purpose.ok_or(Error::Null("purpose"))?,
            granted: granted.ok_or(Error::Null("granted"))?,
            source,
            at: at.ok_or(Error::Null("at"))?,
        };
        consenting::set(vec![given], &owner.caller_name())
    };
    Waiting::of_verb("set_consent").run(set).or_raise() > 0
}

/// Most persons of one call: it locks the rows of all of them.
const MOST_CONSENTS: usize = 10_000;

/// set_consents(consents): how many are in force.
#[pg_extern(sql = false)]
fn set_consents(call: FunctionCallInfo) -> i64 {
    let call = Call::running(call);
    let consents = call.jsons(0).ok_or(Error::Null("consents")).or_raise();
    let owner = as_owner(&call, "set_consents");
    if consents.len() > MOST_CONSENTS {
        let (what, number, most) = ("consents", consents.len(), MOST_CONSENTS);
        Error::TooMany { what, number, most }.raise();
    }
    let set = || {
        let given = consents.iter().map(|consent| given(consent.as_ref()));
        let given = given.collect::<Result<Vec<Given>, Error>>()?;
        consenting::set(given, &owner.caller_name())
    };
    Waiting::of_verb("set_consents").run(set).or_raise()
}

/// What a document says that a person has decided.
fn given<'a>(consent: Option<&Json<'a>>) -> Result<Given<'a>, Error> {
    let consent = consent.ok_or(Error::Null("an element of consents"))?;
    let field = |name| consent.get(name);
    let text = |name| match field(name) {
        Some(Field::Text(text)) => Some(text),
        _ => None,
    };
    let user_id = match field("user_id") {
        Some(Field::Text(text)) => Some(text.to_owned()),
        _ => consent.bigint("user_id").map(|id| id.to_string()),
    };
    let granted = match field("granted") {
        Some(Field::Bool(granted)) => Some(granted),
        _ => None,
    };
    let at = text("at").and_then(parse_time).ok_or_else(|| {
        let hint = "A consent is an object with user_id, purpose, granted (true or false), at (a time with its offset from UTC) and, if wanted, source.";
        Error::Refused("at of a consent is not a time".into(), hint)
    })?;
    Ok(Given {
        user_key: user_key(user_id.as_deref(), Seen::ToWrite)?,
        purpose: text("purpose").ok_or(Error::Null("purpose"))?,
        granted: granted.ok_or(Error::Null("granted"))?,
        source: text("source"),
        at,
    })
}

#[pg_extern(sql = false)]
fn consent_text(call: FunctionCallInfo) {
    let call = Call::running(call);
    consent(&call, call.text(0));
}

#[pg_extern(sql = false)]
fn consent_bigint(call: FunctionCallInfo) {
    let call = Call::running(call);
    consent(&call, call.int8(0).map(|id| id.to_string()).as_deref());
}

#[pg_extern(sql = false)]
fn consent_uuid(call: FunctionCallInfo) {
    let call = Call::running(call);
    consent(&call, call.uuid(0).map(|id| id.to_string()).as_deref());
}

/// consent(user_id): a row per purpose.
fn consent(call: &Call, user_id: Option<&str>) {
    let user_key = user_key(user_id, Seen::ToRead).or_raise();
    let mut rows = call.rows();
    for (purpose, granted, decided_at) in consenting::of_user(user_key).or_raise() {
        let decided_at = decided_at.and_then(datum::timestamp);
        rows.push([datum::text(&purpose), datum::bool(granted), decided_at]);
    }
}

#[pg_extern(sql = false)]
fn set_region_text(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    set_region(&call, call.text(0))
}

#[pg_extern(sql = false)]
fn set_region_bigint(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    set_region(&call, call.int8(0).map(|id| id.to_string()).as_deref())
}

#[pg_extern(sql = false)]
fn set_region_uuid(call: FunctionCallInfo) -> bool {
    let call = Call::running(call);
    set_region(&call, call.uuid(0).map(|id| id.to_string()).as_deref())
}

/// set_region(user_id, region, at): whether it is in force.
fn set_region(call: &Call, user_id: Option<&str>) -> bool {
    let (region, at) = (call.text(1), call.timestamp(2));
    let _owner = as_owner(call, "set_region");
    let set = || {
        let user_key = user_key(user_id, Seen::ToWrite)?;
        regional::set(user_key, region, at.ok_or(Error::Null("at"))?)
    };
    Waiting::of_verb("set_region").run(set).or_raise()
}

/// rotate_pseudonyms(): the number of the new key.
#[pg_extern(sql = false)]
fn rotate_pseudonyms(call: FunctionCallInfo) -> i32 {
    let call = Call::running(call);
    let owner = as_owner(&call, "rotate_pseudonyms");
    let rotate = || rotation::rotate(&owner.caller_name());
    Waiting::of_verb("rotate_pseudonyms").run(rotate).or_raise()
}

/// The pseudonym under which a user is found.
fn user_key(user_id: Option<&str>, seen: Seen) -> Result<Uuid, Error> {
    let user_id = pseudonym::user_id(user_id)?;
    invalidation::changes(Watch::Publication);
    policy::user_key(user_id, seen)
}

/// The pseudonyms of a user under every living key.
fn user_keys(user_id: Option<&str>) -> Result<Vec<Uuid>, Error> {
    let user_id = pseudonym::user_id(user_id)?;
    invalidation::changes(Watch::Publication);
    policy::every_key_of(user_id)
}
