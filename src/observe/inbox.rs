//! The inbox: events that COPY has put there, without the person, until they are folded in.

use std::cell::Cell;

use pgrx::pg_sys::{INT4OID, TIMESTAMPTZOID};
use pgrx::prelude::*;
use uuid::Uuid;

use super::contract::{Bad, Sender, Who};
use super::{Desk, quarantine};
use crate::error::{Error, OrRaise};
use crate::govern::pseudonym;
use crate::pg::attempt::{Caught, attempt, sqlstate};
use crate::pg::json::{Field, Json};
use crate::pg::{Session, Statement, datum, session};

thread_local! {
    static TAKE_OUT: Statement = const { Statement::new(
        "DELETE FROM decide.event_inbox AS i \
          WHERE i.ctid = ANY (ARRAY(SELECT o.ctid FROM decide.event_inbox AS o WHERE o.received_at >= $1 \
                                     ORDER BY o.received_at LIMIT $2 FOR UPDATE SKIP LOCKED)) \
         RETURNING i.received_at, i.user_key, i.event",
        &[TIMESTAMPTZOID, INT4OID]) };
    /// Where the next batch begins: what lies before was taken out a moment ago, and its dead rows
    /// need not be looked at again.
    static BEGIN: Cell<i64> = const { Cell::new(i64::MIN) };
}

/// An event as it lay in the inbox.
struct Letter {
    received_at: i64,
    user_key: Option<Uuid>,
    event: String,
}

/// Takes at most so many events out of the inbox and in as `track` does; answers how many. They are
/// gone from the inbox when, and only when, what they have changed is committed.
pub fn fold(most: i32) -> Result<i64, Error> {
    let _session = Session::open();
    let mut letters = take_out(most);
    let last = letters.iter().map(|letter| letter.received_at).max();
    let full = letters.len() as i64 >= i64::from(most);
    BEGIN.set(last.filter(|_| full).unwrap_or(i64::MIN));
    if letters.is_empty() {
        return Ok(0);
    }
    let desk = Desk::open(Sender::Client)?;
    let all = attempt(|| open_all(&letters, &desk));
    if all.is_err() {
        // One of them cannot be taken in. It must not keep the others out.
        letters.sort_by_key(|letter| (letter.user_key, letter.received_at));
        for letter in &letters {
            if let Err(error) = attempt(|| open_all(std::slice::from_ref(letter), &desk)) {
                set_aside(letter, error);
            }
        }
    }
    Ok(letters.len() as i64)
}

fn take_out(most: i32) -> Vec<Letter> {
    let mut letters = Vec::new();
    let args = [datum::timestamp(BEGIN.get()), datum::int4(most)];
    TAKE_OUT.with(|statement| {
        statement.write(&args, |row| {
            letters.push(Letter {
                received_at: row.timestamp(1).unwrap_or_default(),
                user_key: row
                    .get::<pgrx::Uuid>(2)
                    .map(|key| Uuid::from_bytes(*key.as_bytes())),
                event: row.must(3),
            })
        })
    });
    letters
}

fn open_all(letters: &[Letter], desk: &Desk) {
    let mut good = Vec::new();
    for letter in letters {
        session::check_interrupts();
        let who = letter.user_key.map_or(Who::Named, Who::Known);
        let read = match letter.event.as_str() {
            "" => Err(Bad::unreadable("not_json")),
            text => desk.read(&Json::parse(text), who, letter.received_at),
        };
        match read {
            Ok(event) => good.push(event),
            Err(bad) => quarantine::keep(&bad, letter.received_at),
        }
    }
    desk.put_all(good);
}

/// Quarantines an event that cannot be taken in for what is in it; all other errors are raised.
fn set_aside(letter: &Letter, error: Caught) {
    let code = sqlstate(error.code);
    if !["22", "23", "54"].contains(&&code[..2]) {
        error.raise();
    }
    let bad = Bad {
        user_key: letter.user_key,
        ..Bad::unreadable(&format!("failed: {code}"))
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
    let object = attempt(|| Json::parse(&text)).ok().filter(Json::is_object);
    let Some(event) = object else {
        row.set_by_name("event", "")?;
        return Ok(Some(row));
    };
    match person(&event) {
        Person::Absent => {}
        // So that the reason will be that the identifier is bad, and not that it is missing.
        Person::Bad => row.set_by_name("event", event.with(&somebody("")).text())?,
        Person::Known(user_id) => {
            let user_key = pseudonym::key().or_raise().of(&user_id);
            row.set_by_name("event", event.without("user_id").text())?;
            row.set_by_name("user_key", pgrx::Uuid::from_bytes(*user_key.as_bytes()))?;
        }
    }
    Ok(Some(row))
}

enum Person {
    Absent,
    Bad,
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
        .map_or(Person::Bad, Person::Known)
}

fn somebody<'a>(user_id: &str) -> Json<'a> {
    Json::parse(&serde_json::json!({ "user_id": user_id }).to_string())
}
