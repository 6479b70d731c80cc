//! The inbox: events that COPY has put there, with the pseudonym in the place of the user_id, until the job `fold`
//! takes them in.

use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDARRAYOID};
use pgrx::prelude::*;
use uuid::Uuid;

use super::batch::put_all;
use super::contract::{Arrival, EventUser, Invalid, Reason, Sender, coarsened, treated_in};
use super::{Ingest, quarantine};
use crate::error::{Error, OrRaise};
use crate::govern::pseudonym;
use crate::pg::attempt::{Caught, attempt, sqlstate};
use crate::pg::json::{Document, Field, Json};
use crate::pg::locked::Wait;
use crate::pg::{Session, Statement, datum, session};
use crate::policy::{self, Seen, user_key};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "SELECT i.received_at, i.user_key, i.event, i.ctid::text, i.treated FROM decide.event_inbox AS i \
          WHERE i.received_at >= $1 AND (i.user_key IS NULL OR i.user_key <> ALL ($3)) \
          ORDER BY i.received_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        &[TIMESTAMPTZOID, INT4OID, UUIDARRAYOID]) };
    static DELETE: Statement = const { Statement::new(
        "DELETE FROM decide.event_inbox AS i WHERE i.ctid = ANY ($1::tid[])", &[TEXTOID]) };
}

/// With so many users whose rows other transactions have locked, a run ends.
const MOST_LOCKED: usize = 10_000;

/// An event as it is in the inbox.
struct InboxEvent {
    received_at: i64,
    user_key: Option<Uuid>,
    text: String,
    tid: String,
    /// Attributes that were coarsened or hashed on the way in.
    treated: Vec<String>,
}

/// What became of a batch.
#[derive(Default)]
pub struct Folded {
    /// How many events were taken out of the inbox.
    pub events: i64,
    /// Whether there are more.
    pub more: bool,
    /// Of how many users the run has left events in the inbox so far.
    pub users_left: usize,
}

/// One run through the inbox, batch by batch.
pub struct InboxRun {
    /// Where the next batch begins: the rows before it were deleted a moment ago, and need not be passed again.
    from: i64,
    /// Users whose rows other transactions had locked in an earlier batch.
    locked_users: Vec<Uuid>,
}

impl Default for InboxRun {
    fn default() -> InboxRun {
        InboxRun {
            from: i64::MIN,
            locked_users: Vec::new(),
        }
    }
}

impl InboxRun {
    /// Takes at most so many events out of the inbox and in as `track` does. They are deleted from the inbox in the
    /// transaction that stores what they change. Waits for no other transaction: events of users whose rows are
    /// locked stay for the next run.
    pub fn fold(&mut self, most: i32) -> Result<Folded, Error> {
        let _session = Session::open();
        let mut events = self.lock(most);
        let Some(last) = events.iter().map(|event| event.received_at).max() else {
            return Ok(Folded {
                users_left: self.locked_users.len(),
                ..Folded::default()
            });
        };
        self.from = last;
        let full = events.len() as i64 >= i64::from(most);
        let ingest = Ingest::open()?;
        let locked_users = attempt(|| take_in(&events, &ingest)).unwrap_or_else(|_| {
            // One of them cannot be stored. It must not keep the others out.
            events.sort_by_key(|event| (event.user_key, event.received_at));
            take_in_each(&events, &ingest)
        });
        let stays = |event: &InboxEvent| {
            event
                .user_key
                .is_some_and(|key| locked_users.contains(&key))
        };
        events.retain(|event| !stays(event));
        delete(&events);
        self.locked_users.extend(locked_users);
        Ok(Folded {
            events: events.len() as i64,
            more: full && self.locked_users.len() < MOST_LOCKED,
            users_left: self.locked_users.len(),
        })
    }

    /// Locks the next events that no other session has locked.
    fn lock(&self, most: i32) -> Vec<InboxEvent> {
        let mut events = Vec::new();
        let args = [
            datum::timestamp(self.from),
            datum::int4(most),
            datum::uuids(&self.locked_users),
        ];
        LOCK.with(|statement| {
            statement.write(&args, |row| {
                events.push(InboxEvent {
                    received_at: row.timestamp(1).unwrap_or_default(),
                    user_key: row.uuid(2),
                    text: row.must(3),
                    tid: row.must(4),
                    treated: row
                        .get::<Vec<Option<String>>>(5)
                        .into_iter()
                        .flatten()
                        .flatten()
                        .collect(),
                })
            })
        });
        events
    }
}

fn delete(events: &[InboxEvent]) {
    let tids: Vec<String> = events
        .iter()
        .map(|event| format!("\"{}\"", event.tid))
        .collect();
    let tids = format!("{{{}}}", tids.join(","));
    DELETE.with(|statement| statement.write(&[datum::text(&tids)], |_| {}));
}

