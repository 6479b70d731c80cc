//! Before the draw: what caps have capacity for; after it: what was drawn is taken from their counters.
//! [`Reservation`] goes through these states, in this order:
//!
//! 1. **Opened** ([`Reservation::open`]). The row of the user is the version that the features were read from, or
//!    is locked. A budget is contested if other transactions may hold all its rows: it has few, is near its limit, is
//!    paced, or one of its rows was found in use lately. Of each contested budget, rows with enough capacity for any
//!    draw are claimed ([`claims`]). All waits before the draw are here. Then the moment is fixed, and with it the capacity of each cap.
//! 2. **Drawn** ([`Reservation::constrain`], [`Reservation::draw`]): among the candidates that each cap has
//!    capacity for. Opened again where a soft cap gives way ([`Reservation::relax`]).
//! 3. **Taken** ([`Reservation::take`]): the row of the user is written ([`user`]), then the rows of counters
//!    ([`stripes`]). Claims that are not needed are given back unchanged. Opened again, for another draw, where others
//!    were faster.
//! 4. **Released** ([`Reservation::take_nothing`]), from Opened: whatever was written is undone, and nothing is shown.
//!
//! It ends as Taken or Released. Debug builds check each transition.
//!
//! # Why the logged probabilities are exact
//!
//! The rule: *capacity is decided before the draw, and a drawn action is never refused*. Let C be
//! the candidates left open by `constrain`, a function of what was read, claimed and waited for so far, and let the
//! draw be a function of C, the scores and a seed that nothing before depends on. Then P(a | C) is what the trace
//! says, if every draw becomes the answer, or if its acceptance depends on C alone, not on the action drawn. It does:
//!
//! - A cap of the user: the row is checked to be the newest version, or locked, whatever was drawn, also if nothing
//!   is written to it. If another transaction was faster the reservation is opened again: an event of equal
//!   probability for each outcome of the draw. In a transaction that sees one snapshot throughout, the same event
//!   is a serialization failure, and the client's retry is independent of the draw as well.
//! - A budget that was claimed: its rows cannot be changed by others until the claim is given back, and the capacity
//!   is that of the claimed rows alone. So what is drawn is taken without a wait, by the same arithmetic.
//! - A budget of many rows, far from its limit, of which this session has found its own row free 64 times in a row: a
//!   free row is looked for after the draw, and one waited for if there is none (at most for `LONGEST_WAIT`). A draw is
//!   discarded only if long transactions have taken all rows since the session's last decision, and at most once: the
//!   first row that is found in use has the budget claimed again from then on. If the eligible actions have more than
//!   64 budgets, as with one for each value of an attribute, those of many rows that this session has not found in use
//!   count as free.
//!
//! # The moment
//!
//! The moment of a decision is that of its exposures, and the trace says it. It is taken anew after every wait, and
//! where a row has an entry that is newer: so the entries of a row never go back in time, and a decision that is late
//! counts in the window of that day, not in one that others have cleared. The user's features and rules are as of the
//! moment before, which the trace keeps as well where it is another.
//!
//! Locks are taken in this order: the row of the user, then rows of counters in the order of caps. Every wait has a
//! limit.
//!
//! # Several decisions in one call
//!
//! Those of a page, or of a batch, reserve one after the other, and see in memory what those before have taken
//! ([`kept`]). The argument above holds for each of them, given what those before have taken: a row that one of them
//! has locked is as good as one that is claimed.

mod claims;
mod counter;
mod kept;
mod reservation;
mod stripes;
mod succession;
mod user;
mod wait;

use std::time::Duration;

pub use kept::Kept;
pub use reservation::Reservation;

use super::blocked::{Blocked, BlockedAction};
use super::draw::{Draw, Dropped};
use super::request::Request;
use crate::caps::Per;
use crate::math::choice::{Choice, Scored};
use crate::math::ledger;
use crate::policy::UserRow;
use counter::{Capacity, CounterState};
use reservation::State;

