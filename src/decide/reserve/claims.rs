//! Before the draw: the rows of a budget that this decision can need are claimed.

use super::counter::{Capacity, CounterState, HeldRow};
use super::reservation::Reservation;
use crate::caps::{Budget, Cap, Level, Stripe};
use crate::math::ledger;
use crate::pg::claim::Claim;
use crate::pg::lookup::Visibility;
use crate::pg::version::{RowLock, Version};

impl Reservation<'_> {
    /// Claims as much of a budget as this decision can need, unless that is sure without a claim.
    pub(super) fn claim_counter(&mut self, index: usize) -> CounterState {
        let cap = self.cap(index);
        if !cap.per.is_budget() {
            return CounterState::Unclaimed;
        }
        match self.level(cap) {
            Level::UsedUp => CounterState::UsedUp,
            _ if !self.decides => self.read(cap),
            Level::Plenty
                if !self.must_claim_all
                    && Budget(cap).is_first_row_usually_free(self.has_many_budgets) =>
            {
                CounterState::Unclaimed
            }
            Level::Plenty => {
                let claimed = self.claim_one(index);
                claimed.unwrap_or_else(|| self.claim_enough(index))
            }
            Level::Low => self.claim_enough(index),
        }
    }

    /// How full a budget is; one that is paced, or tightened by the mode of the surface, counts as nearly full.
    fn level(&self, cap: &Cap) -> Level {
        let now = self.moment;
        let tightened = self.request.mode_limits.limit(cap.limit) != cap.limit;
        match Budget(cap).level(cap.level_window(cap.window(now).0), now) {
            Level::Plenty if tightened || cap.is_paced() => Level::Low,
            level => level,
        }
    }

    /// What is left of a budget at the moment.
    pub(super) fn capacity_of_budget(&self, index: usize, counter: CounterState) -> Capacity {
        match counter {
            CounterState::Unclaimed => Capacity::Plenty,
            CounterState::UsedUp => Capacity::Units(0),
            CounterState::Locked => Capacity::Contested(0),
            CounterState::Read(units) => Capacity::Units(units),
            CounterState::Claimed {
                overdrawn,
                most,
                contested,
            } => {
                let claimed = self.units_claimed(index).saturating_add(overdrawn);
                let units = claimed.min(most).max(0);
                match contested && self.limits.largest[index] > units {
                    true => Capacity::Contested(units),
                    false => Capacity::Units(units),
                }
            }
        }
    }

    /// What the claimed rows of a budget leave.
    fn units_claimed(&self, index: usize) -> i64 {
        let budget = Budget(self.cap(index));
        let rows = self.held.iter().filter(|row| row.cap == index);
        let units = rows.map(|row| budget.capacity(&row.stripe, self.moment));
        units.fold(0, i64::saturating_add)
    }

    /// The most that this decision can take of a cap.
    fn need(&self, index: usize) -> i64 {
        let slots = self.request.surface.slots as i64;
        self.limits.largest[index].saturating_mul(slots)
    }

    /// Claims one row that has enough, of a budget far from its limit; None if all that have enough are in use.
    fn claim_one(&mut self, index: usize) -> Option<CounterState> {
        let cap = self.cap(index);
        let (budget, terms) = (Budget(cap), cap.terms(self.moment));
        let enough = self.need(index).max(cap.low_water_mark());
        let state = CounterState::Claimed {
            overdrawn: 0,
            most: i64::MAX,
            contested: false,
        };
        if self.units_claimed(index) >= enough {
            return Some(state);
        }
        for (step, number) in budget.rows_in_order().enumerate() {
            if self.has(index, number) {
                continue;
            }
            let claimed = budget.claim(number);
            if step == 0 {
                budget.note_first_row(claimed.is_ok());
            }
            if let Ok((stripe, version, claim)) = claimed
                && stripe.free(&terms) >= enough
            {
                budget.set_first_row(number);
                self.hold(index, stripe, version, claim);
                return Some(state);
            }
        }
        None
    }

    /// Claims rows until they have enough, having read all of them; waits where others hold what is left.
    fn claim_enough(&mut self, index: usize) -> CounterState {
        let cap = self.cap(index);
        let budget = Budget(cap);
        let (need, least) = (self.need(index), cap.least.unwrap_or(1));
        let kept_back = cap.limit - self.request.mode_limits.limit(cap.limit);
        loop {
            let terms = cap.terms(self.moment);
            let mut rows = budget.stripes(Visibility::Dirty, &terms);
            self.overlay_held(index, &mut rows);
            let free = rows.iter().map(|row| row.free(&terms));
            let most = free.fold(0, i64::saturating_add).saturating_sub(kept_back);
            let of_others = rows.iter().filter(|row| !self.has(index, row.number));
            let overdrafts = of_others.map(|row| row.free(&terms).min(0));
            let overdrawn = overdrafts.fold(0, i64::saturating_add);
            let state = |contested: bool| CounterState::Claimed {
                overdrawn,
                most,
                contested,
            };
            if rows.is_empty() {
                return CounterState::Locked;
            }
            let left = |row: &Stripe| budget.capacity(row, self.moment).max(0);
            let all = rows.iter().map(left).fold(0, i64::saturating_add);
            if all.saturating_add(overdrawn).min(most) < least {
                self.note_end(cap, least);
                return state(false);
            }
            let contested = self.claim_free(index, &rows, need.saturating_sub(overdrawn));
            let units = self.units_claimed(index).saturating_add(overdrawn);
            if units >= least || !contested || !self.wait_for_one(index, &rows) {
                return state(contested);
            }
        }
    }

    /// Puts the rows of a budget that are held in place of what the table says: they may not be written yet.
    fn overlay_held(&self, index: usize, rows: &mut [Stripe]) {
        for held in self.held.iter().filter(|held| held.cap == index) {
            let mut rows = rows.iter_mut();
            if let Some(row) = rows.find(|row| row.number == held.stripe.number) {
                row.clone_from(&held.stripe);
            }
        }
    }

    /// Claims those rows of a budget that no other transaction holds and that have something left, until that is
    /// enough; whether others hold some.
    fn claim_free(&mut self, index: usize, rows: &[Stripe], enough: i64) -> bool {
        let budget = Budget(self.cap(index));
        let mut contested = false;
        for number in budget.rows_in_order() {
            let Some(row) = rows.iter().find(|row| row.number == number) else {
                continue;
            };
            if self.units_claimed(index) >= enough {
                break;
            }
            if self.has(index, number) || budget.capacity(row, self.moment) <= 0 {
                continue;
            }
            if row.holder.is_some() {
                contested = true;
                continue;
            }
            match budget.claim(number) {
                Ok((stripe, version, claim)) if budget.capacity(&stripe, self.moment) > 0 => {
                    self.hold(index, stripe, version, claim);
                }
                Ok(_) => {}
                Err(_) => contested = true,
            }
        }
        contested
    }

    /// Whether it has read that row, or claimed it.
    pub(super) fn has(&self, index: usize, stripe: i32) -> bool {
        let mut held = self.held.iter();
        held.any(|row| row.cap == index && row.stripe.number == stripe)
    }

    pub(super) fn hold(
        &mut self,
        index: usize,
        stripe: Stripe,
        version: Version,
        claim: Option<Claim>,
    ) {
        self.held.push(HeldRow {
            cap: index,
            stripe,
            row_lock: Some(RowLock::Optimistic(version)),
            _claim: claim,
            before: None,
            changed: false,
        });
    }

    /// Tells other sessions that nothing is left of a budget, and this one when something will be; unless what is left
    /// is only claimed by transactions that are not committed.
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

    /// What is left of a budget by what is committed, without claims.
    fn read(&self, cap: &Cap) -> CounterState {
        let (budget, now) = (Budget(cap), self.moment);
        let terms = cap.terms(now);
        let rows = budget.stripes(Visibility::Committed, &terms);
        let kept_back = cap.limit - self.request.mode_limits.limit(cap.limit);
        let free = rows.iter().map(|row| row.free(&terms));
        let most = free.fold(0, i64::saturating_add).saturating_sub(kept_back);
        let left = rows.iter().map(|row| budget.capacity(row, now));
        if rows.is_empty() {
            return CounterState::Locked;
        }
        CounterState::Read(left.fold(0, i64::saturating_add).min(most).max(0))
    }
}
