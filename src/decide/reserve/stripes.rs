//! After the draw: what was drawn is taken from rows of counters.

use std::time::Instant;

use super::counter::{Capacity, HeldRow};
use super::reservation::Reservation;
use super::wait::TURN_MS;
use crate::caps::{Budget, Cap, Level};
use crate::decide::draw::{Draw, Hold};
use crate::math::ledger::{self, COUNTED};
use crate::pg::holder::Unavailable;
use crate::pg::session;

/// How often the same draw is taken from other rows, where others were faster with the ones that it had read.
const MOST_ATTEMPTS: u32 = 16;

/// What one slot of the slate takes of one budget, or reserves in the row of the user.
struct Need {
    /// The index of the cap among those of the surface.
    cap: usize,
    /// From 0.
    slot: usize,
    amount: i64,
}

impl Reservation<'_> {
    /// Takes what was drawn from rows of counters, and writes them; false if it is not to be had. The row of the
    /// user is written already: others are waited for while it is held, and never the other way round.
    pub(super) fn take_stripes(&mut self, draw: &mut Draw) -> bool {
        let needs = self.needs(draw);
        for _ in 0..MOST_ATTEMPTS {
            session::check_interrupts();
            if !self.take_all(&needs, draw) {
                return false;
            }
            // A row may have an entry that is newer than the moment: then all is taken anew, as of a later one.
            if self.renew_moment() {
                self.undo_changes();
                if !self.write_user_again(draw) || !self.take_all(&needs, draw) {
                    return false;
                }
            }
            if self.write_stripes() {
                return true;
            }
            // Others were faster: the same draw is taken from other rows.
            self.undo_stripes();
        }
        false
    }

    /// What the slate takes, in the order of caps, whatever the order of slots: so that nobody waits for each
    /// other.
    fn needs(&self, draw: &Draw) -> Vec<Need> {
        let mut needs = Vec::new();
        for (slot, &pick) in draw.slate.picks.iter().enumerate() {
            for (cap, amount) in self.limits.of_action(draw.open[pick]) {
                let (per, counts) = (self.cap(cap).per, &self.cap(cap).counts);
                if per.is_budget() || per.is_of_user() && counts.is_some() {
                    needs.push(Need { cap, slot, amount });
                }
            }
        }
        needs.sort_unstable_by_key(|need| (need.cap, need.slot));
        needs
    }

    /// Takes all of it in memory, and notes what is reserved until events confirm it.
    fn take_all(&mut self, needs: &[Need], draw: &mut Draw) -> bool {
        draw.holds.clear();
        for need in needs {
            let cap = self.cap(need.cap);
            let mut stripe = None;
            if cap.per.is_budget() {
                let Some(row) = self.find_row(need) else {
                    return false;
                };
                self.take_from(row, need.amount);
                stripe = Some(self.held[row].stripe.number);
            }
            if cap.counts.is_some() {
                draw.holds.push(Hold {
                    slot: need.slot as i32 + 1,
                    cap: cap.number,
                    stripe,
                    amount: need.amount,
                });
            }
        }
        draw.holds.sort_unstable();
        true
    }

    fn take_from(&mut self, row: usize, amount: i64) {
        let moment = self.moment;
        let cap = self.cap(self.held[row].cap);
        let stripe = self.held[row].change();
        Budget(cap).advance(stripe, moment);
        let state = if cap.counts.is_some() { -1 } else { COUNTED };
        let entry = (moment, amount, state);
        ledger::take(&mut stripe.ledger, entry, &cap.terms(moment));
    }

    /// A row that has so much left, by its index among those held: one that was claimed, or one of many.
    fn find_row(&mut self, need: &Need) -> Option<usize> {
        let gives_way = self.limits.soft[..self.relaxed].contains(&need.cap);
        let held = self.find_held(need, gives_way);
        if let Some(row) = held.or_else(|| self.gather(need)) {
            return Some(row);
        }
        if self.capacity(need.cap) != Capacity::Plenty {
            return None;
        }
        let row = self.find_free(need, gives_way);
        let row = row.or_else(|| self.wait_for_drawn(need, gives_way));
        if row.is_none() {
            self.announce_low(self.cap(need.cap));
        }
        row
    }

    /// One of those that are held already.
    fn find_held(&self, need: &Need, gives_way: bool) -> Option<usize> {
        let budget = Budget(self.cap(need.cap));
        let fits = |row: &HeldRow| {
            row.cap == need.cap
                && (gives_way || budget.capacity(&row.stripe, self.moment) >= need.amount)
        };
        self.held.iter().position(fits)
    }

    /// One that no other transaction holds, of a budget far from its limit: read, and not claimed.
    fn find_free(&mut self, need: &Need, gives_way: bool) -> Option<usize> {
        let cap = self.cap(need.cap);
        let (budget, terms) = (Budget(cap), cap.terms(self.moment));
        let mut low = None;
        for number in budget.rows_in_order() {
            if self.has(need.cap, number) {
                continue;
            }
            let Ok((stripe, version)) = budget.look(number) else {
                budget.note_first_row(false);
                continue;
            };
            let has_enough = budget.capacity(&stripe, self.moment) >= need.amount;
            // One that runs low is left to others, until all do.
            if has_enough && stripe.free(&terms) >= cap.low_water_mark() {
                budget.set_first_row(number);
                self.hold(need.cap, stripe, version, None);
                return Some(self.held.len() - 1);
            }
            if has_enough || gives_way {
                low = low.or(Some((stripe, version)));
            }
        }
        let (stripe, version) = low?;
        self.hold(need.cap, stripe, version, None);
        Some(self.held.len() - 1)
    }

    /// Brings what is left of several rows that are held into one, where none has enough by itself.
    fn gather(&mut self, need: &Need) -> Option<usize> {
        let cap = self.cap(need.cap);
        let (budget, moment) = (Budget(cap), self.moment);
        let spare = |row: &HeldRow| budget.capacity(&row.stripe, moment).max(0);
        let of_cap = |(_, row): &(usize, &HeldRow)| row.cap == need.cap;
        let held = self.held.iter().enumerate().filter(of_cap);
        let rows: Vec<(usize, i64)> = held.map(|(row, held)| (row, spare(held))).collect();
        let total = rows.iter().map(|&(_, spare)| spare);
        let total = total.fold(0, i64::saturating_add);
        let &(into, has) = rows.iter().max_by_key(|(_, spare)| *spare)?;
        if total < need.amount {
            return None;
        }
        let mut needed = need.amount - has;
        for &(row, spare) in rows.iter().filter(|(row, _)| *row != into) {
            let moved = spare.min(needed);
            if moved > 0 {
                self.move_quota(row, -moved);
                needed -= moved;
            }
        }
        self.move_quota(into, need.amount - has);
        Some(into)
    }

    fn move_quota(&mut self, row: usize, amount: i64) {
        let moment = self.moment;
        let cap = self.cap(self.held[row].cap);
        let stripe = self.held[row].change();
        Budget(cap).advance(stripe, moment);
        stripe.quota += amount;
        stripe.allowed += amount as f64;
    }

    /// Writes the rows that have changed, but for those that are written at the end of the call; false if another
    /// transaction was faster with one of them.
    pub(super) fn write_stripes(&mut self) -> bool {
        for index in 0..self.held.len() {
            if !self.must_write(&self.held[index]) {
                continue;
            }
            let row = &mut self.held[index];
            let row_lock = row.row_lock.take();
            row.row_lock = row_lock.and_then(|row_lock| row.stripe.write(row_lock));
            if row.row_lock.is_none() {
                return false;
            }
            row.changed = false;
        }
        true
    }

    /// Tells other sessions of budgets that run out.
    pub(super) fn announce_low_budgets(&self) {
        let now = self.moment;
        for row in self.held.iter().filter(|row| row.before.is_some()) {
            let cap = self.cap(row.cap);
            if cap.is_small() || row.stripe.free(&cap.terms(now)) >= cap.low_water_mark() {
                continue;
            }
            self.announce_low(cap);
        }
    }

    /// Has all sessions read the counter of a budget before they choose.
    fn announce_low(&self, cap: &Cap) {
        let now = self.moment;
        let (starts, ends) = cap.window(now);
        let starts = cap.level_window(starts);
        if Budget(cap).level(starts, now) == Level::Plenty {
            Budget(cap).announce_level(starts, Level::Low, ends);
        }
    }

    /// Undoes what was taken: what was written is to be written again, other rows are let go.
    pub(super) fn undo_stripes(&mut self) {
        self.held.retain(HeldRow::is_written);
        self.undo_changes();
    }

    /// The same, but all rows stay held.
    fn undo_changes(&mut self) {
        for row in &mut self.held {
            if let Some(before) = row.before.take() {
                row.stripe = before;
                row.changed = row.is_written();
            }
        }
    }

    /// Waits for a row of what was drawn, as long as transactions of others take turns with it.
    fn wait_for_drawn(&mut self, need: &Need, gives_way: bool) -> Option<usize> {
        let cap = self.cap(need.cap);
        let budget = Budget(cap);
        budget.note_first_row(false);
        loop {
            let mut in_use = false;
            for number in budget.rows_in_order() {
                session::check_interrupts();
                let left = self.wait_until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                if self.has(need.cap, number) {
                    continue;
                }
                // A row that another transaction keeps is left for the next.
                let share = (left.as_millis() as u32).clamp(1, TURN_MS);
                self.is_moment_stale = true;
                match budget.claim_within(number, share) {
                    Ok((stripe, version, claim)) => {
                        let enough = budget.capacity(&stripe, self.moment) >= need.amount;
                        if enough || gives_way {
                            self.hold(need.cap, stripe, version, claim);
                            return Some(self.held.len() - 1);
                        }
                    }
                    Err(Unavailable::Absent) => return None,
                    Err(Unavailable::Claimed | Unavailable::Held(_)) => in_use = true,
                }
            }
            // No other transaction holds any of them: nothing is left.
            if !in_use {
                return None;
            }
        }
    }
}
