//! The counters of budgets: reservations that are over are counted or given back, and what is left is
//! spread evenly again over the rows of a counter that is running out.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};

use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use super::Step;
use crate::error::Error;
use crate::math::identifier::time_ordered;
use crate::math::ledger;
use crate::pg::clock::{self, to_unix_micros};
use crate::pg::lookup::Seen;
use crate::pg::{Statement, datum};
use crate::policy::{self, Budget, Cap, Level, Per, Stripe};

thread_local! {
    static TOLD: Statement = const { Statement::new(include_str!("budgets.sql"),
        &[INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, UUIDOID, TEXTOID]) };
    /// Rows of counters that the run has passed by, since transactions hold them: cap and number.
    static HELD: RefCell<BTreeSet<(i32, i32)>> = const { RefCell::new(BTreeSet::new()) };
    /// The last step was not the last of its run.
    static GOES_ON: Cell<bool> = const { Cell::new(false) };
}

/// One budget that has something to look up, or else all of them once: its rows are held no longer than
/// that takes.
pub fn step() -> Result<Step, Error> {
    let step = look_at_all()?;
    GOES_ON.set(step.more);
    Ok(step)
}

fn look_at_all() -> Result<Step, Error> {
    if !GOES_ON.get() {
        HELD.take();
    }
    let done = Step {
        rows: 0,
        more: false,
    };
    let bundle = match policy::live() {
        Err(Error::NothingPublished) => return Ok(done),
        bundle => bundle?,
    };
    for cap in bundle.caps.iter().filter(|cap| cap.per == Per::All) {
        let now = clock::now();
        if let Some(kind) = &cap.counts {
            let looked_up = look_up(cap, kind, now);
            if looked_up > 0 {
                let more = true;
                return Ok(Step {
                    rows: looked_up,
                    more,
                });
            }
        }
        match Budget(cap).level(cap.level_window(cap.window(now).0), now) {
            Level::Little if !cap.is_small() => spread(cap, now),
            Level::UsedUp => look_again(cap, now),
            _ => {}
        }
    }
    Ok(done)
}

pub fn says(rows: i64) -> String {
    match HELD.with_borrow(BTreeSet::len) {
        0 => format!("{rows} reservations looked up"),
        held => format!(
            "{rows} reservations looked up; rows of counters left, which others hold: {held}"
        ),
    }
}

/// Notes which of these rows of a counter, by their numbers, a transaction holds, so that they are left for the next run.
fn note_held(cap: &Cap, wanted: impl Iterator<Item = i32>, had: &[Stripe]) {
    let had: BTreeSet<i32> = had.iter().map(|stripe| stripe.number).collect();
    HELD.with_borrow_mut(|held| {
        for number in wanted {
            match had.contains(&number) {
                true => held.remove(&(cap.slot, number)),
                false => held.insert((cap.slot, number)),
            };
        }
    });
}

/// Counts the reservations that are over of which events have told, and gives the others back. Rows that
/// a transaction holds are left for the next time.
fn look_up(cap: &Cap, kind: &str, now: i64) -> i64 {
    let terms = cap.terms(now);
    let due = |stripe: &Stripe| -> Vec<(i64, i64, i64)> {
        let entries = ledger::entries(&stripe.ledger);
        entries
            .filter(|&entry| ledger::is_due(entry, &terms, now))
            .collect()
    };
    let committed = Budget(cap).stripes(Seen::Committed, &terms);
    let are_due = committed.iter().filter(|stripe| !due(stripe).is_empty());
    let are_due: Vec<i32> = are_due.map(|stripe| stripe.number).collect();
    if are_due.is_empty() {
        return 0;
    }
    let stripes = Budget(cap).lock_free();
    note_held(cap, are_due.into_iter(), &stripes);
    let cells: BTreeSet<(i64, i64)> = stripes
        .iter()
        .flat_map(|stripe| {
            due(stripe)
                .into_iter()
                .map(|(at, ..)| ledger::cell(at, &terms))
        })
        .collect();
    let told: HashMap<(i64, i64), HashMap<i32, i64>> = cells
        .into_iter()
        .map(|cell| (cell, told(cap, kind, cell)))
        .collect();
    let mut looked_up = 0;
    for mut stripe in stripes {
        let number = stripe.number;
        let of_stripe = |at: i64| told[&ledger::cell(at, &terms)].get(&number).copied();
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

/// How much of what was reserved from each stripe within a cell, or the part of one, events have told of.
fn told(cap: &Cap, kind: &str, (from, to): (i64, i64)) -> HashMap<i32, i64> {
    let first = |at| datum::uuid(time_ordered(to_unix_micros(at), 0));
    let args = [
        datum::int4(cap.slot),
        datum::timestamp(from),
        datum::timestamp(to),
        first(from),
        first(to),
        datum::text(kind),
    ];
    let mut told = HashMap::new();
    TOLD.with(|statement| {
        statement.write(&args, |row| {
            told.insert(row.must(1), row.must(2));
        })
    });
    told
}

/// A budget that was used up may have been given something back.
fn look_again(cap: &Cap, now: i64) {
    let terms = cap.terms(now);
    let stripes = Budget(cap).stripes(Seen::Committed, &terms);
    let left: i64 = stripes
        .iter()
        .map(|stripe| stripe.free(&terms).max(0))
        .sum();
    if cap.least.is_some_and(|least| left >= least) {
        Budget(cap).reopen();
    }
}

/// Spreads what is left over the rows that nobody holds, if that gives each plenty; all sessions stop
/// looking before they choose then.
fn spread(cap: &Cap, now: i64) {
    let terms = cap.terms(now);
    let committed = Budget(cap).stripes(Seen::Committed, &terms);
    let left: i64 = committed.iter().map(|stripe| stripe.free(&terms)).sum();
    if left / (committed.len().max(1) as i64) < 2 * cap.little() {
        return;
    }
    let mut stripes = Budget(cap).lock_free();
    note_held(cap, committed.iter().map(|stripe| stripe.number), &stripes);
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
            .all(|stripe| stripe.free(&terms) >= 2 * cap.little())
    {
        Budget(cap).reopen();
    }
}
