//! Which action an event means: actions have numbers, and may be renamed.

use pgrx::pg_sys::{INT4ARRAYOID, TEXTOID, TIMESTAMPTZOID};
use uuid::Uuid;

use super::contract::Event;
use super::decision::Decision;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::invalidation::Watch;
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Cached, Statement, datum};
use crate::policy::Bundle;

thread_local! {
    static NUMBER_SHOWN: Statement = const { Statement::new(
        "SELECT decide.number_shown($1, $2, $3)", &[INT4ARRAYOID, TIMESTAMPTZOID, TEXTOID]) };
    static RENAMED: Statement = const { Statement::new(
        "SELECT pg_catalog.max(c.at) FROM decide.name_change AS c WHERE c.kind = 'action'", &[]) };
    /// When an action was renamed last.
    static RENAMED_AT: Cached<i64> = const {
        Cached::new(Watch::Publication, "decide.publication")
    };
    static NUMBER: Statement = const { Statement::new(
        "SELECT decide.number_of_action($1)", &[TEXTOID]) };
}

/// The number of the action that an event about a decision, made for that user, names.
pub fn number(
    event: &Event<'_>,
    decided_for: Uuid,
    decision_id: Uuid,
    bundle: &Bundle,
) -> Option<i32> {
    let action = event.action?;
    let decided_at = moment_of(decision_id).map(from_unix_micros)?;
    let decision = is_renamed_since(decided_at).then(|| Decision::find(decision_id, decided_for));
    match decision.flatten() {
        Some(decision) => number_in(&decision, action, bundle),
        None => number_of(action, bundle),
    }
}

/// The number that an action of a decision has: by the name that it had when the decision was made, where actions were
/// renamed since.
pub fn number_in(decision: &Decision, action: &str, bundle: &Bundle) -> Option<i32> {
    if !is_renamed_since(decision.decided_at) {
        return number_of(action, bundle);
    }
    let args = [
        datum::array(&decision.actions),
        datum::timestamp(decision.decided_at),
        datum::text(action),
    ];
    let mut number = None;
    on_latest_snapshot(|| {
        NUMBER_SHOWN.with(|statement| statement.read(&args, |row| number = row.get(1)))
    });
    number
}

/// Whether an action was renamed after that moment.
fn is_renamed_since(moment: i64) -> bool {
    RENAMED_AT.with(|kept| kept.with(renamed_at, |&at| at > moment))
}

fn renamed_at() -> i64 {
    let mut at = None;
    RENAMED.with(|statement| statement.read(&[], |row| at = row.timestamp(1)));
    at.unwrap_or(i64::MIN)
}

/// The number of an action by its name of now.
fn number_of(action: &str, bundle: &Bundle) -> Option<i32> {
    if let Some(action) = bundle.actions.get(action) {
        return Some(action.number);
    }
    let mut number = None;
    on_latest_snapshot(|| {
        NUMBER.with(|statement| {
            statement.read(&[datum::text(action)], |row| number = row.get(1));
        })
    });
    number
}
