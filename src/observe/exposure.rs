//! Caps per user that count events: what a decision reserved is confirmed by its event.

use pgrx::pg_sys::{TEXTOID, TIMESTAMPTZOID, UUIDOID};

use super::contract::Event;
use crate::math::identifier::moment_of;
use crate::math::ledger::{self, COUNTED};
use crate::pg::clock::from_unix_micros;
use crate::pg::{Statement, datum};
use crate::policy::{Bundle, Cap, UserRow};

thread_local! {
    static KNOWN: Statement = const { Statement::new(
        "SELECT 1 FROM decide.outcome AS o \
          WHERE o.decision_id = $1 AND o.user_key = $2 AND o.type = $3 AND o.action IS NOT DISTINCT FROM $4 \
            AND o.decided_at = $5 LIMIT 1",
        &[UUIDOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID]) };
}

/// Counts the event in the caps of its user. An exposure counts once: a second event of the type about
/// the same action of the same decision changes nothing. One that comes when its reservation is over, or
/// that no decision reserved anything for, is counted as well. Needs an open session, and the outcome
/// must not be stored yet.
pub fn count(event: &Event<'_>, bundle: &Bundle, row: &mut UserRow) {
    for cap in bundle.counting(event.kind) {
        let slot = cap.slot.into();
        let mut block = ledger::block(&row.exposures, slot).to_vec();
        let counted = match event.decision_id.and_then(moment_of).map(from_unix_micros) {
            Some(decided_at) => confirm(event, cap, bundle, decided_at, &mut block),
            None => count_alone(event, cap, bundle, &mut block),
        };
        if counted {
            ledger::put(&mut row.exposures, slot, &block);
        }
    }
}

/// The event says which decision it follows from.
fn confirm(
    event: &Event<'_>,
    cap: &Cap,
    bundle: &Bundle,
    decided_at: i64,
    block: &mut Vec<i64>,
) -> bool {
    let terms = cap.terms(event.received);
    let number = match event.action {
        Some(action) => bundle
            .actions
            .get(action)
            .map(|action| i64::from(action.number)),
        None => ledger::entries(block)
            .find(|&(at, _, state)| state > COUNTED && at >= decided_at)
            .map(|(.., state)| state),
    };
    let Some((number, amount)) =
        number.and_then(|number| Some((number, *cap.amounts.get(&(number as i32))?)))
    else {
        return false;
    };
    let itself = ledger::entries(block).any(|(at, _, state)| (at, state) == (decided_at, number));
    if !itself && is_known(event, decided_at) {
        return false;
    }
    if ledger::confirm(block, decided_at, amount, number, &terms) {
        return true;
    }
    let here = event
        .surface
        .is_none_or(|surface| cap.amount(number as i32, surface).is_some());
    if here {
        ledger::take(block, (decided_at, amount, COUNTED), &terms);
    }
    here
}

/// It does not: the oldest reservation of its action, or else the event by itself.
fn count_alone(event: &Event<'_>, cap: &Cap, bundle: &Bundle, block: &mut Vec<i64>) -> bool {
    let action = event.action.and_then(|action| bundle.actions.get(action));
    let Some(number) = action.map(|action| action.number) else {
        return false;
    };
    let amount = match event.surface {
        Some(surface) => cap.amount(number, surface),
        None => cap.amounts.get(&number).copied(),
    };
    let Some(amount) = amount else { return false };
    let terms = cap.terms(event.received);
    let held = ledger::entries(block)
        .filter(|&(at, _, state)| state == i64::from(number) && at >= terms.reserved_from)
        .map(|(at, ..)| at)
        .min();
    match held {
        Some(at) => ledger::confirm(block, at, amount, number.into(), &terms),
        None => {
            ledger::take(block, (event.at, amount, COUNTED), &terms);
            true
        }
    }
}

/// Whether an event of the type has told of this exposure before.
fn is_known(event: &Event<'_>, decided_at: i64) -> bool {
    let args = [
        event.decision_id.and_then(datum::uuid),
        datum::uuid(event.user_key),
        datum::text(event.kind),
        datum::optional_text(event.action),
        datum::timestamp(decided_at),
    ];
    KNOWN.with(|statement| statement.write(&args, |_| {})) > 0
}
