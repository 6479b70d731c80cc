//! Pacing of budgets: how much of each is delivered, the price of its units, and the traffic that is expected.

mod recent;
mod traffic;

use std::collections::HashMap;

use pgrx::pg_sys::{FLOAT8ARRAYOID, FLOAT8OID, INT4OID, TIMESTAMPTZOID};

use super::job::{Run, Step};
use crate::caps::{self, Budget, Cap};
use crate::error::Error;
use crate::math::ledger;
use crate::math::pacing::{Feedback, Line, Price};
use crate::pg::lookup::Visibility;
use crate::pg::{Statement, array, clock, datum};
use crate::policy::{self, Bundle};
use recent::RecentDecisions;

thread_local! {
    static READ: Statement = const { Statement::new(
        "SELECT p.slot, p.window_start, p.delivered, p.lambda, p.spread, p.rate, p.forecast, p.stepped_at \
           FROM decide.pacing AS p", &[]) };
    static WRITE: Statement = const { Statement::new(
        "INSERT INTO decide.pacing AS p (slot, window_start, window_end, target, delivered, lambda, throttled, spread, rate, forecast, stepped_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (slot) DO UPDATE SET window_start = $2, window_end = $3, target = $4, delivered = $5, lambda = $6, \
                throttled = $7, spread = $8, rate = $9, forecast = $10, stepped_at = $11",
        &[INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
          FLOAT8ARRAYOID, TIMESTAMPTZOID]) };
    static LOG: Statement = const { Statement::new(
        "INSERT INTO decide.pacing_log (slot, at, window_start, target, delivered, lambda, throttled) \
         SELECT p.slot, p.stepped_at, p.window_start, p.target, p.delivered, p.lambda, p.throttled FROM decide.pacing AS p \
          WHERE p.stepped_at = $1 AND NOT EXISTS ( \
            SELECT 1 FROM decide.pacing_log AS l WHERE l.slot = p.slot AND l.at > $1 - interval '1 minute') \
         ON CONFLICT DO NOTHING", &[TIMESTAMPTZOID]) };
    static FORGET: Statement = const { Statement::new(
        "DELETE FROM decide.pacing_log AS l USING decide.pacing AS p \
          WHERE l.slot = p.slot AND l.at < $1 - interval '7 days'", &[TIMESTAMPTZOID]) };
    static DROP: Statement = const { Statement::new(
        "DELETE FROM decide.pacing AS p WHERE p.stepped_at < $1 - interval '8 days'", &[TIMESTAMPTZOID]) };
}

/// Traces of at most so many microseconds are read, however long ago the last step was.
const LOOK_BACK: i64 = 600_000_000;

/// Budgets that follow no line are looked at once in so many microseconds.
const SELDOM: i64 = 60_000_000;

/// The rate is a mean over about so many seconds.
const LATELY: f64 = 600.0;

/// A budget as the last step left it: what the next one needs of its row in decide.pacing.
struct LastStep {
    window_start: i64,
    delivered: f64,
    price: f64,
    spread: f64,
    rate: f64,
    forecast: Vec<f64>,
    stepped_at: i64,
}

/// A row of decide.pacing: a budget after a step.
struct PacingRow {
    cap: i32,
    window_start: i64,
    window_end: i64,
    target: f64,
    delivered: f64,
    price: f64,
    throttled: f64,
    spread: f64,
    rate: f64,
    forecast: Vec<f64>,
    stepped_at: i64,
}

pub fn step() -> Result<Step, Error> {
    let bundle = match policy::live() {
        Err(Error::NothingPublished) => {
            return Ok(Step::last(0));
        }
        bundle => bundle?,
    };
    let budgets: Vec<&Cap> = bundle
        .caps
        .iter()
        .filter(|cap| cap.per.is_budget())
        .collect();
    let now = clock::now();
    if budgets.iter().any(|cap| cap.pacing.needs_forecast()) && traffic::learn(&bundle, now) {
        return Ok(Step::with_more(0));
    }
    let last_steps = last_steps();
    let last = last_steps.values().map(|last| last.stepped_at).max();
    let since = last.unwrap_or(now).max(now - LOOK_BACK);
    let priced = budgets.iter().any(|cap| cap.has_line());
    let recent = match priced {
        true => RecentDecisions::since(since, now, &bundle),
        false => RecentDecisions::default(),
    };
    let (mut changed, mut rows) = (false, 0);
    for cap in &budgets {
        let last = last_steps.get(&cap.number);
        if !cap.has_line() && last.is_some_and(|last| now - last.stepped_at < SELDOM) {
            continue;
        }
        let row = step_budget(cap, last, &recent, &bundle, now);
        changed |= last.is_none_or(|last| last.price != row.price || last.forecast != row.forecast);
        row.write();
        rows += 1;
    }
    let args = [datum::timestamp(now)];
    for statement in [&LOG, &FORGET, &DROP] {
        statement.with(|statement| statement.write(&args, |_| {}));
    }
    if changed {
        caps::announce_prices();
    }
    Ok(Step::last(rows))
}

