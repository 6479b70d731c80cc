//! What may be known of the attributes of an event: before it is read, before it is in the inbox or the quarantine.

use pgrx::pg_sys::{INT4OID, TEXTOID};

use crate::govern::pseudonym::Keys;
use crate::pg::json::{Field, Json};
use crate::pg::{Session, Statement, datum, session};
use crate::policy::Bundle;

thread_local! {
    static COUNT: Statement = const { Statement::new(
        "INSERT INTO decide.uncoarsened AS u (day, field, stripe, events) \
         VALUES ((pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::pg_catalog.date, $1, $2, 1) \
         ON CONFLICT (day, field, stripe) DO UPDATE SET events = u.events + 1",
        &[TEXTOID, INT4OID]) };
}

/// The event as it may be known, in the current memory context; None where that is as it is. Attributes that are `done`
/// were coarsened or hashed before.
pub fn coarsened<'a>(
    event: &Json<'a>,
    done: &[String],
    bundle: &Bundle,
    keys: &Keys,
) -> Option<Json<'a>> {
    let coarsening = &bundle.context_fields.of_events;
    if coarsening.is_empty() {
        return None;
    }
    let attributes = match event.get(ATTRIBUTES) {
        None | Some(Field::Null) => return None,
        Some(Field::Object(attributes)) => attributes,
        // It is a fault, whatever is in it, and nothing of that is known.
        Some(_) => return Some(event.changed(&[(ATTRIBUTES, Some(Json::empty_array()))])),
    };
    let hash = |field: &str, value: &str| Some(keys.newest().of_value(field, value));
    let known = coarsening.of(&attributes, done, hash)?;
    if known.failed != 0 {
        let _session = Session::open();
        for field in coarsening.names_of(known.failed) {
            let args = [datum::text(field), datum::int4(session::process())];
            COUNT.with(|statement| statement.write(&args, |_| {}));
        }
    }
    Some(event.changed(&[(ATTRIBUTES, Some(known.document))]))
}

/// The attributes of an event, as it may be known, that are not what they were.
pub fn treated_in<'b>(event: &Json<'_>, bundle: &'b Bundle) -> Vec<&'b str> {
    match event.get(ATTRIBUTES) {
        Some(Field::Object(attributes)) => bundle.context_fields.of_events.treated_in(&attributes),
        _ => Vec::new(),
    }
}

const ATTRIBUTES: &str = "attributes";
