//! What kill switches take out of a bundle's actions.

use super::action::{Action, Actions};
use crate::govern::switches::{Kind, Switches};

/// Killed actions, and actions of killed campaigns.
#[derive(Default)]
pub struct Killed {
    /// Numbers, ascending.
    actions: Vec<i32>,
    /// Indexes.
    campaigns: Vec<usize>,
}

impl Killed {
    pub fn of(actions: &Actions, switches: &Switches) -> Killed {
        let named = switches.killed(Kind::Action);
        // A former name is not the name of an action.
        let killed = named.filter_map(|name| {
            let action = actions.get(name)?;
            (actions.name(action) == name).then_some(action.number)
        });
        let mut killed: Vec<i32> = killed.collect();
        killed.sort_unstable();
        let campaigns = switches.killed(Kind::Campaign);
        Killed {
            actions: killed,
            campaigns: campaigns
                .filter_map(|name| actions.campaign(name))
                .collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.campaigns.is_empty()
    }

    /// Whether the action must not be shown.
    pub fn takes_out(&self, action: &Action) -> bool {
        self.actions.binary_search(&action.number).is_ok()
            || !self.campaigns.is_empty()
                && action
                    .campaign()
                    .is_some_and(|campaign| self.campaigns.contains(&campaign))
    }
}
