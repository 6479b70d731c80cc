//! Events in their table, each once.

use pgrx::pg_sys::{TEXTOID, TIMESTAMPTZOID, UUIDOID};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::contract::Event;
use super::fact::{Fact, written};
use crate::pg::append::append;
use crate::pg::clock;
use crate::pg::daily::{Daily, Day};
use crate::pg::datum;
use crate::pg::invalidation::Watch;
use crate::pg::json::Field;
use crate::pg::partition::has_between;
use crate::pg::record::{Insert, JsonText, Timestamp, insert_row};
use crate::policy::Bundle;

insert_row! {
    /// A row of decide.event: its columns, in their order.
    struct EventRow<'a> {
        user_key: Uuid,
        event_id: &'a str,
        at: Timestamp,
        received_at: Timestamp,
        r#type: &'a str,
        action: Option<&'a str>,
        surface: Option<&'a str>,
        decision_id: Option<Uuid>,
        value: Option<f64>,
        attributes: Option<JsonText<'a>>,
        schema_version: i16,
        ordinal: i64,
    }
}

thread_local! {
    static EVENT: Insert = const { Insert::new("decide.event", EventRow::COLUMNS).unless(
        "SELECT 1 FROM decide.event AS e WHERE e.user_key = $1 AND e.event_id = $2 AND e.at >= $13 AND e.at <= $14",
        &[TIMESTAMPTZOID, TIMESTAMPTZOID]) };
}

/// Where events go.
const DAILY: Daily = Daily {
    table: "event",
    key: [
        ("user_key", UUIDOID),
        ("event_id", TEXTOID),
        ("at", TIMESTAMPTZOID),
    ],
    watch: Watch::Event,
};

/// Whether the event is stored already; None if only a statement can tell.
pub fn is_there(event: &Event<'_>) -> Option<bool> {
    let (first, last) = horizon(event);
    let days = days(first, last)?;
    let (key, id) = (event.user_key, &event.event_id);
    has_between(&days, key, id, (first, last))
}

/// The moments from and to which an event with the same event_id is the same event.
pub fn horizon(event: &Event<'_>) -> (i64, i64) {
    let horizon = event.contract.dedup_horizon;
    (
        event.at.saturating_sub(horizon),
        event.at.saturating_add(horizon),
    )
}

/// Stores the event, as the user's next one; false if it is there already. The user's row must be locked.
pub fn store(event: &Event<'_>, fact: &Fact<'_>, bundle: &Bundle, ordinal: i64) -> bool {
    match is_there(event) {
        Some(true) => false,
        there => add(event, fact, bundle, ordinal, there == Some(false)),
    }
}

/// The same for an event that may be known to be new.
pub fn add(
    event: &Event<'_>,
    fact: &Fact<'_>,
    bundle: &Bundle,
    ordinal: i64,
    is_new: bool,
) -> bool {
    let attributes = kept_attributes(event, fact, bundle).map(|kept| kept.to_string());
    let row = EventRow {
        user_key: event.user_key,
        event_id: &event.event_id,
        at: Timestamp(event.at),
        received_at: Timestamp(event.received),
        r#type: event.kind,
        action: event.action,
        surface: event.surface,
        decision_id: event.decision_id,
        value: event.value,
        attributes: attributes.as_deref().map(JsonText),
        schema_version: event.contract.version,
        ordinal,
    };
    let row = row.args();
    let day = DAILY.day(event.at).filter(|_| is_new);
    if day.is_some_and(|day| append(day, EventRow::COLUMNS, &row)) {
        return true;
    }
    let (first, last) = horizon(event);
    let mut args = row.to_vec();
    args.extend([datum::timestamp(first), datum::timestamp(last)]);
    EVENT.with(|insert| insert.run(&args)) == 1
}

/// Most days whose partitions are looked at one by one.
const MOST_DAYS: i64 = 5;

/// The partitions of all days from one moment to another; None if one of them has no plain partition, or if there are
/// too many.
fn days(first: i64, last: i64) -> Option<Vec<Day>> {
    let (first, last) = (first.div_euclid(clock::DAY), last.div_euclid(clock::DAY));
    if last - first >= MOST_DAYS {
        return None;
    }
    (first..=last)
        .map(|day| DAILY.day(day * clock::DAY))
        .collect()
}

/// Only the attributes that features look at, and those that the contract keeps; the rest is not kept.
fn kept_attributes(event: &Event<'_>, fact: &Fact<'_>, bundle: &Bundle) -> Option<Value> {
    let mut kept = Map::new();
    let of_outcomes = bundle.outcome_types.attributes(event.kind);
    for name in event
        .contract
        .keep
        .iter()
        .chain(of_outcomes.into_iter().flatten())
    {
        if let Some(value) = event.attributes.and_then(|all| plain(all.get(name)?)) {
            kept.insert(name.clone(), value);
        }
    }
    for moved in bundle.moved_by.get(event.kind).into_iter().flatten() {
        for (path, number) in bundle.features[moved.feature].paths() {
            fact.keep(path, number, &mut kept);
        }
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}

/// A text, a number or a boolean; what is nested is not kept.
fn plain(field: Field<'_>) -> Option<Value> {
    match field {
        Field::Text(text) => Some(text.into()),
        Field::Number(number) if number.is_finite() => Some(written(number)),
        Field::Bool(boolean) => Some(boolean.into()),
        _ => None,
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::observe::store::EventRow;
    use crate::pg::record::assert_columns_of;

    #[pg_test]
    fn an_event_lists_the_columns_of_its_table() {
        assert_columns_of("event", EventRow::COLUMNS);
    }
}
