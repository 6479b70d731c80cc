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
//!   count as free. Whoever discards a draw has every session claim that budget, as one near its limit.
//!
//! # Which caps are looked at
//!
//! The rule: a cap is looked at before the draw unless its capacity is known without a look ([`capacities`]), so C is the
//! set that a look at every cap would leave open. What is used of a cap per user is the sum of its entries in the row of the
//! user, and nothing if there is none: all of its limit is left, or if the user is not known, or the row in use, every such
//! cap is looked at. A budget is looked at if it may be contested: of 64 budgets or fewer each one, of more than that those
//! that are small or paced, have few rows, have a level for whichever window, or of which a row was found in use. Of
//! the others the level is plenty at every moment, and they would not be claimed either. That list is kept until one of its
//! terms changes, as the levels that others announce, and is not kept where the mode tightens limits or a draw was
//! discarded: then all are looked at.
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

mod capacities;
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
use crate::math::choice::{Choice, Scored};
use crate::policy::UserRow;
use counter::{CapState, Capacity};
use reservation::State;

/// Of more budgets than that a decision claims only those that were found in use.
const MOST_CLAIMED: usize = 64;

/// How often a decision draws at most.
pub const MOST_DRAWS: u32 = 8;

/// What the slots that are filled leave of caps, by the index of each among those of the surface.
#[derive(Default)]
struct Left(Vec<(usize, i64)>);

impl Left {
    /// What is left of a cap after another slot takes of it; `capacity` says what there was before the first.
    fn after(&mut self, cap: usize, amount: i64, capacity: impl FnOnce() -> Capacity) -> i64 {
        let at = self.0.iter().position(|&(of, _)| of == cap);
        let at = at.unwrap_or_else(|| {
            self.0.push((cap, capacity().units()));
            self.0.len() - 1
        });
        let left = &mut self.0[at].1;
        // Plenty is more than any slate takes.
        if *left != i64::MAX {
            *left = left.saturating_sub(amount);
        }
        *left
    }
}

/// Where those of the actions are that are open; both are ascending.
fn positions(open: &[usize], actions: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
    let mut from = 0;
    actions.filter_map(move |action| {
        from += open[from..].iter().take_while(|&&of| of < action).count();
        (open.get(from) == Some(&action)).then_some(from)
    })
}

impl<'a> Reservation<'a> {
    /// Takes the row of the user as it was read, or locks it where there is none and there is a cap per user; claims
    /// what others may hold all of. The session must stay open until the counters are written.
    pub fn open(
        request: &'a Request<'a>,
        decides: bool,
        time_left: Option<Duration>,
        user: &UserRow,
        eligible: &'a [usize],
        kept: &'a mut Kept,
    ) -> Reservation<'a> {
        let mut reservation = Reservation::new(request, decides, time_left, eligible, kept);
        reservation.take_over_rows();
        reservation.open_user(user);
        reservation.find_capacities();
        reservation
    }

    /// Opens the draw to those eligible actions for which every cap has capacity.
    pub fn constrain(&self, draw: &mut Draw) {
        self.must_be(State::Opened);
        draw.blocked.clear();
        let moved = self.moment != self.request.now;
        let blocked = self.blocked_by_caps();
        if !moved && blocked.is_empty() {
            return draw.open_to(self.eligible);
        }
        let mut blocked = blocked.into_iter().peekable();
        draw.open.clear();
        for &action in self.eligible {
            while blocked.next_if(|of| of.action < action).is_some() {}
            let by_cap = blocked.peek().filter(|of| of.action == action);
            // Its campaign may have ended while others were waited for.
            let has_ended = moved && self.moment >= self.request.surface.actions[action].ends;
            let why = match has_ended {
                true => Some(Blocked::Ended),
                false => by_cap.map(|of| of.why),
            };
            match why {
                None => draw.open.push(action),
                Some(why) => draw.blocked.push(BlockedAction { action, why }),
            }
        }
    }

    /// The actions that a cap has no capacity for, ascending; the first of several caps is the reason.
    fn blocked_by_caps(&self) -> Vec<BlockedAction> {
        let mut blocked = Vec::new();
        for state in &self.states {
            if state.capacity.allows(self.limits.largest[state.cap]) {
                continue;
            }
            let takers = self.limits.takers(state.cap);
            let takers = takers.filter(|&(_, amount)| !state.capacity.allows(amount));
            let why = self.why(state);
            blocked.extend(takers.map(|(action, _)| BlockedAction { action, why }));
        }
        blocked.sort_by_key(|of| of.action);
        blocked
    }

    /// Why actions cannot be had for which a cap has no capacity.
    fn why(&self, state: &CapState) -> Blocked {
        match state.capacity {
            Capacity::Contested(_) | Capacity::Busy => Blocked::Busy,
            Capacity::UnknownUser => Blocked::UnknownUser,
            Capacity::Units(_) | Capacity::Plenty => Blocked::Cap(self.cap(state.cap).number),
        }
    }

    /// Draws an action for each slot; what one takes is not there for the next.
    pub fn draw(&mut self, choice: &Choice, draw: &mut Draw) {
        self.enter(State::Drawn);
        let slots = self.request.surface.slots;
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
        let mut left = Left::default();
        let mut is_gone = vec![false; if slots > 1 { open.len() } else { 0 }];
        let scored = Scored { scores, spreads };
        slate.choose_within(choice, scored, slots, *seed, |slot, picked, gone| {
            if slot + 1 == slots {
                return;
            }
            is_gone[picked] = true;
            for (index, amount) in self.limits.of_action(open[picked]) {
                let left = left.after(index, amount, || self.capacity(index));
                // Until then, each candidate that is not gone had enough of every cap.
                if left < self.limits.largest[index] {
                    let takers = self.limits.takers(index);
                    let takers = takers.filter(|&(_, amount)| amount > left);
                    let candidates = positions(open, takers.map(|(action, _)| action));
                    let gone_now = |&at: &usize| !std::mem::replace(&mut is_gone[at], true);
                    gone.extend(candidates.filter(gone_now));
                }
            }
            gone.sort_unstable();
            dropped.extend(gone.iter().map(|&candidate| Dropped {
                slot: slot as i32 + 2,
                action: self.request.surface.actions[open[candidate]].number,
            }));
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
        if !matches!(self.capacity(index), Capacity::Busy | Capacity::UnknownUser) {
            self.set_capacity(index, Capacity::Plenty);
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
