//! Caps per user that count events. An event that follows from a decision tells of an exposure of that decision:
//! the caps, the amounts, the actions and the moment are those of its trace, whatever else the event says and
//! whatever the policy has become. An event by itself counts by its own action and surface.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys::{INT4ARRAYOID, INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::contract::Event;
use super::shown::{Hold, Shown};
use crate::caps::Cap;
use crate::math::identifier::moment_of;
use crate::math::ledger;
use crate::pg::clock::from_unix_micros;
use crate::pg::invalidation::{self, Watch};
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Statement, clock, datum};
use crate::policy::{Bundle, UserRow};

thread_local! {
    static TOLD: Statement = const { Statement::new(
        "SELECT 1 FROM decide.outcome AS o \
          WHERE o.decision_id = $1 AND o.user_key = $2 AND o.decided_at = $3 AND o.type = $4 \
            AND (o.action IS NULL OR o.number = $5) LIMIT 1",
        &[UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID, INT4OID]) };
    static SHOWN: Statement = const { Statement::new(
        "SELECT decide.number_shown($1, $2, $3)", &[INT4ARRAYOID, TIMESTAMPTZOID, TEXTOID]) };
    static RENAMED: Statement = const { Statement::new(
        "SELECT pg_catalog.max(c.at) FROM decide.name_change AS c WHERE c.kind = 'action'", &[]) };
    /// When an action was renamed last, as of a count of changes.
    static RENAMED_AT: Cell<(u64, i64)> = const { Cell::new((0, i64::MIN)) };
    static NUMBER: Statement = const { Statement::new(
        "SELECT decide.number_of_action($1)", &[TEXTOID]) };
    static TYPES: Statement = const { Statement::new(
        "SELECT DISTINCT s.definition ->> 'counts' FROM decide.cap_slot AS s \
          WHERE s.definition ->> 'per' = 'user' AND s.definition ->> 'counts' <> 'decision'", &[]) };
    static CELL: Statement = const { Statement::new(
        "SELECT s.cell_us FROM decide.cap_slot AS s \
          WHERE s.slot = $1 AND s.definition ->> 'per' = 'user' AND s.definition ->> 'counts' = $2",
        &[INT4OID, TEXTOID]) };
    /// The types that a cap per user counts or has ever counted, as of a count of changes.
    static COUNTED: RefCell<(u64, Vec<String>)> = const { RefCell::new((0, Vec::new())) };
}

/// Counts a new event in the caps of its user. Needs an open session, and the outcome must not be stored yet.
pub fn count(event: &Event<'_>, bundle: &Bundle, row: &mut UserRow) {
    match event.decision_id {
        Some(decision_id) if follows(event) => count_shown(event, decision_id, bundle, row),
        Some(_) => {}
        None => {
            for cap in bundle.counting(event.kind) {
                count_alone(event, cap, bundle, row);
            }
        }
    }
}

/// Whether the event may tell of an exposure that some cap counts: then the trace of its decision is looked at, and
/// the outcomes stored before it. Needs an open session.
pub fn follows(event: &Event<'_>) -> bool {
    let changes = invalidation::changes_seen(Watch::Publication);
    event.decision_id.is_some()
        && COUNTED.with_borrow_mut(|(seen, types)| {
            if *seen != changes {
                types.clear();
                on_latest_snapshot(|| {
                    TYPES.with(|statement| statement.read(&[], |row| types.push(row.must(1))))
                });
                *seen = changes;
            }
            types.iter().any(|counted| counted == event.kind)
        })
}

/// Counts the slots of a decision that the event is about: the one with its action, or all of them. One that an
/// event of the type has told of before counts no more.
fn count_shown(event: &Event<'_>, decision_id: Uuid, bundle: &Bundle, row: &mut UserRow) {
    let Some(shown) = Shown::find(decision_id, event.user_key) else {
        return;
    };
    let only = event.action.map(|action| number_in(&shown, action, bundle));
    // The slots of a slate are few.
    let mut told: Vec<(i32, bool)> = Vec::new();
    for hold in shown.holds_of_user() {
        if only.is_some_and(|only| only != Some(hold.action)) {
            continue;
        }
        let Some(counter) = Counter::of(hold.cap, event.kind, bundle) else {
            continue;
        };
        // While its own reservation is there, nothing has told of it.
        let block = ledger::block(&row.exposures, hold.cap.into());
        let is_told = !ledger::is_reserved(block, shown.decided_at, hold.action.into()) && {
            let known = told.iter().find(|(action, _)| *action == hold.action);
            known.map(|&(_, is_told)| is_told).unwrap_or_else(|| {
                let is_told = is_told(event, decision_id, shown.decided_at, hold.action);
                told.push((hold.action, is_told));
                is_told
            })
        };
        if !is_told {
            counter.confirm(hold, shown.decided_at, row);
        }
    }
}

