//! Waits, before the draw, for rows of counters that other transactions hold; not for transactions that stay open.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use super::reservation::Reservation;
use crate::caps::{Budget, Stripe};
use crate::pg::clock;
use crate::pg::holder::{Holder, Unavailable};

/// Milliseconds for which others hold a row that takes turns. A transaction that holds it for longer stays open.
pub(super) const TURN_MS: u32 = 5;

/// How many of those a session remembers.
const MOST_REMEMBERED: usize = 16;

thread_local! {
    /// Transactions that this session has waited for in vain, the last ones first.
    static STAYING: RefCell<VecDeque<Holder>> = const { RefCell::new(VecDeque::new()) };
}

impl Reservation<'_> {
    /// Waits for one of these rows that others hold and that has something left; whether there was one worth
    /// waiting for. It is claimed then, or others have taken something meanwhile, or the wait was in vain.
    pub(super) fn wait_for_one(&mut self, index: usize, rows: &[Stripe]) -> bool {
        let budget = Budget(self.cap(index));
        let moment = self.moment;
        if !budget.may_wait(moment) {
            return false;
        }
        if self.waited_ms >= self.lock_wait_ms || Instant::now() >= self.wait_until {
            budget.note_wait_timeout(self.waited_ms, clock::now());
            return false;
        }
        let wanted = |number: i32| {
            let row = rows.iter().find(|row| row.number == number)?;
            let worth = budget.capacity(row, moment) > 0
                && !row.holder.is_some_and(stays)
                && !self.has(index, number);
            worth.then_some(row)
        };
        // Those that are claimed, but not changed by a transaction, first: claims are given back soon.
        let rows = budget.rows_in_order().filter_map(wanted);
        let Some(row) = rows.min_by_key(|row| row.holder.is_some()) else {
            return false;
        };
        let most = (self.lock_wait_ms - self.waited_ms).min(TURN_MS);
        let began = Instant::now();
        let claimed = budget.claim_within(row.number, most);
        let passed = began.elapsed().as_millis() as u32;
        self.is_moment_stale = true;
        self.waited_ms += passed.max(1);
        match claimed {
            Ok((stripe, version, claim)) => {
                if budget.capacity(&stripe, moment) > 0 {
                    self.hold(index, stripe, version, claim);
                }
            }
            Err(Unavailable::Held(holder)) if Some(holder) == row.holder && passed >= TURN_MS => {
                remember(holder);
            }
            // Others take turns with it, or the same transaction has held it all the time.
            Err(Unavailable::Claimed) if passed >= TURN_MS => {
                if let (Err(Unavailable::Held(holder)), Some(before)) =
                    (budget.look(row.number).map(drop), row.holder)
                    && holder == before
                {
                    remember(holder);
                }
            }
            Err(_) => {}
        }
        true
    }
}

fn stays(holder: Holder) -> bool {
    STAYING.with_borrow(|staying| staying.contains(&holder))
}

fn remember(holder: Holder) {
    STAYING.with_borrow_mut(|staying| {
        staying.push_front(holder);
        staying.truncate(MOST_REMEMBERED);
    });
}
