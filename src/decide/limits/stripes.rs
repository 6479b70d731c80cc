//! What is chosen is taken from the counters of its budgets.

use super::wait::For;
use super::{BUSY, Held, Limiting, PLENTY};
use crate::decide::Desk;
use crate::math::ledger::{self, COUNTED};
use crate::pg::locked::Missed;
use crate::pg::version::Grip;
use crate::policy::{Budget, Level, Per, Stripe};

impl Limiting<'_> {
    /// Finds stripes for what the slate takes; false if something is not there any more, so that the choice must be
    /// made again.
    pub fn reserve(&mut self, desk: &mut Desk) -> bool {
        if !self.takes {
            return true;
        }
        desk.holds.clear();
        // In the order of caps, whatever the order of slots: so that nobody waits for each other.
        let mut needs: Vec<(usize, usize, i64)> = Vec::new();
        for (slot, &pick) in desk.slate.picks.iter().enumerate() {
            let of_action = self.limits.of_action[desk.open[pick]].iter();
            needs.extend(of_action.map(|&(place, amount)| (place, slot, amount)));
        }
        needs.sort_unstable();
        let mut taken: Vec<(usize, i64)> = Vec::new();
        for (place, slot, amount) in needs {
            let cap = self.cap(place);
            let stripe = match cap.per {
                Per::User if amount > 0 => -1,
                Per::All if amount > 0 => {
                    let Some(which) = self.find_stripe(place, amount, &taken, desk) else {
                        return false;
                    };
                    taken.push((which, amount));
                    i64::from(self.held[which].stripe.number)
                }
                _ => continue,
            };
            if cap.counts.is_some() {
                let slot = slot as i64 + 1;
                desk.holds.extend([slot, cap.slot.into(), stripe, amount]);
            }
        }
        desk.holds.as_chunks_mut::<4>().0.sort_unstable();
        for (which, amount) in taken {
            let cap = self.cap(self.held[which].place);
            let held = &mut self.held[which];
            held.before.get_or_insert_with(|| held.stripe.clone());
            Budget(cap).advance(&mut self.held[which].stripe, self.request.now);
            self.take(which, amount);
        }
        true
    }

    /// A stripe, by its place among those held, that has so much left beside what is taken from it
    /// already.
    fn find_stripe(
        &mut self,
        place: usize,
        amount: i64,
        taken: &[(usize, i64)],
        desk: &Desk,
    ) -> Option<usize> {
        let cap = self.cap(place);
        let now = self.request.now;
        let gives_way = self.limits.soft[..self.relaxed].contains(&place);
        let left = |held: &Held, which: usize| {
            let mine = taken.iter().filter(|(other, _)| *other == which);
            let mine: i64 = mine.map(|(_, amount)| amount).sum();
            Budget(cap).room(&held.stripe, now) - mine
        };
        let mut fitting = self.held.iter().enumerate();
        let fits = |(which, held): &(usize, &Held)| {
            held.place == place && (gives_way || left(held, *which) >= amount)
        };
        if let Some((which, _)) = fitting.find(fits) {
            return Some(which);
        }
        // While there is plenty, a look is enough: it is rare that another session is faster.
        let only_looks = !self.careful && self.rooms[place] == PLENTY;
        let stripes = cap.stripes.get();
        let first = (desk.seed % stripes.max(1) as u64) as i32;
        let mut are_held = false;
        for step in 0..stripes {
            let number = (first + step) % stripes;
            if self.has(place, number) {
                continue;
            }
            let worth = || {
                gives_way
                    || Budget(cap)
                        .peek(number)
                        .is_none_or(|s| Budget(cap).room(&s, now) >= amount)
            };
            let looks_first = step > 0 || cap.is_small() || cap.is_paced();
            if !only_looks && looks_first && !worth() {
                continue;
            }
            let found = match only_looks {
                true => Budget(cap).look(number),
                false => Budget(cap).lock(number),
            };
            match found {
                Ok((stripe, grip)) => {
                    let room = Budget(cap).room(&stripe, now);
                    self.hold(place, stripe, grip);
                    if gives_way || room >= amount {
                        return Some(self.held.len() - 1);
                    }
                }
                Err(Missed::Taken) => are_held = are_held || worth(),
                Err(Missed::Absent) => {}
            }
        }
        // All that have room are in use: one of them will be free in a moment, unless it is held for long. Who
        // has chosen something else does not wait to see that, so neither does this one where it counts.
        if are_held && !self.sharp.contains(&place) {
            let least = if gives_way { i64::MIN } else { amount };
            let found = self.wait_for_one(place, least, For::TheChosen);
            if found.is_some() {
                return found;
            }
        }
        let gathered = self.gather(place, amount, taken);
        if gathered.is_none() {
            self.rooms[place] = if are_held {
                Budget(cap).look_out(now);
                BUSY
            } else {
                0
            };
        }
        gathered
    }

    pub(super) fn hold(&mut self, place: usize, stripe: Stripe, grip: Grip) {
        self.held.push(Held {
            place,
            stripe,
            grip: Some(grip),
            before: None,
            changed: false,
        });
    }

    /// Brings what is left of several stripes into one, where none has enough by itself.
    fn gather(&mut self, place: usize, amount: i64, taken: &[(usize, i64)]) -> Option<usize> {
        let cap = self.cap(place);
        if amount <= 1 {
            return None;
        }
        let now = self.request.now;
        for number in 0..cap.stripes.get() {
            let held = self
                .held
                .iter()
                .any(|held| held.place == place && held.is_firm() && held.stripe.number == number);
            let some = || {
                Budget(cap)
                    .peek(number)
                    .is_some_and(|s| Budget(cap).room(&s, now) > 0)
            };
            if !held
                && some()
                && let Ok((stripe, grip)) = Budget(cap).lock(number)
            {
                self.hold(place, stripe, grip);
            }
        }
        let spare = |which: usize, held: &Held| {
            let mine = taken.iter().filter(|(other, _)| *other == which);
            let mine: i64 = mine.map(|(_, amount)| amount).sum();
            (Budget(cap).room(&held.stripe, now) - mine).max(0)
        };
        let of_cap: Vec<(usize, i64)> = self
            .held
            .iter()
            .enumerate()
            .filter(|(_, held)| held.place == place && held.is_firm())
            .map(|(which, held)| (which, spare(which, held)))
            .collect();
        let total: i64 = of_cap.iter().map(|(_, spare)| spare).sum();
        let &(into, has) = of_cap.iter().max_by_key(|(_, spare)| *spare)?;
        if total < amount {
            return None;
        }
        // One that was in use a moment ago may have enough by itself.
        if has >= amount {
            return Some(into);
        }
        let mut needed = amount - has;
        for &(which, spare) in of_cap.iter().filter(|(which, _)| *which != into) {
            let moved = spare.min(needed);
            if moved > 0 {
                Budget(cap).advance(&mut self.held[which].stripe, now);
                self.held[which].stripe.quota -= moved;
                self.held[which].stripe.allowed -= moved as f64;
                self.held[which].changed = true;
                needed -= moved;
            }
        }
        Budget(cap).advance(&mut self.held[into].stripe, now);
        self.held[into].stripe.quota += amount - has;
        self.held[into].stripe.allowed += (amount - has) as f64;
        self.held[into].changed = true;
        Some(into)
    }

    /// Takes an exposure from a stripe, which is not written yet.
    fn take(&mut self, which: usize, amount: i64) {
        let cap = self.cap(self.held[which].place);
        let held = &mut self.held[which];
        let state = if cap.counts.is_some() { -1 } else { COUNTED };
        let terms = cap.terms(self.request.now);
        ledger::take(
            &mut held.stripe.ledger,
            (self.request.now, amount, state),
            &terms,
        );
        held.changed = true;
    }

    /// Writes the stripes that have changed; false if another session was faster with one of them.
    pub(super) fn write_stripes(&mut self) -> bool {
        for held in self.held.iter_mut().filter(|held| held.changed) {
            held.grip = held.grip.take().and_then(|grip| held.stripe.write(grip));
            if held.grip.is_none() {
                return false;
            }
            held.changed = false;
        }
        true
    }

    /// Lets others know of budgets that run out.
    pub(super) fn mark_little(&self) {
        let now = self.request.now;
        for held in self.held.iter().filter(|held| held.before.is_some()) {
            let cap = self.cap(held.place);
            if cap.is_small() || held.stripe.free(&cap.terms(now)) >= cap.little() {
                continue;
            }
            let (starts, ends) = cap.window(now);
            let starts = cap.level_window(starts);
            if Budget(cap).level(starts, now) == Level::Plenty {
                Budget(cap).mark(starts, Level::Little, ends);
            }
        }
    }

    /// Gives back what was taken: written or not, the next writing says what counts. What was only looked
    /// at is let go.
    pub(super) fn give_back_stripes(&mut self) {
        self.held.retain(Held::is_firm);
        for held in &mut self.held {
            if let Some(before) = held.before.take() {
                held.stripe = before;
                held.changed = true;
            }
        }
    }
}