/// How a cap per user counts.
enum Counter<'a> {
    InForce(&'a Cap),
    /// By terms that nobody knows; the grid in which its reservations were brought together.
    Other(i64),
}

impl Counter<'_> {
    /// That of a cap, by its number, if it counts events of the type.
    fn of<'a>(slot: i32, kind: &str, bundle: &'a Bundle) -> Option<Counter<'a>> {
        if let Some(cap) = bundle.cap(slot) {
            let counts = cap.per.is_of_user() && cap.counts.as_deref() == Some(kind);
            return counts.then_some(Counter::InForce(cap));
        }
        let mut cell = None;
        let args = [datum::int4(slot), datum::text(kind)];
        on_latest_snapshot(|| {
            CELL.with(|statement| statement.read(&args, |row| cell = row.get(1)))
        });
        cell.map(Counter::Other)
    }

    /// What was reserved counts, as of the decision; also where the reservation is gone.
    fn confirm(&self, hold: Hold, decided_at: i64, row: &mut UserRow) {
        let mut block = ledger::block(&row.exposures, hold.cap.into()).to_vec();
        let held = (decided_at, hold.amount, i64::from(hold.action));
        let counted = (decided_at, hold.amount);
        match self {
            Counter::InForce(cap) => {
                let terms = cap.terms(clock::now());
                let window = cap.window_of(decided_at, &terms);
                ledger::release(&mut block, held, window, terms.reserved_from, terms.cell);
                ledger::count(&mut block, counted, window, &terms);
            }
            Counter::Other(cell) => {
                let ever = (i64::MIN, i64::MAX);
                ledger::release(&mut block, held, ever, i64::MIN, *cell);
                ledger::count_blindly(&mut block, counted);
            }
        }
        ledger::put(&mut row.exposures, hold.cap.into(), &block);
    }
}

/// Counts an event by itself, as of its own time; the oldest reservation of its action, if one is open that was made
/// by then, is reserved no more.
fn count_alone(event: &Event<'_>, cap: &Cap, bundle: &Bundle, row: &mut UserRow) {
    let action = event.action.and_then(|action| bundle.actions.get(action));
    let Some(number) = action.map(|action| action.number) else {
        return;
    };
    let amount = match event.surface {
        Some(surface) => cap.amount(number, surface),
        None => cap.amounts.get(&number).copied(),
    };
    let Some(amount) = amount else { return };
    let slot = cap.number.into();
    let mut block = ledger::block(&row.exposures, slot).to_vec();
    let terms = cap.terms(clock::now());
    // Clocks differ: it may be dated before the decision.
    let latest = event.at.saturating_add(event.contract.future_tolerance);
    ledger::release_oldest(&mut block, (latest, amount, number.into()), &terms);
    let window = cap.window_of(event.at, &terms);
    ledger::count(&mut block, (event.at, amount), window, &terms);
    ledger::put(&mut row.exposures, slot, &block);
}

/// The number of the action that an event about a decision names, if there is one. Needs an open session.
pub fn number(event: &Event<'_>, decision_id: Uuid, bundle: &Bundle) -> Option<i32> {
    let action = event.action?;
    let decided_at = moment_of(decision_id).map(from_unix_micros)?;
    let shown = is_renamed_since(decided_at).then(|| Shown::find(decision_id, event.user_key));
    match shown.flatten() {
        Some(shown) => number_in(&shown, action, bundle),
        None => number_of(action, bundle),
    }
}

/// The same, of a decision that was found: names are those of the time when it was made, where they have changed since.
fn number_in(shown: &Shown, action: &str, bundle: &Bundle) -> Option<i32> {
    if !is_renamed_since(shown.decided_at) {
        return number_of(action, bundle);
    }
    let args = [
        datum::array(&shown.actions),
        datum::timestamp(shown.decided_at),
        datum::text(action),
    ];
    let mut number = None;
    on_latest_snapshot(|| SHOWN.with(|statement| statement.read(&args, |row| number = row.get(1))));
    number
}

/// Whether an action was given another name after that moment.
fn is_renamed_since(moment: i64) -> bool {
    let changes = invalidation::changes_seen(Watch::Publication);
    if RENAMED_AT.get().0 != changes {
        let mut at = i64::MIN;
        on_latest_snapshot(|| {
            RENAMED.with(|statement| {
                statement.read(&[], |row| at = row.timestamp(1).unwrap_or(i64::MIN))
            })
        });
        RENAMED_AT.set((changes, at));
    }
    RENAMED_AT.get().1 > moment
}

/// The number of an action, by its name.
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

/// Whether an event of the type has told of this action of the decision before.
fn is_told(event: &Event<'_>, decision_id: Uuid, decided_at: i64, action: i32) -> bool {
    let args = [
        datum::uuid(decision_id),
        datum::uuid(event.user_key),
        datum::timestamp(decided_at),
        datum::text(event.kind),
        datum::int4(action),
    ];
    TOLD.with(|statement| statement.write(&args, |_| {})) > 0
}
