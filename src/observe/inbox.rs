//! The inbox: events that COPY has put there, without the person, until they are folded in.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDARRAYOID};
use pgrx::prelude::*;
use uuid::Uuid;

use super::contract::{Invalid, Sender, Who};
use super::{Ingest, quarantine};
use crate::error::{Error, OrRaise};
use crate::govern::pseudonym;
use crate::pg::attempt::{Caught, attempt, sqlstate};
use crate::pg::json::{Document, Field, Json};
use crate::pg::locked::Wait;
use crate::pg::{Session, Statement, datum, session};

thread_local! {
    static TAKE: Statement = const { Statement::new(
        "SELECT i.received_at, i.user_key, i.event, i.ctid::text FROM decide.event_inbox AS i \
          WHERE i.received_at >= $1 AND (i.user_key IS NULL OR i.user_key <> ALL ($3)) \
          ORDER BY i.received_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        &[TIMESTAMPTZOID, INT4OID, UUIDARRAYOID]) };
    static REMOVE: Statement = const { Statement::new(
        "DELETE FROM decide.event_inbox AS i WHERE i.ctid = ANY ($1::tid[])", &[TEXTOID]) };
    /// Where the next batch begins: what lies before was taken out a moment ago, and its dead rows
    /// need not be looked at again.
    static BEGIN: Cell<i64> = const { Cell::new(i64::MIN) };
    /// Users whose rows others had in an earlier batch of this run.
    static HELD: RefCell<Vec<Uuid>> = const { RefCell::new(Vec::new()) };
}

/// Users that are passed over in one run; with more of them the run ends.
const MOST_HELD: usize = 10_000;

/// An event as it lay in the inbox.
struct Letter {
    received_at: i64,
    user_key: Option<Uuid>,
    event: String,
    /// Where it lies.
    place: String,
}

/// What became of a batch.
pub struct Folded {
    /// How many events were taken in.
    pub events: i64,
    /// Whether there are more.
    pub more: bool,
}

/// Of how many users the run that has just ended has left events in the inbox, since other transactions have
/// their rows.
pub fn left() -> usize {
    HELD.with_borrow(Vec::len)
}

/// Takes at most so many events out of the inbox and in as `track` does. They are gone from the inbox when,
/// and only when, what they have changed is committed. Waits for nobody: those of users whose rows others
/// have stay for the next run.
pub fn fold(most: i32) -> Result<Folded, Error> {
    let _session = Session::open();
    if BEGIN.get() == i64::MIN {
        HELD.take();
    }
    let mut letters = take(most);
    let last = letters.iter().map(|letter| letter.received_at).max();
    let full = letters.len() as i64 >= i64::from(most);
    BEGIN.set(last.filter(|_| full).unwrap_or(i64::MIN));
    if letters.is_empty() {
        return Ok(Folded {
            events: 0,
            more: false,
        });
    }
    let ingest = Ingest::open(Sender::Client)?;
    let held = attempt(|| open_all(&letters, &ingest)).unwrap_or_else(|_| {
        // One of them cannot be taken in. It must not keep the others out.
        letters.sort_by_key(|letter| (letter.user_key, letter.received_at));
        open_each(&letters, &ingest)
    });
    let is_held = |letter: &Letter| letter.user_key.is_some_and(|user| held.contains(&user));
    let taken: Vec<&Letter> = letters.iter().filter(|letter| !is_held(letter)).collect();
    remove(&taken);
    let few = HELD.with_borrow_mut(|all| {
        all.extend(&held);
        all.len() < MOST_HELD
    });
    if !few {
        BEGIN.set(i64::MIN);
    }
    Ok(Folded {
        events: taken.len() as i64,
        more: full && few,
    })
}

/// One by one; the users whose rows others have.
fn open_each(letters: &[Letter], ingest: &Ingest) -> Vec<Uuid> {
    let mut held: Vec<Uuid> = Vec::new();
    for letter in letters {
        if letter.user_key.is_some() && held.last() == letter.user_key.as_ref() {
            continue;
        }
        match attempt(|| open_all(std::slice::from_ref(letter), ingest)) {
            Ok(users) => held.extend(users),
            Err(error) => set_aside(letter, error),
        }
    }
    held
}

fn remove(letters: &[&Letter]) {
    let places: Vec<String> = letters
        .iter()
        .map(|letter| format!("\"{}\"", letter.place))
        .collect();
    let places = format!("{{{}}}", places.join(","));
    REMOVE.with(|statement| statement.write(&[datum::text(&places)], |_| {}));
}

fn take(most: i32) -> Vec<Letter> {
    let mut letters = Vec::new();
    let held = HELD.with_borrow(Vec::clone);
    let args = [
        datum::timestamp(BEGIN.get()),
        datum::int4(most),
        datum::uuids(&held),
    ];
    TAKE.with(|statement| {
        statement.write(&args, |row| {
            letters.push(Letter {
                received_at: row.timestamp(1).unwrap_or_default(),
                user_key: row
                    .get::<pgrx::Uuid>(2)
                    .map(|key| Uuid::from_bytes(*key.as_bytes())),
                event: row.must(3),
                place: row.must(4),
            })
        })
    });
    letters
}

/// Takes them in; answers the users whose rows others have.
fn open_all(letters: &[Letter], ingest: &Ingest) -> Vec<Uuid> {
    let document = |letter: &Letter| {
        session::check_interrupts();
        (!letter.event.is_empty()).then(|| Document::parse(&letter.event))
    };
    let documents: Vec<Option<Document>> = letters.iter().map(document).collect();
    let mut good = Vec::new();
    for (letter, document) in letters.iter().zip(&documents) {
        session::check_interrupts();
        let who = letter.user_key.map_or(Who::Named, Who::Known);
        let read = match document {
            None => Err(Invalid::unreadable("not_json")),
            Some(document) => ingest.read(&document.json(), who, letter.received_at),
        };
        match read {
            Ok(event) => good.push(event),
            Err(bad) => quarantine::keep(&bad, letter.received_at),
        }
    }
    ingest.put_all(good, Wait::Never).1
}

/// Quarantines an event that cannot be taken in for what is in it; all other errors are raised.
fn set_aside(letter: &Letter, error: Caught) {
    let code = sqlstate(error.code);
    if !["22", "23", "54"].contains(&&code[..2]) {
        error.raise();
    }
    let bad = Invalid {
        user_key: letter.user_key,
        ..Invalid::unreadable(&format!("failed: {code}"))
    };
    quarantine::keep(&bad, letter.received_at);
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
    match person(&event) {
        Person::Absent => {}
        // So that the reason will be that the identifier is bad, and not that it is missing.
        Person::Invalid => {
            row.set_by_name("event", event.with(&somebody("").json()).json().text())?
        }
        Person::Known(user_id) => {
            let user_key = pseudonym::key().or_raise().of(&user_id);
            row.set_by_name("event", event.without("user_id").json().text())?;
            row.set_by_name("user_key", pgrx::Uuid::from_bytes(*user_key.as_bytes()))?;
        }
    }
    Ok(Some(row))
}

enum Person {
    Absent,
    Invalid,
    Known(String),
}

/// Whom an event is about, as `track` reads it.
fn person(event: &Json<'_>) -> Person {
    let text = match event.get("user_id") {
        None | Some(Field::Null) => return Person::Absent,
        Some(Field::Text(text)) => Some(text.to_owned()),
        Some(_) => event.bigint("user_id").map(|number| number.to_string()),
    };
    text.filter(|text| pseudonym::user_id(Some(text)).is_ok())
        .map_or(Person::Invalid, Person::Known)
}

fn somebody(user_id: &str) -> Document {
    Document::parse(&serde_json::json!({ "user_id": user_id }).to_string())
}
