//! What budgets leave, by a look at their counters.

use super::{BUSY, Limiting, MOMENT, TRIED};
use crate::math::ledger;
use crate::pg::lookup::Seen;
use crate::policy::{Budget, Cap, Level, Stripe};

impl Limiting<'_> {
    /// What the counters of a budget leave; for a decision, those included that others are about to write.
    /// Where others were found to hold all of them, those that they hold are none. Where pacing says so
    /// it is less; and so much of it is kept back.
    pub(super) fn look(&mut self, cap: &Cap, kept_back: i64) -> i64 {
        let now = self.request.now;
        let terms = cap.terms(now);
        let sum_of = |stripes: &[Stripe], left: &dyn Fn(&Stripe) -> i64| -> i64 {
            stripes.iter().map(|stripe| left(stripe).max(0)).sum()
        };
        let room_of = |stripe: &Stripe| Budget(cap).room(stripe, now);
        let free_of = |stripe: &Stripe| stripe.free(&terms);
        let stripes = Budget(cap).stripes(
            match self.takes {
                true => Seen::Everything,
                false => Seen::Committed,
            },
            &terms,
        );
        let room = sum_of(&stripes, &room_of);
        let free = sum_of(&stripes, &free_of).saturating_sub(kept_back);
        let room_kept = room.min(free).max(0);
        let Some(least) = cap.least.filter(|_| self.takes) else {
            return room_kept;
        };
        if room >= least {
            if !Budget(cap).looks_out(now) {
                return room_kept;
            }
            let (held, idle): (Vec<Stripe>, Vec<Stripe>) =
                stripes.into_iter().partition(|stripe| stripe.changing);
            let mut room = sum_of(&idle, &room_of);
            if room < least {
                room = self.wait_a_moment(cap, &held, least);
            }
            if room < least {
                Budget(cap).look_out(now);
                return BUSY;
            }
            return room_kept.min(room);
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

    /// The room of one of these stripes that has so much of it, if who holds it lets go at once.
    fn wait_a_moment(&mut self, cap: &Cap, held: &[Stripe], least: i64) -> i64 {
        let (now, patience) = (self.request.now, self.patience.min(MOMENT));
        let has_room = |stripe: &&Stripe| Budget(cap).room(stripe, now) >= least;
        for stripe in held.iter().filter(has_room).take(TRIED) {
            let Ok((stripe, grip)) = Budget(cap).lock_within(stripe.number, patience) else {
                continue;
            };
            let room = Budget(cap).room(&stripe, now);
            // Caps are looked at in their order: this one is the next.
            self.hold(self.rooms.len(), stripe, grip);
            if room >= least {
                return room;
            }
        }
        0
    }
}
