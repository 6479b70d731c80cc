//! Facts come in: an event is checked, stored once, and folded into the features of its user.

mod contract;
mod features;
mod store;
mod verbs;

use contract::Event;

use crate::error::Error;
use crate::govern::pseudonym;
use crate::pg::json::Json;
use crate::pg::{Session, clock};
use crate::policy;

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
    let now = clock::now();
    let _session = Session::open();
    let event = match Event::read(event, now) {
        Ok(event) => event,
        Err(bad) => {
            store::quarantine(&bad, &key, now);
            return Ok(Taken::Quarantined);
        }
    };
    let user_key = key.of(&event.user_id);
    // From here on one event of a user waits for the other, so that one cannot overlook the other.
    store::lock_user(user_key);
    if !store::event(&event, user_key, &bundle, now) {
        return Ok(Taken::Duplicate);
    }
    features::fold(&event, user_key, &bundle);
    if let Some(decision_id) = event.decision_id {
        store::outcome(&event, user_key, decision_id);
    }
    Ok(Taken::Accepted)
}
