//! What is left of the caps that bind eligible actions. Of most caps that is known without a look at them: only the
//! others are looked at. So caps with thousands of values cost a decision little.

use super::MOST_CLAIMED;
use super::counter::{CapState, Capacity, CounterState};
use super::reservation::Reservation;
use crate::caps::Per;
use crate::math::ledger;

impl Reservation<'_> {
    /// Claims, waits, fixes the moment: from then on no capacity changes until something is taken.
    pub(super) fn find_capacities(&mut self) {
        if self.kept.is_for_several() {
            self.leave_moment_of_others();
        }
        self.is_moment_stale |= self.is_behind_user();
        let mut states = std::mem::take(&mut self.states);
        states.clear();
        for index in self.caps_to_look_at() {
            states.push(CapState {
                cap: index,
                counter: self.claim_counter(index),
                capacity: self.unused_capacity(index),
            });
        }
        self.renew_moment();
        let blocks = ledger::blocks(&self.exposures);
        for state in &mut states {
            let cap = self.cap(state.cap);
            let limit = self.request.limit(cap);
            match cap.per {
                Per::Decision => {}
                Per::User => state.capacity = self.capacity_of_user(cap, limit, &blocks),
                Per::All => state.capacity = self.capacity_of_budget(state.cap, state.counter),
            }
        }
        self.states = states;
        debug_assert!(
            self.others_are_unused(),
            "a cap that was not looked at is in use"
        );
    }

    /// Whether a look at the other caps per user finds all of their limits.
    fn others_are_unused(&self) -> bool {
        let blocks = ledger::blocks(&self.exposures);
        let others = self.needed((0..self.limits.caps.len()).collect());
        others.into_iter().all(|index| {
            let cap = self.cap(index);
            let limit = self.request.limit(cap);
            let found = || self.capacity_of_user(cap, limit, &blocks);
            !cap.per.is_of_user() || self.capacity(index) == found()
        })
    }

    /// Indexes of the caps that bind an eligible action and whose capacity may be another than
    /// [`Reservation::unused_capacity`] says, ascending. The head of [`super`] has the argument.
    fn caps_to_look_at(&mut self) -> Vec<usize> {
        let limits = self.limits;
        self.has_many_budgets = self.needs_many_budgets();
        let is_tightened = self.request.is_tightened();
        if is_tightened || limits.of_users && !self.can_count_for_user() {
            return self.needed((0..limits.caps.len()).collect());
        }
        let mut indexes = self.caps_used_by_user();
        indexes.extend(&limits.tight);
        match self.has_many_budgets && self.decides && !self.must_claim_all {
            true => limits.add_contested(&self.request.bundle.caps, &mut indexes),
            false => indexes.extend(&limits.budgets),
        }
        indexes.sort_unstable();
        indexes.dedup();
        self.needed(indexes)
    }

    /// Whether the eligible actions have so many budgets that not all of them are claimed.
    fn needs_many_budgets(&self) -> bool {
        let limits = self.limits;
        if limits.budgets.len() <= MOST_CLAIMED || self.is_everything_eligible() {
            return limits.budgets.len() > MOST_CLAIMED;
        }
        let mut is_needed = vec![false; limits.caps.len()];
        let mut budgets = 0;
        for &action in self.eligible {
            for (index, _) in limits.of_action(action) {
                if !std::mem::replace(&mut is_needed[index], true) {
                    budgets += usize::from(self.cap(index).per.is_budget());
                }
            }
            if budgets > MOST_CLAIMED {
                return true;
            }
        }
        false
    }

    /// Those of the caps that bind an eligible action. The others are not looked at: many actions, each with caps of its
    /// own, may not be eligible.
    fn needed(&self, mut indexes: Vec<usize>) -> Vec<usize> {
        if indexes.is_empty() || self.is_everything_eligible() {
            return indexes;
        }
        let mut is_needed = vec![false; self.limits.caps.len()];
        for &action in self.eligible {
            for (index, _) in self.limits.of_action(action) {
                is_needed[index] = true;
            }
        }
        indexes.retain(|&index| is_needed[index]);
        indexes
    }

    fn is_everything_eligible(&self) -> bool {
        self.eligible.len() == self.request.surface.actions.len()
    }

    /// What is left of a cap at the moment.
    pub(super) fn capacity(&self, index: usize) -> Capacity {
        let state = self.states.binary_search_by_key(&index, |state| state.cap);
        state.map_or_else(
            |_| self.unused_capacity(index),
            |state| self.states[state].capacity,
        )
    }

    /// What is left of a cap of which nothing is used, or of a budget that is not contested.
    fn unused_capacity(&self, index: usize) -> Capacity {
        let cap = self.cap(index);
        match cap.per {
            Per::All => Capacity::Plenty,
            Per::User | Per::Decision => Capacity::Units(self.request.limit(cap).max(0)),
        }
    }

    pub(super) fn set_capacity(&mut self, index: usize, capacity: Capacity) {
        let state = self.states.binary_search_by_key(&index, |state| state.cap);
        match state {
            Ok(state) => self.states[state].capacity = capacity,
            Err(next) => self.states.insert(
                next,
                CapState {
                    cap: index,
                    counter: CounterState::Unclaimed,
                    capacity,
                },
            ),
        }
    }
}
