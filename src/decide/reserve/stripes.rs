//! After the draw: what was drawn is taken from the rows of its budgets.

use std::time::Instant;

use super::{Capacity, Held, Reservation};
use crate::caps::{Budget, Level, Per};
use crate::decide::Buffers;
use crate::math::ledger::{self, COUNTED};
use crate::pg::holder::Unavailable;
use crate::pg::session;

/// How often the same draw is taken from other rows, where others were faster with the ones that it had looked at.
const MOST_ATTEMPTS: u32 = 16;

/// What a trace says instead of the number of a row of a counter where it is reserved in the row of the user.
const ROW_OF_USER: i64 = -1;

/// What one slot of the slate takes of one budget, or reserves in the row of the user.
struct Need {
    place: usize,
    slot: usize,
    amount: i64,
}

impl Reservation<'_> {
    /// Takes what was drawn from rows of counters, and writes them; false if it is not to be had. The row of the
    /// user is written already: others are waited for with it in hand, and never the other way round.
    pub(super) fn take_stripes(&mut self, buffers: &mut Buffers) -> bool {
        let needs = self.needs(buffers);
        for _ in 0..MOST_ATTEMPTS {
            session::check_interrupts();
            if !self.take_all(&needs, buffers) {
                return false;
            }
            // What was found may be of a later moment: then all of it is taken as of that.
            if self.settle_moment() {
                self.give_back_stripes_in_hand();
                if !self.write_user_again(buffers) || !self.take_all(&needs, buffers) {
                    return false;
                }
            }
            if self.write_stripes() {
                return true;
            }
            // Others were faster: the same draw is taken from other rows.
            self.give_back_stripes();
        }
        false
    }

    /// What the slate takes, in the order of caps, whatever the order of slots: so that nobody waits for each
    /// other.
    fn needs(&self, buffers: &Buffers) -> Vec<Need> {
        let mut needs = Vec::new();
        for (slot, &pick) in buffers.slate.picks.iter().enumerate() {
            for &(place, amount) in &self.limits.of_action[buffers.open[pick]] {
                let cap = self.cap(place);
                if cap.per.is_budget() || cap.per.is_of_user() && cap.counts.is_some() {
                    needs.push(Need {
                        place,
                        slot,
                        amount,
                    });
                }
            }
        }
        needs.sort_unstable_by_key(|need| (need.place, need.slot));
        needs
    }

    /// Takes all of it in memory, and notes what events will tell of.
    fn take_all(&mut self, needs: &[Need], buffers: &mut Buffers) -> bool {
        buffers.holds.clear();
        for need in needs {
            let cap = self.cap(need.place);
            let row = match cap.per {
                Per::All => {
                    let Some(which) = self.find_stripe(need) else {
                        return false;
                    };
                    self.take_from(which, need.amount);
                    self.held[which].stripe.number.into()
                }
                Per::User | Per::Decision => ROW_OF_USER,
            };
            if cap.counts.is_some() {
                let slot = need.slot as i64 + 1;
                buffers
                    .holds
                    .extend([slot, cap.number.into(), row, need.amount]);
            }
        }
        buffers.holds.as_chunks_mut::<4>().0.sort_unstable();
        true
    }

    fn take_from(&mut self, which: usize, amount: i64) {
        let moment = self.moment;
        let cap = self.cap(self.held[which].place);
        let held = &mut self.held[which];
        held.before.get_or_insert_with(|| held.stripe.clone());
        Budget(cap).advance(&mut held.stripe, moment);
        let state = if cap.counts.is_some() { -1 } else { COUNTED };
        let entry = (moment, amount, state);
        ledger::take(&mut held.stripe.ledger, entry, &cap.terms(moment));
        held.changed = true;
    }

    /// A row that has so much left, by its place among those held: one that was claimed, or one of many.
    fn find_stripe(&mut self, need: &Need) -> Option<usize> {
        let gives_way = self.limits.soft[..self.relaxed].contains(&need.place);
        if let Some(which) = self.fitting(need, gives_way) {
            return Some(which);
        }
        if let Some(which) = self.gather(need) {
            return Some(which);
        }
        if self.capacities[need.place] != Capacity::Plenty {
            return None;
        }
        self.find_among_many(need, gives_way)
            .or_else(|| self.wait_for_drawn(need, gives_way))
    }

    /// One of those that are held already.
    fn fitting(&self, need: &Need, gives_way: bool) -> Option<usize> {
        let budget = Budget(self.cap(need.place));
        let fits = |held: &Held| {
            held.place == need.place
                && (gives_way || budget.capacity(&held.stripe, self.moment) >= need.amount)
        };
        self.held.iter().position(fits)
    }

    /// One that nobody has, of a budget of which there is plenty: by a look.
    fn find_among_many(&mut self, need: &Need, gives_way: bool) -> Option<usize> {
        let cap = self.cap(need.place);
        let (budget, terms) = (Budget(cap), cap.terms(self.moment));
        let mut low = None;
        for number in budget.stripe_order() {
            if self.has(need.place, number) {
                continue;
            }
            let Ok((stripe, version)) = budget.look(number) else {
                budget.note_first_try(false);
                continue;
            };
            let has_enough = budget.capacity(&stripe, self.moment) >= need.amount;
            // One that runs low is left to others, until all do.
            if has_enough && stripe.free(&terms) >= cap.low_water_mark() {
                budget.start_with(number);
                self.hold(need.place, stripe, version, None);
                return Some(self.held.len() - 1);
            }
            if has_enough || gives_way {
                low = low.or(Some((stripe, version)));
            }
        }
        let (stripe, version) = low?;
        self.hold(need.place, stripe, version, None);
        Some(self.held.len() - 1)
    }

    /// Brings what is left of several rows that are held into one, where none has enough by itself.
    fn gather(&mut self, need: &Need) -> Option<usize> {
        let cap = self.cap(need.place);
        let (budget, moment) = (Budget(cap), self.moment);
        let spare = |held: &Held| budget.capacity(&held.stripe, moment).max(0);
        let of_cap = |(_, held): &(usize, &Held)| held.place == need.place;
        let rows: Vec<(usize, i64)> = self
            .held
            .iter()
            .enumerate()
            .filter(of_cap)
            .map(|(which, held)| (which, spare(held)))
            .collect();
        let total = rows.iter().map(|&(_, spare)| spare);
        let total = total.fold(0, i64::saturating_add);
        let &(into, has) = rows.iter().max_by_key(|(_, spare)| *spare)?;
        if total < need.amount {
            return None;
        }
        let mut needed = need.amount - has;
        for &(which, spare) in rows.iter().filter(|(which, _)| *which != into) {
            let moved = spare.min(needed);
            if moved > 0 {
                self.move_quota(which, -moved);
                needed -= moved;
            }
        }
        self.move_quota(into, need.amount - has);
        Some(into)
    }

    fn move_quota(&mut self, which: usize, amount: i64) {
        let cap = self.cap(self.held[which].place);
        let held = &mut self.held[which];
        held.before.get_or_insert_with(|| held.stripe.clone());
        Budget(cap).advance(&mut held.stripe, self.moment);
        held.stripe.quota += amount;
        held.stripe.allowed += amount as f64;
        held.changed = true;
    }

    /// Writes the rows that have changed; false if another session was faster with one of them.
    pub(super) fn write_stripes(&mut self) -> bool {
        for held in self.held.iter_mut().filter(|held| held.changed) {
            held.row_lock = held
                .row_lock
                .take()
                .and_then(|row_lock| held.stripe.write(row_lock));
            if held.row_lock.is_none() {
                return false;
            }
            held.changed = false;
        }
        true
    }

    /// Lets others know of budgets that run out.
    pub(super) fn note_little(&self) {
        let now = self.moment;
        for held in self.held.iter().filter(|held| held.before.is_some()) {
            let cap = self.cap(held.place);
            if cap.is_small() || held.stripe.free(&cap.terms(now)) >= cap.low_water_mark() {
                continue;
            }
            let (starts, ends) = cap.window(now);
            let starts = cap.level_window(starts);
            if Budget(cap).level(starts, now) == Level::Plenty {
                Budget(cap).announce_level(starts, Level::Low, ends);
            }
        }
    }

    /// Gives back what was taken: what was written is to be written again. What was not is let go.
    pub(super) fn give_back_stripes(&mut self) {
        self.held.retain(Held::is_held);
        self.give_back_stripes_in_hand();
    }

    /// The same, and the rows are kept.
    fn give_back_stripes_in_hand(&mut self) {
        for held in &mut self.held {
            if let Some(before) = held.before.take() {
                held.stripe = before;
                held.changed = held.is_held();
            }
        }
    }

    /// A row of what was drawn that others have: it is waited for, as long as it passes from hand to hand.
    fn wait_for_drawn(&mut self, need: &Need, gives_way: bool) -> Option<usize> {
        let cap = self.cap(need.place);
        let budget = Budget(cap);
        budget.note_first_try(false);
        loop {
            let mut in_use = false;
            for number in budget.stripe_order() {
                session::check_interrupts();
                let left = self.until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                if self.has(need.place, number) {
                    continue;
                }
                // One that others keep is left for the next.
                let share = (left.as_millis() as u32).clamp(1, super::wait::MOMENT);
                self.is_old = true;
                match budget.claim_within(number, share) {
                    Ok((stripe, version, claim)) => {
                        let enough = budget.capacity(&stripe, self.moment) >= need.amount;
                        if enough || gives_way {
                            self.hold(need.place, stripe, version, claim);
                            return Some(self.held.len() - 1);
                        }
                    }
                    Err(Unavailable::Absent) => return None,
                    Err(Unavailable::Claimed | Unavailable::Held(_)) => in_use = true,
                }
            }
            // Nobody has any of them: nothing is left.
            if !in_use {
                return None;
            }
        }
    }
}
