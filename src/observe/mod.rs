//! Facts come in: an event is checked, stored once, and folded into the features of its user.

mod contract;
mod features;
pub mod inbox;
mod store;
mod verbs;

use contract::Event;
use uuid::Uuid;

use crate::error::Error;
use crate::govern::pseudonym;
use crate::pg::json::Json;
use crate::pg::{Session, clock};
use crate::policy::{self, Bundle};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Accepted,
    Duplicate,
    Quarantined,
}

impl Taken {
    pub fn as_str(self) -> &'static str {
        match self {
            Taken::Accepted => "accepted",
            Taken::Duplicate => "duplicate",
            Taken::Quarantined => "quarantined",
        }
    }
}

/// Takes in one event. A bad one is quarantined with every reason and is no error.
pub fn track(event: Option<&Json<'_>>) -> Result<Taken, Error> {
    let bundle = policy::live()?;
    let key = pseudonym::key()?;
    let _session = Session::open();
    Ok(take(event, &bundle, clock::now(), |user_id| {
        key.of(user_id)
    }))
}

/// The same for an event that arrived at `now`, where `key_of` knows the pseudonym. Needs an open session.
fn take(
    event: Option<&Json<'_>>,
    bundle: &Bundle,
    now: i64,
    key_of: impl Fn(&str) -> Uuid,
) -> Taken {
    let event = match Event::read(event, now) {
        Ok(event) => event,
        Err(bad) => {
            let user_key = bad.user_id.as_deref().map(key_of);
            store::quarantine(&bad, user_key, now);
            return Taken::Quarantined;
        }
    };
    let user_key = key_of(&event.user_id);
    // From here on one event of a user waits for the other, so that one cannot overlook the other.
    store::lock_user(user_key);
    if !store::event(&event, user_key, bundle, now) {
        return Taken::Duplicate;
    }
    features::fold(&event, user_key, bundle);
    if let Some(decision_id) = event.decision_id {
        store::outcome(&event, user_key, decision_id);
    }
    Taken::Accepted
}
