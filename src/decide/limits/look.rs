//! What budgets leave, by a look at their counters.

use super::wait::For;
use super::{BUSY, Limiting};
use crate::math::ledger;
use crate::pg::lookup::Seen;
use crate::policy::{Budget, Cap, Level, Per, Stripe};

/// More units than others take while a decision is made.
const OTHERS: i64 = 1_000;

impl Limiting<'_> {
    /// What the counters of a budget leave; for a decision, those included that others are about to write.
    /// Where there is one only, or others were found to hold all of them, those that they hold leave nothing.
    /// Where pacing or the mode of the surface says so it is less.
    pub(super) fn look(&mut self, cap: &Cap) -> i64 {
        let now = self.request.now;
        let terms = cap.terms(now);
        let room_of = |stripe: &Stripe| Budget(cap).room(stripe, now);
        let free_of = |stripe: &Stripe| stripe.free(&terms);
        let (stripes, room, room_kept) = self.seen(cap);
        if stripes.is_empty() {
            return BUSY;
        }
        let Some(least) = cap.least.filter(|_| self.takes) else {
            return room_kept;
        };
        if room >= least {
            if stripes.len() > 1 && !Budget(cap).looks_out(now) {
                return room_kept;
            }
            // Caps are looked at in their order: this one is the next.
            let place = self.rooms.len();
            self.sharp.push(place);
            let idle = idle_room(&stripes, &room_of);
            if idle >= least {
                return room_kept.min(idle);
            }
            return match self.wait_for_one(place, least, For::Knowing) {
                Some(which) => room_kept.min(room_of(&self.held[which].stripe)),
                None => {
                    Budget(cap).look_out(now);
                    BUSY
                }
            };
        }
        let stripes = Budget(cap).stripes(Seen::Committed, &terms);
        if sum_of(&stripes, &room_of) >= least {
            return room_kept;
        }
        if cap.is_paced() && sum_of(&stripes, &free_of) >= least {
            Budget(cap).close_until(Budget(cap).opens_at(&stripes, least, now));
            return room_kept;
        }
        let (starts, ends) = cap.window(now);
        let frees = stripes
            .iter()
            .filter_map(|s| ledger::frees_at(&s.ledger, &terms));
        Budget(cap).mark(
            cap.level_window(starts),
            Level::UsedUp,
            frees.min().unwrap_or(ends),
        );
        room_kept
    }

    /// The counters of a budget as they are by now, what they leave, and how much of that is not kept back
    /// by the mode of the surface.
    fn seen(&self, cap: &Cap) -> (Vec<Stripe>, i64, i64) {
        let now = self.request.now;
        let kept_back = cap.limit - self.request.leeway.limit(cap.limit);
        let terms = cap.terms(now);
        let seen = match self.takes {
            true => Seen::Everything,
            false => Seen::Committed,
        };
        let stripes = Budget(cap).stripes(seen, &terms);
        let room = sum_of(&stripes, &|stripe| Budget(cap).room(stripe, now));
        let free = sum_of(&stripes, &|stripe| stripe.free(&terms)).saturating_sub(kept_back);
        (stripes, room, room.min(free).max(0))
    }

    /// Looks once more, now that what was chosen is held, at the budgets near their end of which nothing was
    /// chosen: whether all is there still that the choice was made from. If not, it is made again from what is
    /// left. So whether that happens depends on others alone: those who chose what is gone by now, and those
    /// who chose something else, both choose from what is left.
    pub fn still_there(&mut self) -> bool {
        let slots = self.request.surface.slots as i64;
        let mut still = true;
        for place in 0..self.rooms.len() {
            let cap = self.cap(place);
            let most = self.limits.largest[place].saturating_mul(slots);
            let near = 0..most.saturating_add(OTHERS);
            let is_held = self.held.iter().any(|held| held.place == place);
            if !self.takes || cap.per != Per::All || !near.contains(&self.rooms[place]) || is_held {
                continue;
            }
            let (stripes, _, mut room) = self.seen(cap);
            let room_of = |stripe: &Stripe| Budget(cap).room(stripe, self.request.now);
            if self.sharp.contains(&place)
                && cap
                    .least
                    .is_some_and(|least| idle_room(&stripes, &room_of) < least)
            {
                room = BUSY;
            }
            if room.min(most) < self.rooms[place].min(most) {
                self.rooms[place] = room;
                still = false;
            }
        }
        if !still {
            self.give_back();
        }
        still
    }
}

/// What all of them have left.
fn sum_of(stripes: &[Stripe], left: &dyn Fn(&Stripe) -> i64) -> i64 {
    stripes.iter().map(|stripe| left(stripe).max(0)).sum()
}

/// What those have left that nobody is changing.
fn idle_room(stripes: &[Stripe], left: &dyn Fn(&Stripe) -> i64) -> i64 {
    let idle = stripes.iter().filter(|stripe| stripe.holder.is_none());
    idle.map(|stripe| left(stripe).max(0)).sum()
}
