//! What budgets leave, by a look at their counters.

use super::{BUSY, Limiting};
use crate::math::ledger;
use crate::pg::lookup::Seen;
use crate::policy::{Budget, Cap, Level, Stripe};

impl Limiting<'_> {
    /// What the counters of a budget leave; for a decision, those included that others are about to write.
    /// Where others were found to hold all of them, those that they hold are none. Where pacing says so
    /// it is less; and so much of it is kept back.
    pub(super) fn look(&self, cap: &Cap, kept_back: i64) -> i64 {
        let now = self.request.now;
        let terms = cap.terms(now);
        let sum_of = |stripes: &[Stripe], left: &dyn Fn(&Stripe) -> i64| -> i64 {
            stripes.iter().map(|stripe| left(stripe).max(0)).sum()
        };
        let room_of = |stripe: &Stripe| Budget(cap).room(stripe, now);
        let free_of = |stripe: &Stripe| stripe.free(&terms);
        let mut stripes = Budget(cap).stripes(
            match self.takes {
                true => Seen::Everything,
                false => Seen::Committed,
            },
            &terms,
        );
        let room = sum_of(&stripes, &room_of);
        let free = sum_of(&stripes, &free_of).saturating_sub(kept_back);
        let room_kept = room.min(free).max(0);
        let least = cap.amounts.values().copied().filter(|&n| n > 0).min();
        let Some(least) = least.filter(|_| self.takes) else {
            return room_kept;
        };
        if room >= least {
            if !Budget(cap).looks_out(now) {
                return room_kept;
            }
            stripes.retain(|stripe| !stripe.changing);
            let room = sum_of(&stripes, &room_of);
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
}
