//! Pacing: how much of a counter row may be taken by now, and at which price.

use std::collections::HashMap;

use super::cap::{Cap, Pacing, Span};
use super::stripes::{Budget, Stripe};
use crate::math::ledger;
use crate::math::pacing::{Curve, Gate, Pace, phase};
use crate::pg::invalidation::Watch;
use crate::pg::{Cached, Statement, array};

thread_local! {
    static PACING: Cached<HashMap<i32, Paced>> = const { Cached::new(Watch::Pacing, "decide.pacing") };
    static LOAD: Statement = const { Statement::new(
        "SELECT p.slot, p.lambda, p.forecast FROM decide.pacing AS p", &[]) };
}

/// How long a session takes it for granted that a budget is exhausted, in microseconds.
const LONGEST_EXHAUSTED: i64 = 10_000_000;

/// What the job has found out about a budget.
struct Paced {
    /// Of a unit.
    price: f64,
    forecast: Option<Curve>,
}

/// Hands on what the job has found out, by the number of the cap.
fn with_pacing<T>(then: impl FnOnce(&HashMap<i32, Paced>) -> T) -> T {
    PACING.with(|kept| kept.with(load, then))
}

fn load() -> HashMap<i32, Paced> {
    let mut budgets = HashMap::new();
    LOAD.with(|statement| {
        statement.read(&[], |row| {
            let mut points = Vec::new();
            row.datum(3).map(|kept| array::read_into(kept, &mut points));
            let price: f64 = row.must(2);
            let paced = Paced {
                price: if price.is_finite() { price } else { 0.0 },
                forecast: Curve::forecast(&points),
            };
            budgets.insert(row.must::<i32>(1), paced);
        })
    });
    budgets
}

/// What a unit of a budget costs: it is taken off the scores of the actions that need one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// The number of the cap.
    pub cap: i32,
    pub per_unit: f64,
}

/// The prices of these caps that are not 0.
pub fn prices<'a>(budgets: impl Iterator<Item = &'a Cap>, out: &mut Vec<Price>) {
    let mut budgets = budgets.peekable();
    if budgets.peek().is_none() {
        return;
    }
    with_pacing(|paced| {
        for cap in budgets {
            if let Some(&Paced { price, .. }) = paced.get(&cap.number)
                && price != 0.0
            {
                out.push(Price {
                    cap: cap.number,
                    per_unit: price,
                });
            }
        }
    });
}

/// Has all sessions read decide.pacing again.
pub fn announce_prices() {
    PACING.with(Cached::announce);
}

impl Cap {
    /// Whether it has a line: of the delivery that pacing allows, or that its goal needs.
    pub fn has_line(&self) -> bool {
        self.is_paced() || self.goal.is_some()
    }

    /// Its window, where that is one of the calendar; else all time.
    pub fn own_window(&self, now: i64) -> (i64, i64) {
        match self.span {
            Span::Calendar { .. } => self.window(now),
            Span::Forever | Span::Sliding(_) => (i64::MIN, i64::MAX),
        }
    }

    pub fn is_paced(&self) -> bool {
        self.per.is_budget() && self.pacing.is_paced()
    }

    /// Hands on the curve of its pacing.
    pub fn with_curve<T>(&self, then: impl FnOnce(&Curve) -> T) -> T {
        match self.pacing {
            Pacing::None | Pacing::Even => then(&Curve::Even),
            Pacing::Frontloaded => then(&Curve::Frontloaded),
            Pacing::Forecast => with_pacing(|paced| {
                let budget = paced.get(&self.number);
                let curve = budget.and_then(|budget| budget.forecast.as_ref());
                then(curve.unwrap_or(&Curve::Even))
            }),
        }
    }
}

impl Budget<'_> {
    /// How much may be taken of a stripe now: what is left of its quota, or less where pacing says so.
    pub fn capacity(&self, stripe: &Stripe, now: i64) -> i64 {
        let free = stripe.free(&self.0.terms(now));
        if !self.0.is_paced() || free <= 0 {
            return free;
        }
        let used = stripe.quota - free;
        let allowed = self.pace(stripe, now).allowed.floor();
        free.min((allowed as i64).saturating_sub(used))
    }

    /// Notes in a stripe what was allowed when something is taken from it.
    pub fn advance(&self, stripe: &mut Stripe, now: i64) {
        let pace = self.pace(stripe, now);
        stripe.paced_at = Some(pace.at);
        stripe.allowed = pace.allowed;
    }

    /// When so much may be taken of one of the stripes, if nothing else is until then; or a moment soon
    /// after which this is to be looked at again.
    pub fn opens_at(&self, stripes: &[Stripe], amount: i64, now: i64) -> i64 {
        let opens = stripes.iter().filter_map(|stripe| {
            let used = ledger::used(&stripe.ledger, &self.0.terms(now)) as f64;
            let pace = self.pace(stripe, now);
            self.with_gate(stripe, now, |gate| gate.opens_at(pace, used, amount as f64))
        });
        let soon = now.saturating_add(LONGEST_EXHAUSTED);
        opens.min().unwrap_or(soon).min(soon)
    }

    /// Where the line of so many units is at a moment of the window of `now`.
    pub fn line(&self, units: i64, now: i64, at: i64) -> f64 {
        let whole = Stripe {
            quota: units,
            ..Stripe::default()
        };
        self.with_gate_over(&whole, self.0.window(now), |gate| gate.target(at))
    }

    fn pace(&self, stripe: &Stripe, now: i64) -> Pace {
        let used = ledger::used(&stripe.ledger, &self.0.terms(now)) as f64;
        let kept = Pace {
            at: stripe.paced_at.unwrap_or(i64::MIN),
            allowed: stripe.allowed,
        };
        self.with_gate(stripe, now, |gate| gate.advance(kept, used, 0.0, now))
    }

    fn with_gate<T>(&self, stripe: &Stripe, now: i64, then: impl FnOnce(&Gate<'_>) -> T) -> T {
        let window = match self.0.is_paced() {
            true => self.0.window(now),
            false => (i64::MIN, i64::MAX),
        };
        self.with_gate_over(stripe, window, then)
    }

    fn with_gate_over<T>(
        &self,
        stripe: &Stripe,
        (starts, ends): (i64, i64),
        then: impl FnOnce(&Gate<'_>) -> T,
    ) -> T {
        self.0.with_curve(|curve| {
            then(&Gate {
                curve,
                starts,
                ends,
                quota: stripe.quota as f64,
                unit: self.0.largest as f64,
                phase: phase(stripe.number.unsigned_abs() as usize),
            })
        })
    }
}
