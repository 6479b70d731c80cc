//! Counters that other transactions hold are waited for; not those of transactions that stay open.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use super::Limiting;
use crate::pg::locked::Missed;
use crate::pg::lookup::{Holder, Seen};
use crate::policy::{Budget, Stripe};

/// Milliseconds that others may hold a row in passing. Who holds it for longer stays open.
pub(super) const MOMENT: u32 = 5;

/// How many of those a session keeps in mind.
const KEPT: usize = 16;

thread_local! {
    /// Transactions that this session has waited for in vain, the last ones first.
    static STAYING: RefCell<VecDeque<Holder>> = const { RefCell::new(VecDeque::new()) };
}

/// What a row is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// To know before the choice whether there is one, which may not be chosen.
    Knowing,
    /// For what is chosen: also for longer than the patience, as long as it passes from hand to hand.
    TheChosen,
}

impl Limiting<'_> {
    /// A row of a budget that others hold, and that has so much room once they let go: its place among those
    /// held, if one is to be had in time. What is left of the patience is shared among the rows.
    pub(super) fn wait_for_one(&mut self, place: usize, least: i64, what: For) -> Option<usize> {
        let cap = self.cap(place);
        let now = self.request.now;
        let mut last: Option<Waited> = None;
        loop {
            let stripes = Budget(cap).stripes(Seen::Everything, &cap.terms(now));
            if let Some(last) = last.take() {
                let in_vain = last.was_in_vain(&stripes);
                if in_vain || what == For::Knowing {
                    self.waited += last.time.max(1);
                }
            }
            if self.waited >= self.patience || Instant::now() >= self.until {
                return None;
            }
            let wanted = stripes.iter().filter(|stripe| {
                Budget(cap).room(stripe, now) >= least
                    && !stripe.holder.is_some_and(stays)
                    && !self.has(place, stripe.number)
            });
            // Each session begins with another one.
            let rows = stripes.len() as u64;
            let turn = |number: i32| (number as u64 + self.request.seed % rows) % rows;
            let others = wanted.clone().count() as u32;
            let stripe = wanted.min_by_key(|s| (s.holder.is_some(), turn(s.number)))?;
            let share = (self.patience - self.waited).div_ceil(others);
            let most = match what {
                For::Knowing => share.min(MOMENT),
                For::TheChosen => share,
            };
            let began = Instant::now();
            match Budget(cap).lock_within(stripe.number, most) {
                Ok((stripe, grip)) => {
                    let room = Budget(cap).room(&stripe, now);
                    self.hold(place, stripe, grip);
                    if room >= least {
                        return Some(self.held.len() - 1);
                    }
                }
                Err(Missed::Taken) => {
                    last = Some(Waited {
                        held: (stripe.number, stripe.holder),
                        time: began.elapsed().as_millis().min(most.into()) as u32,
                    })
                }
                Err(Missed::Absent) => return None,
            }
        }
    }
}

/// A wait that has not led to a row.
struct Waited {
    /// The row, and who held it before.
    held: (i32, Option<Holder>),
    /// In milliseconds.
    time: u32,
}

impl Waited {
    /// Whether the same transaction still has the row: then it is noted, if that was not for a moment only.
    fn was_in_vain(&self, stripes: &[Stripe]) -> bool {
        let mut stripes = stripes.iter();
        let in_vain = stripes.any(|stripe| (stripe.number, stripe.holder) == self.held);
        if let Some(holder) = self.held.1.filter(|_| in_vain && self.time >= MOMENT) {
            note(holder);
        }
        in_vain
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