/// Takes in events one by one; the users whose rows other transactions have locked.
fn take_in_each(events: &[InboxEvent], ingest: &Ingest) -> Vec<Uuid> {
    let mut locked_users: Vec<Uuid> = Vec::new();
    for event in events {
        if event.user_key.is_some() && locked_users.last() == event.user_key.as_ref() {
            continue;
        }
        match attempt(|| take_in(std::slice::from_ref(event), ingest)) {
            Ok(users) => locked_users.extend(users),
            Err(error) => set_aside(event, error),
        }
    }
    locked_users
}

/// Takes in events; the users whose rows other transactions have locked.
fn take_in(events: &[InboxEvent], ingest: &Ingest) -> Vec<Uuid> {
    let document = |event: &InboxEvent| {
        session::check_interrupts();
        (!event.text.is_empty()).then(|| Document::parse(&event.text))
    };
    let documents: Vec<Option<Document>> = events.iter().map(document).collect();
    let mut valid = Vec::new();
    for (event, document) in events.iter().zip(&documents) {
        session::check_interrupts();
        let arrival = Arrival {
            user: event.user_key.map_or(EventUser::ByUserId, EventUser::ByKey),
            sender: Sender::Client,
            received: event.received_at,
            done: &event.treated,
        };
        let read = match document {
            None => Err(Invalid::because(Reason::NotJson)),
            Some(document) => ingest.read(&document.json(), &arrival),
        };
        match read {
            Ok(event) => valid.push(event),
            Err(invalid) => {
                quarantine::keep(&invalid, arrival.received);
            }
        }
    }
    put_all(ingest, valid, Wait::Never).locked_users
}

/// Quarantines an event that cannot be stored for what is in it; all other errors are raised.
fn set_aside(event: &InboxEvent, error: Caught) {
    let code = sqlstate(error.code);
    if !["22", "23", "54"].contains(&&code[..2]) {
        error.raise();
    }
    let invalid = Invalid {
        user_key: event.user_key,
        ..Invalid::with(Reason::Failed.about(&code))
    };
    quarantine::keep(&invalid, event.received_at);
}

/// Before a row comes into the inbox: its user_id gives way to the pseudonym. Of what is no JSON
/// object nothing is kept.
#[pg_trigger(sql = false)]
fn receive_event<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByRust>>, Box<dyn std::error::Error>> {
    let Some(row) = trigger.new() else {
        return Ok(None);
    };
    let mut row = row.into_owned();
    let text: Option<String> = row.get_by_name("event")?;
    // A blank line is a null to COPY.
    let text = text.unwrap_or_default();
    let document = attempt(|| Document::parse(&text)).ok();
    let object = document.as_ref().map(Document::json);
    let Some(event) = object.filter(Json::is_object) else {
        row.set_by_name("event", "")?;
        return Ok(Some(row));
    };
    let known = may_be_known(&event).or_raise();
    if let Some((known, treated)) = &known {
        row.set_by_name("event", known.text())?;
        row.set_by_name("treated", treated.clone())?;
    }
    let event = known.map_or(event, |(known, _)| known);
    match user_id(&event) {
        UserId::Absent => {}
        // Without its user_id the event would be quarantined for a missing one, not for an invalid one.
        UserId::Invalid => {
            let with_invalid = event.with(&only_user_id("").json());
            row.set_by_name("event", with_invalid.json().text())?
        }
        UserId::Valid(user_id) => {
            let user_key = user_key(&user_id, Seen::ToWrite).or_raise();
            row.set_by_name("event", event.without("user_id").json().text())?;
            row.set_by_name("user_key", pgrx::Uuid::from_bytes(*user_key.as_bytes()))?;
        }
    }
    Ok(Some(row))
}

/// The event as it may be known, with its attributes that are not what they were; None where it may be known as it is.
fn may_be_known<'a>(event: &Json<'a>) -> Result<Option<(Json<'a>, Vec<String>)>, Error> {
    let bundle = match policy::live() {
        // Nothing says that there is something to be left out.
        Err(Error::NothingPublished) => return Ok(None),
        bundle => bundle?,
    };
    if bundle.context_fields.of_events.is_empty() {
        return Ok(None);
    }
    let keys = pseudonym::keys()?;
    let Some(known) = coarsened(event, &[], &bundle, &keys) else {
        return Ok(None);
    };
    let treated = treated_in(&known, &bundle);
    let treated = treated.into_iter().map(str::to_owned).collect();
    Ok(Some((known, treated)))
}

enum UserId {
    Absent,
    Invalid,
    Valid(String),
}

/// The user_id of an event, as `track` reads it.
fn user_id(event: &Json<'_>) -> UserId {
    let text = match event.get("user_id") {
        None | Some(Field::Null) => return UserId::Absent,
        Some(Field::Text(text)) => Some(text.to_owned()),
        Some(_) => event.bigint("user_id").map(|number| number.to_string()),
    };
    text.filter(|text| pseudonym::user_id(Some(text)).is_ok())
        .map_or(UserId::Invalid, UserId::Valid)
}

fn only_user_id(user_id: &str) -> Document {
    Document::parse(&serde_json::json!({ "user_id": user_id }).to_string())
}
