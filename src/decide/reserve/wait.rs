//! Counters that other transactions have are waited for before the draw; not those of transactions that stay open.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use super::Reservation;
use crate::caps::{Budget, Stripe};
use crate::pg::clock;
use crate::pg::holder::{Holder, Unavailable};

/// Milliseconds that others may have a row in passing. Who has it for longer stays open.
pub(super) const MOMENT: u32 = 5;

/// How many of those a session keeps in mind.
const KEPT: usize = 16;

thread_local! {
    /// Transactions that this session has waited for in vain, the last ones first.
    static STAYING: RefCell<VecDeque<Holder>> = const { RefCell::new(VecDeque::new()) };
}

impl Reservation<'_> {
    /// Waits for one of these rows that others have and that has something left; whether there was one worth
    /// waiting for. It is claimed then, or others have taken something meanwhile, or it was in vain.
    pub(super) fn wait_for_one(&mut self, place: usize, rows: &[Stripe]) -> bool {
        let budget = Budget(self.cap(place));
        let moment = self.moment;
        if !budget.may_wait(moment) {
            return false;
        }
        if self.waited >= self.lock_wait || Instant::now() >= self.until {
            budget.note_wait_timeout(self.waited, clock::now());
            return false;
        }
        let wanted = |number: i32| {
            let row = rows.iter().find(|row| row.number == number)?;
            let worth = budget.capacity(row, moment) > 0
                && !row.holder.is_some_and(stays)
                && !self.has(place, number);
            worth.then_some(row)
        };
        // Those that are not in the hands of a transaction first: their claims come soon.
        let turns = budget.stripe_order().filter_map(wanted);
        let Some(row) = turns.min_by_key(|row| row.holder.is_some()) else {
            return false;
        };
        let most = (self.lock_wait - self.waited).min(MOMENT);
        let began = Instant::now();
        let claimed = budget.claim_within(row.number, most);
        let passed = began.elapsed().as_millis() as u32;
        self.is_old = true;
        self.waited += passed.max(1);
        match claimed {
            Ok((stripe, version, claim)) => {
                if budget.capacity(&stripe, moment) > 0 {
                    self.hold(place, stripe, version, claim);
                }
            }
            Err(Unavailable::Held(holder)) if Some(holder) == row.holder && passed >= MOMENT => {
                note(holder);
            }
            // It passes from hand to hand, or the same transaction has had it all the time.
            Err(Unavailable::Claimed) if passed >= MOMENT => {
                if let (Err(Unavailable::Held(holder)), Some(before)) =
                    (budget.look(row.number).map(drop), row.holder)
                    && holder == before
                {
                    note(holder);
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

fn note(holder: Holder) {
    STAYING.with_borrow_mut(|staying| {
        staying.push_front(holder);
        staying.truncate(KEPT);
    });
}
