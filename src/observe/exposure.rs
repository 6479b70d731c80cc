//! Caps per user that count events. An event that names a decision confirms an exposure of that decision: the caps,
//! the amounts, the actions and the moment are those of its trace, whatever else the event says and whatever the
//! policy has become. An event without a decision counts by its own action and surface.

use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::action;
use super::contract::Event;
use super::decision::{self, Decision, Reserved};
use crate::caps::Cap;
use crate::math::ledger;
use crate::pg::invalidation::Watch;
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Cached, Statement, clock, datum};
use crate::policy::{Bundle, UserRow};

thread_local! {
    static CONFIRMED: Statement = const { Statement::new(
        "SELECT 1 FROM decide.outcome AS o \
          WHERE o.decision_id = $1 AND o.user_key = $2 AND o.decided_at = $3 AND o.type = $4 \
            AND (o.action IS NULL OR o.number = $5) LIMIT 1",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID, INT4OID]) };
    static TYPES: Statement = const { Statement::new(
        "SELECT DISTINCT s.definition ->> 'counts' FROM decide.cap_slot AS s \
           JOIN decide.cap_catalog() AS k ON k.per = s.definition ->> 'per' AND k.counted_in = 'user_state' \
          WHERE s.definition ->> 'counts' <> 'decision'", &[]) };
    static CELL: Statement = const { Statement::new(
        "SELECT s.cell_us FROM decide.cap_slot AS s \
           JOIN decide.cap_catalog() AS k ON k.per = s.definition ->> 'per' AND k.counted_in = 'user_state' \
          WHERE s.slot = $1 AND s.definition ->> 'counts' = $2",
        &[INT4OID, TEXTOID]) };
    /// The event types that caps per user count, or have ever counted.
    static COUNTED: Cached<Vec<String>> = const {
        Cached::new(Watch::Publication, "decide.publication")
    };
}

/// Counts a new event in the caps of its user. The outcome must not be stored yet.
pub fn count(event: &Event<'_>, bundle: &Bundle, row: &mut UserRow) {
    match event.decision_id {
        Some(decision_id) if may_confirm(event) => count_decision(event, decision_id, bundle, row),
        // It names a decision, but no cap counts this type.
        Some(_) => {}
        None => {
            for cap in bundle.counting(event.kind) {
                count_by_itself(event, cap, bundle, row);
            }
        }
    }
}

/// Whether the event may confirm an exposure that some cap counts: then the trace of its decision is read, and the
/// outcomes stored before it.
pub fn may_confirm(event: &Event<'_>) -> bool {
    let is_counted = |types: &Vec<String>| types.iter().any(|counted| counted == event.kind);
    event.decision_id.is_some() && COUNTED.with(|kept| kept.with(counted_types, is_counted))
}

fn counted_types() -> Vec<String> {
    let mut types = Vec::new();
    TYPES.with(|statement| statement.read(&[], |row| types.push(row.must(1))));
    types
}

/// Counts the slots of a decision that the event is about: the one with its action, or all of them. A slot that an
/// event of the type has confirmed before counts no more.
fn count_decision(event: &Event<'_>, decision_id: Uuid, bundle: &Bundle, row: &mut UserRow) {
    let decided_for = decision::owner(event, row);
    let Some(decision) = Decision::find(decision_id, decided_for) else {
        return;
    };
    let only = event
        .action
        .map(|action| action::number_in(&decision, action, bundle));
    // By action; the slots of a slate are few.
    let mut looked_up: Vec<(i32, bool)> = Vec::new();
    for reserved in decision.reserved_of_user() {
        if only.is_some_and(|only| only != Some(reserved.action)) {
            continue;
        }
        let Some(counter) = Counter::of(reserved.cap, event.kind, bundle) else {
            continue;
        };
        // While the reservation of this slot is in the ledger, no event has confirmed it.
        let block = ledger::block(&row.exposures, reserved.cap.into());
        let confirmed = !ledger::is_reserved(block, decision.decided_at, reserved.action.into())
            && {
                let known = looked_up
                    .iter()
                    .find(|(action, _)| *action == reserved.action);
                known.map(|&(_, confirmed)| confirmed).unwrap_or_else(|| {
                    let shown = (decision_id, decided_for, decision.decided_at);
                    let confirmed = is_confirmed(event, shown, reserved.action);
                    looked_up.push((reserved.action, confirmed));
                    confirmed
                })
            };
        if !confirmed {
            counter.confirm(reserved, decision.decided_at, row);
        }
    }
}

