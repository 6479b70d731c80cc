//! The counters of budgets: reservations that are over are counted or given back, and what is left of a budget that
//! is running out is divided evenly again among its rows.

use std::collections::{BTreeSet, HashMap};

use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use super::job::{Run, Step, Steps};
use crate::caps::{Budget, Cap, Level, Stripe};
use crate::error::Error;
use crate::math::identifier::time_ordered;
use crate::math::ledger;
use crate::pg::clock::{self, to_unix_micros};
use crate::pg::lookup::Visibility;
use crate::pg::{Statement, datum};
use crate::policy;

thread_local! {
    static CONFIRMED: Statement = const { Statement::new(include_str!("budgets.sql"),
        &[INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, UUIDOID, TEXTOID]) };
}

pub fn start() -> Steps {
    let mut left = RowsLeft::default();
    Box::new(move || {
        let step = step(&mut left)?;
        Ok(Step {
            stripes_left: left.0.len() as i64,
            ..step
        })
    })
}

/// The rows of counters that the run has left out, since other transactions have locked them: the numbers of their caps
/// and of the rows.
#[derive(Default)]
struct RowsLeft(BTreeSet<(i32, i32)>);

impl RowsLeft {
    /// Of the rows of a counter that were wanted, by their numbers, those that could be locked are not left out any
    /// more, and the others are.
    fn note(&mut self, cap: &Cap, wanted: impl Iterator<Item = i32>, locked: &[Stripe]) {
        let locked: BTreeSet<i32> = locked.iter().map(|stripe| stripe.number).collect();
        for number in wanted {
            match locked.contains(&number) {
                true => self.0.remove(&(cap.number, number)),
                false => self.0.insert((cap.number, number)),
            };
        }
    }
}

/// One budget that has reservations to look up, so that its rows are not locked for longer than that takes; or all
/// budgets once, if none has.
fn step(left: &mut RowsLeft) -> Result<Step, Error> {
    let bundle = match policy::live() {
        Err(Error::NothingPublished) => return Ok(Step::last(0)),
        bundle => bundle?,
    };
    for cap in bundle.caps.iter().filter(|cap| cap.per.is_budget()) {
        let now = clock::now();
        if let Some(kind) = &cap.counts {
            let looked_up = look_up(cap, kind, now, left);
            if looked_up > 0 {
                return Ok(Step::with_more(looked_up));
            }
        }
        match Budget(cap).level(cap.level_window(cap.window(now).0), now) {
            Level::Low if !cap.is_small() => divide(cap, now, left),
            Level::UsedUp => look_again(cap, now),
            _ => {}
        }
    }
    Ok(Step::last(0))
}

pub fn report(run: &Run) -> String {
    let rows = run.rows;
    match run.stripes_left {
        0 => format!("{rows} reservations looked up"),
        left => format!(
            "{rows} reservations looked up; rows of counters left, since others have locked them: {left}"
        ),
    }
}

/// Counts the reservations that are over and that events have confirmed, and gives the others back. Rows that another
/// transaction has locked are left for the next time.
fn look_up(cap: &Cap, kind: &str, now: i64, left: &mut RowsLeft) -> i64 {
    let terms = cap.terms(now);
    let due = |stripe: &Stripe| -> Vec<(i64, i64, i64)> {
        let entries = ledger::entries(&stripe.ledger);
        entries
            .filter(|&entry| ledger::is_due(entry, &terms, now))
            .collect()
    };
    let committed = Budget(cap).stripes(Visibility::Committed, &terms);
    let are_due = committed.iter().filter(|stripe| !due(stripe).is_empty());
    let are_due: Vec<i32> = are_due.map(|stripe| stripe.number).collect();
    if are_due.is_empty() {
        return 0;
    }
    let stripes = Budget(cap).lock_available();
    left.note(cap, are_due.into_iter(), &stripes);
    let cells: BTreeSet<(i64, i64)> = stripes
        .iter()
        .flat_map(|stripe| {
            due(stripe)
                .into_iter()
                .map(|(at, ..)| ledger::cell(at, &terms))
        })
        .collect();
    let confirmed: HashMap<(i64, i64), HashMap<i32, i64>> = cells
        .into_iter()
        .map(|cell| (cell, confirmed(cap, kind, cell)))
        .collect();
    let mut looked_up = 0;
    for mut stripe in stripes {
        let number = stripe.number;
        let of_stripe = |at: i64| confirmed[&ledger::cell(at, &terms)].get(&number).copied();
        let (mut changed, mut kept) = (0, Vec::with_capacity(stripe.ledger.len()));
        for entry in ledger::entries(&stripe.ledger) {
            if ledger::is_due(entry, &terms, now) {
                kept.extend(ledger::looked_up(entry, of_stripe(entry.0).unwrap_or(0)));
                changed += 1;
            } else {
                kept.extend([entry.0, entry.1, entry.2]);
            }
        }
        if changed > 0 {
            stripe.ledger = kept;
            Budget(cap).put(&stripe);
            looked_up += changed;
        }
    }
    looked_up
}

