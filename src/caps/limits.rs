//! Which caps bear on what: on the actions of a surface, and on the events that they count.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::cap::Cap;
use crate::math::slab::{Slab, range_of};

/// The caps that bear on a surface.
#[derive(Default, Serialize, Deserialize)]
pub struct Limits {
    /// By their index in the bundle, in order of their numbers.
    pub caps: Vec<usize>,
    /// Where the needs of each action of the surface end; nothing where there is no cap.
    ends: Slab<u32>,
    needs: Slab<Need>,
    /// The largest amount that an action here takes, per cap.
    pub largest: Vec<i64>,
    /// Indexes of the soft ones, in the order in which they give way.
    pub soft: Vec<usize>,
    /// Whether one of them is per user.
    pub of_users: bool,
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

impl Limits {
    /// What bears on the actions of a surface, given by their numbers, ascending.
    pub fn of(surface: &str, actions: &[i32], caps: &[Cap]) -> Limits {
        let mut limits = Limits::default();
        let mut needs: Vec<(usize, Need)> = Vec::new();
        let binding = caps.iter().enumerate();
        for (i, cap) in binding.filter(|(_, cap)| cap.binds_on(surface)) {
            let index = limits.caps.len();
            let mut largest = None;
            for (number, amount) in cap.amounts.all() {
                // What takes nothing is not limited.
                if let (true, Ok(action)) = (amount > 0, actions.binary_search(&number)) {
                    largest = largest.max(Some(amount));
                    let cap = index as u64;
                    needs.push((action, Need { amount, cap }));
                }
            }
            let Some(largest) = largest else {
                continue;
            };
            limits.caps.push(i);
            limits.largest.push(largest);
            limits.of_users |= cap.per.is_of_user();
            if !cap.hard {
                limits.soft.push(index);
            }
        }
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