/// How a cap per user counts.
enum Counter<'a> {
    InForce(&'a Cap),
    /// A cap of another bundle, whose terms are not known: only the width of the cells in which its reservations were
    /// merged.
    Other {
        cell: i64,
    },
}

impl Counter<'_> {
    /// The counter of the cap with that number, if it counts events of the type.
    fn of<'a>(number: i32, kind: &str, bundle: &'a Bundle) -> Option<Counter<'a>> {
        if let Some(cap) = bundle.cap(number) {
            let counts = cap.per.is_of_user() && cap.counts.as_deref() == Some(kind);
            return counts.then_some(Counter::InForce(cap));
        }
        let mut cell = None;
        let args = [datum::int4(number), datum::text(kind)];
        on_latest_snapshot(|| {
            CELL.with(|statement| statement.read(&args, |row| cell = row.get(1)))
        });
        cell.map(|cell| Counter::Other { cell })
    }

    /// Counts what was reserved, as of the decision; also where the reservation has ended.
    fn confirm(&self, reserved: Reserved, decided_at: i64, row: &mut UserRow) {
        let mut block = ledger::block(&row.exposures, reserved.cap.into()).to_vec();
        let reservation = (decided_at, reserved.amount, i64::from(reserved.action));
        let counted = (decided_at, reserved.amount);
        match self {
            Counter::InForce(cap) => {
                let terms = cap.terms(clock::now());
                let window = cap.window_of(decided_at, &terms);
                ledger::release(
                    &mut block,
                    reservation,
                    window,
                    terms.reserved_from,
                    terms.cell,
                );
                ledger::count(&mut block, counted, window, &terms);
            }
            Counter::Other { cell } => {
                let all_time = (i64::MIN, i64::MAX);
                ledger::release(&mut block, reservation, all_time, i64::MIN, *cell);
                ledger::count_without_window(&mut block, counted);
            }
        }
        ledger::put(&mut row.exposures, reserved.cap.into(), &block);
    }
}

/// Counts an event without a decision, as of its own time; it ends the oldest reservation of its action that was made
/// by then.
fn count_by_itself(event: &Event<'_>, cap: &Cap, bundle: &Bundle, row: &mut UserRow) {
    let action = event.action.and_then(|action| bundle.actions.get(action));
    let Some(number) = action.map(|action| action.number) else {
        return;
    };
    let amount = match event.surface {
        Some(surface) => cap.amount(number, surface),
        None => cap.amounts.get(number),
    };
    let Some(amount) = amount else { return };
    let cap_number = cap.number.into();
    let mut block = ledger::block(&row.exposures, cap_number).to_vec();
    let terms = cap.terms(clock::now());
    // Clocks differ: the event may be dated before the decision.
    let latest = event.at.saturating_add(event.contract.future_tolerance);
    ledger::release_oldest(&mut block, (latest, amount, number.into()), &terms);
    let window = cap.window_of(event.at, &terms);
    ledger::count(&mut block, (event.at, amount), window, &terms);
    ledger::put(&mut row.exposures, cap_number, &block);
}

/// Whether an event of the type has confirmed this action of the decision before: of that identifier, user and moment.
fn is_confirmed(
    event: &Event<'_>,
    (decision_id, decided_for, decided_at): (Uuid, Uuid, i64),
    action: i32,
) -> bool {
    let args = [
        datum::uuid(decision_id),
        datum::uuid(decided_for),
        datum::timestamp(decided_at),
        datum::text(event.kind),
        datum::int4(action),
    ];
    CONFIRMED.with(|statement| statement.write(&args, |_| {})) > 0
}
