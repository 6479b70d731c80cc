//! An event that conforms to its contract, and one that does not.

use uuid::Uuid;

use super::reason::Reason;
use crate::observe::fact::{Fact, Origin};
use crate::pg::json::Json;
use crate::policy::{Bundle, Contract};

/// A valid event; borrowed from the jsonb that it came in, and from the bundle that it was read by.
pub struct Event<'a> {
    pub event_id: String,
    pub kind: &'a str,
    pub user_key: Uuid,
    /// Microseconds since 2000.
    pub at: i64,
    pub received: i64,
    pub action: Option<&'a str>,
    pub surface: Option<&'a str>,
    pub decision_id: Option<Uuid>,
    pub value: Option<f64>,
    pub attributes: Option<Json<'a>>,
    pub contract: &'a Contract,
}

impl<'a> Event<'a> {
    /// What features see of it.
    pub fn fact(&self, bundle: &'a Bundle) -> Fact<'a> {
        Fact {
            at: self.at,
            action: self.action,
            surface: self.surface,
            value: self.value,
            attributes: self.attributes,
            origin: Origin::Incoming(bundle),
        }
    }
}

/// An invalid event: the reasons, and what may be kept of it.
pub struct Invalid<'a> {
    pub reasons: Vec<String>,
    pub kind: Option<&'a str>,
    pub user_key: Option<Uuid>,
    pub payload: Option<Json<'a>>,
}

impl<'a> Invalid<'a> {
    /// An event of which nothing is kept but the reason.
    pub fn because(reason: Reason) -> Invalid<'a> {
        Invalid::with(reason.as_str().to_owned())
    }

    /// The same for a reason that is about something.
    pub fn with(reason: String) -> Invalid<'a> {
        Invalid {
            reasons: vec![reason],
            kind: None,
            user_key: None,
            payload: None,
        }
    }
}

/// How an event arrived.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub user: EventUser,
    pub sender: Sender,
    /// When it was received.
    pub received: i64,
    /// Attributes that were coarsened or hashed before: it comes from the inbox, or from the quarantine.
    pub done: &'a [String],
}

/// Whose event it is.
#[derive(Clone, Copy)]
pub enum EventUser {
    /// The user whom its user_id names.
    ByUserId,
    /// The user of this pseudonym; a user_id in the event is not read.
    ByKey(Uuid),
}

/// Who sent it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Any role that may track.
    Client,
    /// The trigger of a tracked table.
    TrackedTable,
}
