//! Whether the decision that an event names was made, and for that user.

use pgrx::pg_sys::{TIMESTAMPTZOID, UUIDOID};

use super::contract::Event;
use crate::math::identifier::moment_of;
use crate::pg::clock::from_unix_micros;
use crate::pg::{Session, Statement, datum};

thread_local! {
    static TRACE: Statement = const { Statement::new(
        "SELECT 1 FROM decide.trace AS t WHERE t.decision_id = $1 AND t.user_key = $2 AND t.decided_at = $3 LIMIT 1",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID]) };
}

/// True too for an event that names none. A decision of this transaction counts, also of this statement.
pub fn is_the_users(event: &Event<'_>) -> bool {
    let Some(decision_id) = event.decision_id else {
        return true;
    };
    let Some(decided_at) = moment_of(decision_id).map(from_unix_micros) else {
        return false;
    };
    let _session = Session::open();
    let args = [
        datum::uuid(decision_id),
        datum::uuid(event.user_key),
        datum::timestamp(decided_at),
    ];
    TRACE.with(|statement| statement.write(&args, |_| {})) > 0
}