/// The time from which on reservations of budgets have yet to be looked up for the first time: traces and outcomes since
/// then say what events have confirmed. In microseconds since 2000; `i64::MAX` where there are none.
pub fn unsettled_since() -> i64 {
    let Ok(bundle) = policy::live() else {
        return i64::MAX;
    };
    let now = clock::now();
    let counting = bundle
        .caps
        .iter()
        .filter(|cap| cap.per.is_budget() && cap.counts.is_some());
    let oldest = counting.filter_map(|cap| {
        let terms = cap.terms(now);
        let stripes = Budget(cap).stripes(Visibility::Committed, &terms);
        let entries = stripes
            .iter()
            .flat_map(|stripe| ledger::entries(&stripe.ledger));
        let new = entries.filter(|&entry| ledger::is_new(entry, &terms));
        new.map(|(at, ..)| ledger::cell(at, &terms).0).min()
    });
    oldest.min().unwrap_or(i64::MAX)
}

/// How much of what each stripe has reserved within a cell, or a part of one, events have confirmed.
fn confirmed(cap: &Cap, kind: &str, (from, to): (i64, i64)) -> HashMap<i32, i64> {
    let first = |at| datum::uuid(time_ordered(to_unix_micros(at), 0));
    let args = [
        datum::int4(cap.number),
        datum::timestamp(from),
        datum::timestamp(to),
        first(from),
        first(to),
        datum::text(kind),
    ];
    let mut confirmed = HashMap::new();
    CONFIRMED.with(|statement| {
        statement.write(&args, |row| {
            confirmed.insert(row.must(1), row.must(2));
        })
    });
    confirmed
}

/// Opens a budget again that was used up and has been given something back.
fn look_again(cap: &Cap, now: i64) {
    let terms = cap.terms(now);
    let stripes = Budget(cap).stripes(Visibility::Committed, &terms);
    let left: i64 = stripes
        .iter()
        .map(|stripe| stripe.free(&terms).max(0))
        .sum();
    if cap.least.is_some_and(|least| left >= least) {
        Budget(cap).clear_level();
    }
}

/// Divides what is left among the rows that no transaction has locked, if that gives each enough: then sessions no
/// longer read the counter before they choose.
fn divide(cap: &Cap, now: i64, rows_left: &mut RowsLeft) {
    let terms = cap.terms(now);
    let committed = Budget(cap).stripes(Visibility::Committed, &terms);
    let left: i64 = committed.iter().map(|stripe| stripe.free(&terms)).sum();
    if left / (committed.len().max(1) as i64) < 2 * cap.low_water_mark() {
        return;
    }
    let mut stripes = Budget(cap).lock_available();
    rows_left.note(cap, committed.iter().map(|stripe| stripe.number), &stripes);
    let used: Vec<i64> = stripes
        .iter()
        .map(|s| ledger::used(&s.ledger, &terms))
        .collect();
    let total: i64 = stripes.iter().map(|stripe| stripe.quota).sum();
    let quotas = ledger::shares(total, &used);
    for (stripe, quota) in stripes.iter_mut().zip(quotas) {
        if stripe.quota != quota {
            stripe.quota = quota;
            Budget(cap).put(stripe);
        }
    }
    let all = stripes.len() == cap.stripes.get() as usize;
    if all
        && stripes
            .iter()
            .all(|stripe| stripe.free(&terms) >= 2 * cap.low_water_mark())
    {
        Budget(cap).clear_level();
    }
}
