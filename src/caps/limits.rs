//! Which caps bear on what: on the actions of a surface, and on the events that they count.

use std::collections::HashMap;

use super::cap::Cap;

/// The caps that bear on a surface.
#[derive(Default)]
pub struct Limits {
    /// By their index in the bundle, in order of their numbers.
    pub caps: Vec<usize>,
    /// Per action of the surface: indexes among `caps`, and amounts.
    pub of_action: Vec<Vec<(usize, i64)>>,
    /// The largest amount that an action here takes, per cap.
    pub largest: Vec<i64>,
    /// Indexes of the soft ones, in the order in which they give way.
    pub soft: Vec<usize>,
    /// Whether one of them is per user.
    pub of_users: bool,
}

impl Limits {
    /// What bears on the actions of a surface, given by their numbers.
    pub fn of(surface: &str, actions: &[i32], caps: &[Cap]) -> Limits {
        let mut limits = Limits {
            of_action: vec![Vec::new(); actions.len()],
            ..Limits::default()
        };
        for (i, cap) in caps.iter().enumerate() {
            let amounts: Vec<(usize, i64)> = actions
                .iter()
                .enumerate()
                .filter_map(|(a, &action)| Some((a, cap.amount(action, surface)?)))
                .filter(|&(_, amount)| amount > 0) // what takes nothing is not limited
                .collect();
            let Some(largest) = amounts.iter().map(|&(_, amount)| amount).max() else {
                continue;
            };
            let index = limits.caps.len();
            for (a, amount) in amounts {
                limits.of_action[a].push((index, amount));
            }
            limits.caps.push(i);
            limits.largest.push(largest);
            limits.of_users |= cap.per.is_of_user();
            if !cap.hard {
                limits.soft.push(index);
            }
        }
        limits.soft.sort_by_key(|&index| {
            let cap = &caps[limits.caps[index]];
            (cap.relax_order, cap.number)
        });
        limits
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