pub fn report(run: &Run) -> String {
    format!("{} budgets looked at", run.rows)
}

fn last_steps() -> HashMap<i32, LastStep> {
    let mut all = HashMap::new();
    READ.with(|statement| {
        statement.write(&[], |row| {
            let mut forecast = Vec::new();
            row.datum(7)
                .map(|kept| array::read_into(kept, &mut forecast));
            let last = LastStep {
                window_start: row.timestamp(2).unwrap_or(i64::MIN),
                delivered: row.must(3),
                price: row.must(4),
                spread: row.must(5),
                rate: row.must(6),
                forecast,
                stepped_at: row.timestamp(8).unwrap_or(i64::MIN),
            };
            all.insert(row.must::<i32>(1), last);
        })
    });
    all
}

/// How much of a budget is delivered, and its next price.
fn step_budget(
    cap: &Cap,
    last: Option<&LastStep>,
    recent: &RecentDecisions,
    bundle: &Bundle,
    now: i64,
) -> PacingRow {
    let scale = cap.scale as f64;
    let (starts, ends) = cap.own_window(now);
    let terms = cap.terms(now);
    let stripes = Budget(cap).stripes(Visibility::Committed, &terms);
    let used = stripes
        .iter()
        .map(|stripe| ledger::used(&stripe.ledger, &terms));
    let delivered = used.fold(0, i64::saturating_add) as f64 / scale;
    // In a window that is new, the last step was at its start.
    let before = last.filter(|last| last.window_start == starts);
    let stepped_at = before.map_or(starts, |last| last.stepped_at).min(now);
    let taken = delivered - before.map_or(0.0, |last| last.delivered);
    let decisions = recent.of(cap, bundle);
    let per_unit = last.map_or(0.0, |last| last.price);
    let spread = decisions
        .spread(cap)
        .or(last.map(|last| last.spread))
        .unwrap_or(0.0);
    let line = |units: i64| Line {
        due: (Budget(cap).line(units, now, now) - Budget(cap).line(units, now, stepped_at)) / scale,
        now: Budget(cap).line(units, now, now) / scale,
        end: units as f64 / scale,
    };
    let refused = decisions.share_refused();
    let feedback = Feedback {
        elapsed: now.abs_diff(stepped_at) as f64,
        age: now.abs_diff(decisions.newest.unwrap_or(now)) as f64,
        window: ends.abs_diff(starts) as f64,
        left: ends.abs_diff(now) as f64,
        taken: taken.max(0.0),
        delivered,
        // Without pacing it is behind its line in any case, and only the goal matters.
        line: line(if cap.is_paced() { cap.limit } else { i64::MAX }),
        refused,
        chances: decisions.count,
        spread,
        goal: cap.goal.map(line),
    };
    // Without known scores there is nothing to compare a price with.
    let price = match last {
        Some(_) if !cap.has_line() => 0.0,
        Some(_) if spread > 0.0 => Price { per_unit }.step(&feedback).per_unit,
        _ => per_unit,
    };
    let forecast = match last {
        _ if !cap.pacing.needs_forecast() => Vec::new(),
        Some(last) if last.window_start == starts && !last.forecast.is_empty() => {
            last.forecast.clone()
        }
        _ => traffic::points(cap, bundle, (starts, ends)),
    };
    let target = if cap.is_paced() {
        feedback.line.now
    } else {
        delivered
    };
    PacingRow {
        cap: cap.number,
        window_start: starts,
        window_end: ends,
        target,
        delivered,
        price,
        throttled: refused,
        spread,
        rate: rate(before, taken, now),
        forecast,
        stepped_at: now,
    }
}

/// Units a second: a mean in which the newest weigh most.
fn rate(before: Option<&LastStep>, taken: f64, now: i64) -> f64 {
    let Some(before) = before else { return 0.0 };
    let seconds = now.abs_diff(before.stepped_at) as f64 / 1e6;
    if seconds <= 0.0 {
        return before.rate;
    }
    let weight = (seconds / LATELY).min(1.0);
    let weight = if before.rate > 0.0 { weight } else { 1.0 };
    before.rate + (taken.max(0.0) / seconds - before.rate) * weight
}

impl PacingRow {
    fn write(&self) {
        let args = [
            datum::int4(self.cap),
            datum::finite_timestamp(self.window_start),
            datum::finite_timestamp(self.window_end),
            datum::float8(self.target),
            datum::float8(self.delivered),
            datum::float8(self.price),
            datum::float8(self.throttled),
            datum::float8(self.spread),
            datum::float8(self.rate),
            (!self.forecast.is_empty()).then(|| array::from_slice(&self.forecast)),
            datum::timestamp(self.stepped_at),
        ];
        WRITE.with(|statement| statement.write(&args, |_| {}));
    }
}
