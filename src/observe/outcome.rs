//! Outcomes: events joined to the decisions that they follow from.

use uuid::Uuid;

use super::action;
use super::contract::Event;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::record::{Insert, Timestamp, insert_row};
use crate::policy::Bundle;

insert_row! {
    /// A row of decide.outcome: its columns, in their order.
    pub struct Outcome<'a> {
        user_key: Uuid,
        decision_id: Uuid,
        event_id: &'a str,
        decided_at: Timestamp,
        at: Timestamp,
        r#type: &'a str,
        action: Option<&'a str>,
        value: Option<f64>,
        number: Option<i32>,
    }
}

thread_local! {
    static OUTCOME: Insert = const { Insert::new("decide.outcome", Outcome::COLUMNS).once() };
}

impl Outcome<'_> {
    /// Adds it, unless that event has given the decision an outcome before.
    pub fn add(&self) {
        OUTCOME.with(|insert| insert.run(&self.args()));
    }
}

insert_row! {
    /// A row of decide.outcome_queue.
    struct Queued<'a> {
        user_key: Uuid,
        event_id: &'a str,
        at: Timestamp,
        received_at: Timestamp,
    }
}

thread_local! {
    static QUEUE: Insert = const { Insert::new("decide.outcome_queue", Queued::COLUMNS) };
}

/// Leaves an event that outcome types speak of to the job `attribution`.
pub fn queue(event: &Event<'_>, bundle: &Bundle) {
    if bundle.outcome_types.attributes(event.kind).is_none() {
        return;
    }
    let queued = Queued {
        user_key: event.user_key,
        event_id: &event.event_id,
        at: Timestamp(event.at),
        received_at: Timestamp(event.received),
    };
    QUEUE.with(|insert| insert.run(&queued.args()));
}

/// Stores the outcome of the decision that the event names, if it names one, as one of the user for whom it was made.
pub fn store(event: &Event<'_>, decided_for: Uuid, bundle: &Bundle) {
    let Some(decision_id) = event.decision_id else {
        return;
    };
    let outcome = Outcome {
        user_key: decided_for,
        decision_id,
        event_id: &event.event_id,
        decided_at: Timestamp(moment_of(decision_id).map_or(0, from_unix_micros)),
        at: Timestamp(event.at),
        r#type: event.kind,
        action: event.action,
        value: event.value,
        number: action::number(event, decided_for, decision_id, bundle),
    };
    outcome.add();
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::observe::outcome::Outcome;
    use crate::pg::record::assert_columns_of;

    #[pg_test]
    fn an_outcome_lists_the_columns_of_its_table() {
        assert_columns_of("outcome", Outcome::COLUMNS);
    }
}
