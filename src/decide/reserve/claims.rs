//! Before the draw: the rows of a budget that this decision can need are claimed.

use super::{Capacity, Held, Reservation};
use crate::caps::{Budget, Cap, Level, Stripe};
use crate::math::ledger;
use crate::pg::claim::Claim;
use crate::pg::lookup::Visibility;
use crate::pg::version::{RowLock, Version};

/// How the counter of a cap was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not a budget, or so far from its end that its rows need not be looked at.
    Untouched,
    /// It is used up.
    Closed,
    /// What can be had is in the rows that were claimed.
    Claimed {
        /// What others have overdrawn in rows that were not claimed; 0 or less.
        overdrawn: i64,
        /// All that may be taken, by what all rows have left and by the mode of the surface.
        most: i64,
        /// Others have rows in their hands that have something left.
        contested: bool,
    },
    /// What can be had, by a look: for who takes nothing.
    Seen(i64),
}

impl Reservation<'_> {
    /// Claims as much of a budget as this decision can need, unless that need not be made sure of.
    pub(super) fn find_standing(&mut self, place: usize) -> Standing {
        let cap = self.cap(place);
        if !cap.per.is_budget() {
            return Standing::Untouched;
        }
        let budget = Budget(cap);
        match self.level(cap) {
            Level::UsedUp => Standing::Closed,
            _ if !self.takes => self.see(cap),
            Level::Plenty if !self.careful && budget.is_uncontended() => Standing::Untouched,
            Level::Plenty => {
                let claimed = self.claim_one(place);
                claimed.unwrap_or_else(|| self.claim_enough(place))
            }
            Level::Low => self.claim_enough(place),
        }
    }

    /// How full a budget is; little is left where pacing or the mode of the surface has a say.
    fn level(&self, cap: &Cap) -> Level {
        let now = self.moment;
        let tightened = self.request.mode_limits.limit(cap.limit) != cap.limit;
        match Budget(cap).level(cap.level_window(cap.window(now).0), now) {
            Level::Plenty if tightened || cap.is_paced() => Level::Low,
            level => level,
        }
    }

    /// What is left of a budget at the moment.
    pub(super) fn capacity_of_budget(&self, place: usize) -> Capacity {
        match self.standings[place] {
            Standing::Untouched => Capacity::Plenty,
            Standing::Closed => Capacity::Units(0),
            Standing::Seen(units) => Capacity::Units(units),
            Standing::Claimed {
                overdrawn,
                most,
                contested,
            } => {
                let claimed = self.units_claimed(place).saturating_add(overdrawn);
                let units = claimed.min(most).max(0);
                match contested && self.limits.largest[place] > units {
                    true => Capacity::Contested(units),
                    false => Capacity::Units(units),
                }
            }
        }
    }

    /// What the claimed rows of a budget leave.
    fn units_claimed(&self, place: usize) -> i64 {
        let budget = Budget(self.cap(place));
        let rows = self.held.iter().filter(|held| held.place == place);
        let units = rows.map(|held| budget.capacity(&held.stripe, self.moment));
        units.fold(0, i64::saturating_add)
    }

    /// The most that this decision can take of a cap.
    fn need(&self, place: usize) -> i64 {
        let slots = self.request.surface.slots as i64;
        self.limits.largest[place].saturating_mul(slots)
    }

    /// Claims one row that has enough, of a budget of which there is plenty; None if all that have are in use.
    fn claim_one(&mut self, place: usize) -> Option<Standing> {
        let cap = self.cap(place);
        let (budget, terms) = (Budget(cap), cap.terms(self.moment));
        let enough = self.need(place).max(cap.low_water_mark());
        let standing = Standing::Claimed {
            overdrawn: 0,
            most: i64::MAX,
            contested: false,
        };
        if self.units_claimed(place) >= enough {
            return Some(standing);
        }
        for (step, number) in budget.stripe_order().enumerate() {
            if self.has(place, number) {
                continue;
            }
            let claimed = budget.claim(number);
            if step == 0 {
                budget.note_first_try(claimed.is_ok());
            }
            if let Ok((stripe, version, claim)) = claimed
                && stripe.free(&terms) >= enough
            {
                budget.start_with(number);
                self.hold(place, stripe, version, claim);
                return Some(standing);
            }
        }
        None
    }

    /// Claims rows until they have enough, having looked at all of them; waits where others have what is left.
    fn claim_enough(&mut self, place: usize) -> Standing {
        let cap = self.cap(place);
        let budget = Budget(cap);
        let (need, least) = (self.need(place), cap.least.unwrap_or(1));
        let kept_back = cap.limit - self.request.mode_limits.limit(cap.limit);
        loop {
            let terms = cap.terms(self.moment);
            let rows = budget.stripes(Visibility::Dirty, &terms);
            let free = rows.iter().map(|row| row.free(&terms));
            let most = free.fold(0, i64::saturating_add).saturating_sub(kept_back);
            let of_others = rows.iter().filter(|row| !self.has(place, row.number));
            let overdrafts = of_others.map(|row| row.free(&terms).min(0));
            let overdrawn = overdrafts.fold(0, i64::saturating_add);
            let standing = |contested: bool| Standing::Claimed {
                overdrawn,
                most,
                contested,
            };
            // Others have locked the table of counters.
            if rows.is_empty() {
                return standing(true);
            }
            let room = |row: &Stripe| budget.capacity(row, self.moment).max(0);
            let all = rows.iter().map(room).fold(0, i64::saturating_add);
            if all.saturating_add(overdrawn).min(most) < least {
                self.note_end(cap, least);
                return standing(false);
            }
            let contested = self.claim_free(place, &rows, need.saturating_sub(overdrawn));
            let units = self.units_claimed(place).saturating_add(overdrawn);
            if units >= least || !contested || !self.wait_for_one(place, &rows) {
                return standing(contested);
            }
        }
    }

    /// Claims those rows of a budget that nobody has and that have something left, until that is enough; whether
    /// others have some.
    fn claim_free(&mut self, place: usize, rows: &[Stripe], enough: i64) -> bool {
        let budget = Budget(self.cap(place));
        let mut contested = false;
        for number in budget.stripe_order() {
            let Some(row) = rows.iter().find(|row| row.number == number) else {
                continue;
            };
            if self.units_claimed(place) >= enough {
                break;
            }
            if self.has(place, number) || budget.capacity(row, self.moment) <= 0 {
                continue;
            }
            if row.holder.is_some() {
                contested = true;
                continue;
            }
            match budget.claim(number) {
                Ok((stripe, version, claim)) if budget.capacity(&stripe, self.moment) > 0 => {
                    self.hold(place, stripe, version, claim);
                }
                Ok(_) => {}
                Err(_) => contested = true,
            }
        }
        contested
    }

    /// Whether it has looked at that row, or claimed it.
    pub(super) fn has(&self, place: usize, stripe: i32) -> bool {
        let mut held = self.held.iter();
        held.any(|held| held.place == place && held.stripe.number == stripe)
    }

    pub(super) fn hold(
        &mut self,
        place: usize,
        stripe: Stripe,
        version: Version,
        claim: Option<Claim>,
    ) {
        self.held.push(Held {
            place,
            stripe,
            row_lock: Some(RowLock::Optimistic(version)),
            _claim: claim,
            before: None,
            changed: false,
        });
    }

    /// Lets others know that nothing is left of a budget, and this session when something will be; unless it is
    /// only that others are about to take it.
    fn note_end(&self, cap: &Cap, least: i64) {
        let (budget, now) = (Budget(cap), self.moment);
        let terms = cap.terms(now);
        let rows = budget.stripes(Visibility::Committed, &terms);
        let sum = |left: &dyn Fn(&Stripe) -> i64| {
            let left = rows.iter().map(|row| left(row).max(0));
            left.fold(0, i64::saturating_add)
        };
        if rows.is_empty() || sum(&|row| budget.capacity(row, now)) >= least {
            return;
        }
        if cap.is_paced() && sum(&|row| row.free(&terms)) >= least {
            return budget.set_exhausted_until(budget.opens_at(&rows, least, now));
        }
        let (starts, ends) = cap.window(now);
        let frees = rows.iter();
        let frees = frees.filter_map(|row| ledger::frees_at(&row.ledger, &terms));
        let until = frees.min().unwrap_or(ends);
        budget.announce_level(cap.level_window(starts), Level::UsedUp, until);
    }

    /// What a budget leaves of what is committed, by a look.
    fn see(&self, cap: &Cap) -> Standing {
        let (budget, now) = (Budget(cap), self.moment);
        let terms = cap.terms(now);
        let rows = budget.stripes(Visibility::Committed, &terms);
        let kept_back = cap.limit - self.request.mode_limits.limit(cap.limit);
        let free = rows.iter().map(|row| row.free(&terms));
        let most = free.fold(0, i64::saturating_add).saturating_sub(kept_back);
        let room = rows.iter().map(|row| budget.capacity(row, now));
        if rows.is_empty() {
            return Standing::Claimed {
                overdrawn: 0,
                most: 0,
                contested: true,
            };
        }
        Standing::Seen(room.fold(0, i64::saturating_add).min(most).max(0))
    }
}
