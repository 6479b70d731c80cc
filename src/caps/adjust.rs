//! Corrections of what is counted, exact beside decisions.

use pgrx::pg_sys::{INT4OID, INT8ARRAYOID, INT8OID, TIMESTAMPTZOID};

use super::budget_cache::Level;
use super::cap::{Cap, Span};
use super::stripes::{Budget, Stripe};
use crate::math::ledger;
use crate::pg::{Statement, datum};

thread_local! {
    static TAKE_LEVEL: Statement = const { Statement::new(
        "SELECT 1 FROM decide.budget_level AS l WHERE l.slot = $1 FOR NO KEY UPDATE", &[INT4OID]) };
    static TAKE_ALL: Statement = const { Statement::new(
        "SELECT s.stripe, s.quota, s.ledger FROM decide.budget_stripe AS s WHERE s.slot = $1 ORDER BY s.stripe FOR NO KEY UPDATE",
        &[INT4OID]) };
    static PUT: Statement = const { Statement::new(
        "UPDATE decide.budget_stripe AS s SET quota = $3, ledger = $4, allowed = 0, paced_at = $5 WHERE s.slot = $1 AND s.stripe = $2",
        &[INT4OID, INT4OID, INT8OID, INT8ARRAYOID, TIMESTAMPTZOID]) };
}

/// What was counted within the window, before and after, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjusted {
    pub before: i64,
    pub after: i64,
}

/// Less is counted than is to be given back: that much.
pub struct NotCounted(pub i64);

impl Cap {
    /// The window of a moment: its first moment and its last.
    pub fn whole_window(&self, at: i64) -> (i64, i64) {
        match self.span {
            Span::Forever => (i64::MIN, i64::MAX),
            Span::Sliding(length) => (at.saturating_sub(length) + 1, at),
            Span::Calendar { .. } => {
                let (starts, ends) = self.window(at);
                (starts, ends - 1)
            }
        }
    }

    /// Adds so many units to what a ledger has counted in the window of a moment; below 0, gives so many back.
    pub fn adjust(
        &self,
        kept: &mut Vec<i64>,
        units: i64,
        at: i64,
        now: i64,
    ) -> Result<Adjusted, NotCounted> {
        let (window, terms) = (self.whole_window(at), self.terms(now));
        let before = ledger::counted(kept, window);
        if units.saturating_add(before) < 0 {
            return Err(NotCounted(before));
        }
        match units {
            0.. => ledger::count(kept, (at, units), self.window_of(at, &terms), &terms),
            _ => drop(ledger::give_back(kept, -units, window)),
        }
        let after = before + units;
        Ok(Adjusted { before, after })
    }
}

impl Budget<'_> {
    /// The same in the rows of a counter, all of which are locked: what is left of the limit then is shared out among
    /// them, so that no row has more than is left of all.
    pub fn adjust(&self, units: i64, at: i64, now: i64) -> Result<Adjusted, NotCounted> {
        let cap = self.0;
        let number = datum::int4(cap.number);
        TAKE_LEVEL.with(|statement| statement.write(&[number], |_| {}));
        let claims = self.claim_to_settle();
        let mut stripes: Vec<Stripe> = Vec::new();
        TAKE_ALL
            .with(|statement| statement.write(&[number], |row| stripes.push(Stripe::of_row(&row))));
        drop(claims);
        let (window, terms) = (cap.whole_window(at), cap.terms(now));
        let of = |stripe: &Stripe| ledger::counted(&stripe.ledger, window);
        let before: i64 = stripes.iter().map(of).sum();
        if units.saturating_add(before) < 0 {
            return Err(NotCounted(before));
        }
        if units < 0 {
            stripes.iter_mut().fold(-units, |left, stripe| {
                ledger::give_back(&mut stripe.ledger, left, window)
            });
        } else if let Some(emptiest) = stripes.iter_mut().max_by_key(|stripe| stripe.free(&terms)) {
            let window = cap.window_of(at, &terms);
            ledger::count(&mut emptiest.ledger, (at, units), window, &terms);
        }
        let used = stripes.iter();
        let used: Vec<i64> = used
            .map(|stripe| ledger::used(&stripe.ledger, &terms))
            .collect();
        let total = stripes.iter().map(|stripe| stripe.quota).sum();
        for (stripe, quota) in stripes.iter_mut().zip(ledger::shares(total, &used)) {
            stripe.quota = quota;
            let args = [
                number,
                datum::int4(stripe.number),
                datum::int8(stripe.quota),
                datum::array(&stripe.ledger),
                datum::timestamp(now),
            ];
            PUT.with(|statement| statement.write(&args, |_| {}));
        }
        if units < 0 {
            self.clear_level();
        }
        let is_low = |stripe: &Stripe| stripe.free(&terms) < cap.low_water_mark();
        if !cap.is_small() && stripes.iter().any(is_low) {
            let (starts, ends) = cap.window(now);
            self.announce_level(cap.level_window(starts), Level::Low, ends);
        }
        let after = before + units;
        Ok(Adjusted { before, after })
    }
}