/// Of more budgets than that a decision claims only those that were found in use.
const MOST_CLAIMED: usize = 64;

/// How often a decision draws at most.
pub const MOST_DRAWS: u32 = 8;

impl<'a> Reservation<'a> {
    /// Takes the row of the user as it was read, or locks it where there is none and there is a cap per user; claims
    /// what others may hold all of. The session must stay open until the counters are written.
    pub fn open(
        request: &'a Request<'a>,
        decides: bool,
        time_left: Option<Duration>,
        user: &UserRow,
        eligible: &[usize],
        kept: &'a mut Kept,
    ) -> Reservation<'a> {
        let mut reservation = Reservation::new(request, decides, time_left, kept);
        reservation.find_needed(eligible);
        reservation.take_over_rows();
        reservation.open_user(user);
        reservation.find_capacities();
        reservation
    }

    /// Notes the caps that bind an eligible action. The others are not looked at: many actions, each with caps of its
    /// own, may not be eligible.
    fn find_needed(&mut self, eligible: &[usize]) {
        let mut is_needed = vec![false; self.limits.caps.len()];
        for &action in eligible {
            for (index, _) in self.limits.of_action(action) {
                is_needed[index] = true;
            }
        }
        self.is_needed = is_needed;
    }

    /// Claims, waits, fixes the moment: from then on no capacity changes until something is taken.
    fn find_capacities(&mut self) {
        if self.kept.is_for_several() {
            self.leave_moment_of_others();
        }
        self.is_moment_stale |= self.is_behind_user();
        self.counters.clear();
        let budgets = (0..self.limits.caps.len()).filter(|&index| self.needs_budget(index));
        self.has_many_budgets = budgets.count() > MOST_CLAIMED;
        for index in 0..self.limits.caps.len() {
            let counter = match self.needs_budget(index) {
                true => self.claim_counter(index),
                false => CounterState::Unclaimed,
            };
            self.counters.push(counter);
        }
        self.renew_moment();
        let mut capacities = std::mem::take(&mut self.capacities);
        capacities.clear();
        let blocks = ledger::blocks(&self.exposures);
        capacities.extend((0..self.limits.caps.len()).map(|index| self.capacity(index, &blocks)));
        self.capacities = capacities;
    }

    fn needs_budget(&self, index: usize) -> bool {
        self.is_needed[index] && self.cap(index).per.is_budget()
    }

    /// What is left of a cap at the moment.
    fn capacity(&self, index: usize, of_user: &[(i64, &[i64])]) -> Capacity {
        if !self.is_needed[index] {
            return Capacity::Plenty;
        }
        let cap = self.cap(index);
        let limit = self.request.mode_limits.limit(cap.limit);
        match cap.per {
            Per::Decision => Capacity::Units(limit),
            Per::User => self.capacity_of_user(cap, limit, of_user),
            Per::All => self.capacity_of_budget(index),
        }
    }

    /// Opens the draw to those eligible actions for which every cap has capacity.
    pub fn constrain(&self, eligible: &[usize], draw: &mut Draw) {
        self.must_be(State::Opened);
        draw.blocked.clear();
        let of_largest = self.capacities.iter().zip(&self.limits.largest);
        let moved = self.moment != self.request.now;
        if !moved && of_largest.clone().all(|(c, &largest)| c.allows(largest)) {
            return draw.open_to(eligible);
        }
        draw.open.clear();
        for &action in eligible {
            match self.blocked(action) {
                None => draw.open.push(action),
                Some(why) => draw.blocked.push(BlockedAction { action, why }),
            }
        }
    }

    /// Why an eligible action cannot be had.
    fn blocked(&self, action: usize) -> Option<Blocked> {
        // Its campaign may have ended while others were waited for.
        if self.moment >= self.request.surface.actions[action].ends {
            return Some(Blocked::Ended);
        }
        let mut needs = self.limits.of_action(action);
        let (index, _) = needs.find(|&(index, amount)| !self.capacities[index].allows(amount))?;
        Some(match self.capacities[index] {
            Capacity::Contested(_) | Capacity::Busy => Blocked::Busy,
            Capacity::UnknownUser => Blocked::UnknownUser,
            Capacity::Units(_) | Capacity::Plenty => Blocked::Cap(self.cap(index).number),
        })
    }

    /// Draws an action for each slot; what one takes is not there for the next.
    pub fn draw(&mut self, choice: &Choice, draw: &mut Draw) {
        self.enter(State::Drawn);
        let slots = self.request.surface.slots;
        let several = slots > 1;
        let units = self.capacities.iter().map(|capacity| capacity.units());
        let mut left: Vec<i64> = units.filter(|_| several).collect();
        let Draw {
            open,
            scores,
            spreads,
            slate,
            dropped,
            seed,
            ..
        } = draw;
        dropped.clear();
        let mut is_gone = vec![false; if several { open.len() } else { 0 }];
        let scored = Scored { scores, spreads };
        slate.choose_within(choice, scored, slots, *seed, |slot, picked, gone| {
            if slot + 1 == slots {
                return;
            }
            for (index, amount) in self.limits.of_action(open[picked]) {
                if self.capacities[index] != Capacity::Plenty {
                    left[index] = left[index].saturating_sub(amount);
                }
            }
            is_gone[picked] = true;
            for (candidate, &action) in open.iter().enumerate() {
                let mut needs = self.limits.of_action(action);
                if !is_gone[candidate] && needs.any(|(index, amount)| left[index] < amount) {
                    is_gone[candidate] = true;
                    gone.push(candidate);
                    dropped.push(Dropped {
                        slot: slot as i32 + 2,
                        action: self.request.surface.actions[action].number,
                    });
                }
            }
        });
    }

    /// Lets the next soft cap give way; whether there was one.
    pub fn relax(&mut self, draw: &mut Draw) -> bool {
        let Some(&index) = self.limits.soft.get(self.relaxed) else {
            return false;
        };
        self.enter(State::Opened);
        self.relaxed += 1;
        // Busy and UnknownUser stay: relaxing the cap would not make the row of the user writable.
        if !matches!(
            self.capacities[index],
            Capacity::Busy | Capacity::UnknownUser
        ) {
            self.capacities[index] = Capacity::Plenty;
            draw.relaxed.push(self.cap(index).number);
        }
        true
    }

    /// Takes what was drawn from the counters; false where it must be drawn again, from what can be had now.
    pub fn take(&mut self, time_left: Option<Duration>, draw: &mut Draw) -> bool {
        self.must_be(State::Drawn);
        if self.decides {
            self.set_time_left(time_left);
            if !self.write_user(draw) {
                self.open_again(draw);
                self.exposures_before = None;
                self.lock_user();
                self.find_capacities();
                return false;
            }
            if !self.take_stripes(draw) {
                self.open_again(draw);
                self.must_claim_all = true;
                self.find_capacities();
                return false;
            }
            self.announce_low_budgets();
        }
        self.enter(State::Taken);
        self.hand_on();
        true
    }

    /// For another draw: nothing is taken, and no soft cap has given way.
    fn open_again(&mut self, draw: &mut Draw) {
        self.enter(State::Opened);
        self.undo();
        draw.relaxed.clear();
        self.relaxed = 0;
    }

    /// Undoes whatever was written: nothing is shown.
    pub fn take_nothing(&mut self, draw: &mut Draw) {
        draw.choose_nothing();
        self.undo();
        if self.exposures_before.is_some() {
            self.write_user(draw);
        }
        self.write_stripes();
        self.enter(State::Released);
        self.hand_on();
    }

    /// Restores the user row and the counter rows in memory to their state before the draw. Rows that were written are
    /// marked to be written again; the others are released.
    fn undo(&mut self) {
        self.undo_stripes();
        self.undo_user();
    }
}
