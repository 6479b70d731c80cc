//! Which caps bear on what: on the actions of a surface, and on the events that they count.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::budget_cache;
use super::cap::Cap;
use super::stripes::Budget;
use crate::math::slab::{Slab, range_of};

/// The caps that bear on a surface.
#[derive(Default, Serialize, Deserialize)]
pub struct Limits {
    /// By their index in the bundle, in order of their numbers.
    pub caps: Vec<usize>,
    /// Where the needs of each action of the surface end; nothing where there is no cap.
    ends: Slab<u32>,
    needs: Slab<Need>,
    /// The same by cap: where the takers of each end, in the order of actions.
    taker_ends: Slab<u32>,
    takers: Slab<Taker>,
    /// The largest amount that an action here takes, per cap.
    pub largest: Vec<i64>,
    /// Indexes of the budgets.
    pub budgets: Vec<usize>,
    /// Indexes of the other caps whose whole limit is less than an action here takes.
    pub tight: Vec<usize>,
    /// Indexes of those that may have a price.
    pub priced: Vec<usize>,
    /// Indexes of the soft ones, in the order in which they give way.
    pub soft: Vec<usize>,
    /// Whether one of them is per user.
    pub of_users: bool,
    #[serde(skip)]
    contested: RefCell<Contested>,
}

/// The contested ones of many budgets, as of what the session had seen of budgets by then.
#[derive(Default)]
struct Contested {
    as_of: Option<u64>,
    indexes: Vec<usize>,
}

/// What an exposure of an action takes of a cap.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Need {
    /// Units, more than nothing.
    amount: i64,
    /// The index of the cap among those of the surface.
    cap: u64,
}

/// An action that takes of a cap.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Taker {
    /// Units, more than nothing.
    amount: i64,
    /// The index of the action on the surface.
    action: u64,
}

impl Limits {
    /// What bears on the actions of a surface, given by their numbers, ascending. The caps of those numbers are left out.
    pub fn of(surface: &str, actions: &[i32], caps: &[Cap], without: &[i32]) -> Limits {
        let mut limits = Limits::default();
        let mut needs: Vec<(usize, Need)> = Vec::new();
        let (mut takers, mut taker_ends) = (Vec::new(), Vec::new());
        let binding = caps.iter().enumerate();
        let binds = |cap: &Cap| cap.binds_on(surface) && !without.contains(&cap.number);
        for (i, cap) in binding.filter(|(_, cap)| binds(cap)) {
            let index = limits.caps.len();
            let mut largest = None;
            for (number, amount) in cap.amounts.all() {
                // What takes nothing is not limited.
                if let (true, Ok(action)) = (amount > 0, actions.binary_search(&number)) {
                    largest = largest.max(Some(amount));
                    let cap = index as u64;
                    needs.push((action, Need { amount, cap }));
                    let action = action as u64;
                    takers.push(Taker { amount, action });
                }
            }
            let Some(largest) = largest else {
                continue;
            };
            limits.caps.push(i);
            limits.largest.push(largest);
            taker_ends.push(takers.len() as u32);
            limits.of_users |= cap.per.is_of_user();
            match cap.per.is_budget() {
                true => limits.budgets.push(index),
                false if cap.limit < largest => limits.tight.push(index),
                false => {}
            }
            if cap.has_line() {
                limits.priced.push(index);
            }
            if !cap.hard {
                limits.soft.push(index);
            }
        }
        limits.taker_ends = taker_ends.into();
        limits.takers = takers.into();
        if !needs.is_empty() {
            // By action, and in order of the caps within each.
            needs.sort_by_key(|&(action, _)| action);
            let mut ends = vec![0u32; actions.len()];
            for &(action, _) in &needs {
                ends[action] += 1;
            }
            let mut total = 0;
            for end in &mut ends {
                total += *end;
                *end = total;
            }
            limits.ends = ends.into();
            limits.needs = needs.into_iter().map(|(_, need)| need).collect();
        }
        limits.soft.sort_by_key(|&index| {
            let cap = &caps[limits.caps[index]];
            (cap.relax_order, cap.number)
        });
        limits
    }

    /// What an action of the surface takes, by its index there: indexes among `caps`, and amounts.
    pub fn of_action(&self, action: usize) -> impl Iterator<Item = (usize, i64)> {
        let needs = self.needs.get(range_of(&self.ends, action));
        let needs = needs.unwrap_or_default().iter();
        needs.map(|need| (need.cap as usize, need.amount))
    }

    /// The actions of the surface that take of a cap, ascending, by their index there, and how much each takes.
    pub fn takers(&self, cap: usize) -> impl Iterator<Item = (usize, i64)> {
        let takers = self.takers.get(range_of(&self.taker_ends, cap));
        let takers = takers.unwrap_or_default().iter();
        takers.map(|taker| (taker.action as usize, taker.amount))
    }

    /// Adds the indexes of those of many budgets that are contested, ascending: they are found out again when this
    /// session has learned something of a budget. `caps` are those of the bundle.
    pub fn add_contested(&self, caps: &[Cap], indexes: &mut Vec<usize>) {
        let seen = budget_cache::changes();
        let mut contested = self.contested.borrow_mut();
        let is_contested = |&index: &usize| Budget(&caps[self.caps[index]]).is_contested();
        if contested.as_of != Some(seen) {
            contested.indexes.clear();
            let budgets = self.budgets.iter().copied();
            contested.indexes.extend(budgets.filter(is_contested));
            contested.as_of = Some(seen);
        }
        debug_assert!(
            contested
                .indexes
                .iter()
                .copied()
                .eq(self.budgets.iter().copied().filter(is_contested)),
            "what makes a budget contested has changed unnoticed"
        );
        indexes.extend(&contested.indexes);
    }
}

/// Caps per user by the type of event that they count.
pub fn counted_by(caps: &[Cap]) -> HashMap<String, Vec<usize>> {
    let mut by: HashMap<String, Vec<usize>> = HashMap::new();
    for (i, cap) in caps
        .iter()
        .enumerate()
        .filter(|(_, cap)| cap.per.is_of_user())
    {
        if let Some(kind) = &cap.counts {
            by.entry(kind.clone()).or_default().push(i);
        }
    }
    by
}
