//! Regions: what differs where. Each is an overlay over the bundle, compiled once, so that a decision looks at as much as
//! it would without. The row of the user says the region, else the context, or the event, does; where neither does, or
//! says one that is not there, what any region forbids is forbidden.

use serde::{Deserialize, Serialize};

use super::purposes::ConsentRule;
use super::surface_policy::Policy;
use crate::caps::Cap;
use crate::math::choice::{Choice, LowerBound};

/// The region of whoever is in none that is known.
pub const UNKNOWN: &str = "unknown";

/// All of them by number, and behind these the one of those who are in none. There are none where `decide.region` is
/// empty: then nothing differs.
#[derive(Default, Serialize, Deserialize)]
pub struct Regions(Vec<Region>);

#[derive(Serialize, Deserialize)]
pub struct Region {
    pub name: String,
    /// In `decide.identity`; None for the unknown one.
    pub(super) number: Option<i32>,
    /// What nobody has decided, and what nobody may grant.
    pub consent: ConsentRule,
    /// Features of users that decisions do not see, by their index among the bundle's own.
    pub hidden: Vec<usize>,
    /// Of each surface, by its index, which of its actions are out, as bits; empty where none is.
    pub(super) out: Vec<Vec<u64>>,
    /// Limits of caps per user or decision that are lower here, by number.
    pub(super) limits: Vec<(i32, i64)>,
    pub(super) differs: Differs,
    /// The policies that follow from that, those of variants too, by the index of their models.
    pub(super) policies: Vec<Option<Policy>>,
}

/// How policies choose otherwise.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Differs {
    pub choice: Option<(Choice, Option<LowerBound>)>,
    pub never_explores: bool,
}

impl Regions {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of a region of that name.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.named(name)?.number
    }

    /// The region that a trace names.
    pub fn traced(&self, name: Option<&str>) -> Option<&Region> {
        self.named(name?)
    }

    fn named(&self, name: &str) -> Option<&Region> {
        self.0.iter().find(|region| region.name == name)
    }

    /// The index of the region of somebody of whom one was recorded, by its number, or else was said, by its name.
    pub fn index(&self, recorded: Option<i32>, said: Option<&str>) -> Option<usize> {
        let last = self.0.len().checked_sub(1)?;
        let found = match recorded {
            Some(number) => self
                .0
                .iter()
                .position(|region| region.number == Some(number)),
            None => said.and_then(|said| self.0.iter().position(|region| region.name == said)),
        };
        Some(found.unwrap_or(last))
    }

    pub fn at(&self, index: Option<usize>) -> Option<&Region> {
        self.0.get(index?)
    }

    pub fn new(all: Vec<Region>) -> Regions {
        Regions(all)
    }
}

impl Region {
    /// Which actions of the surface of an index are out, as bits; empty where none is.
    pub fn out_of(&self, surface: usize) -> &[u64] {
        self.out.get(surface).map_or(&[], Vec::as_slice)
    }

    /// The policy whose model has that index, if it chooses otherwise here.
    pub fn policy(&self, scorer: usize) -> Option<&Policy> {
        self.policies.get(scorer)?.as_ref()
    }

    /// Whether a cap has a lower limit here.
    pub fn has_limits(&self) -> bool {
        !self.limits.is_empty()
    }

    /// The limit of a cap.
    pub fn limit(&self, cap: &Cap) -> i64 {
        let found = self
            .limits
            .binary_search_by_key(&cap.number, |&(number, _)| number);
        found.map_or(cap.limit, |index| self.limits[index].1.min(cap.limit))
    }

    /// Another policy as it would choose here; None where it chooses as it is.
    pub fn adapted(&self, policy: &Policy) -> Option<Policy> {
        self.differs.adapted(policy)
    }
}

impl Differs {
    pub fn adapted(self, own: &Policy) -> Option<Policy> {
        let mut policy = own.clone();
        if let Some((choice, lower_bound)) = self.choice {
            let rule = choice.selection.rule();
            policy.choice = choice;
            policy.lower_bound = lower_bound;
            policy.needs_scores = rule.needs_scores;
            policy.needs_spreads =
                rule.needs_spreads || lower_bound.is_some_and(|bound| bound.gamma != 0.0);
        }
        if self.never_explores {
            policy.choice = policy.choice.exploring(0.0);
        }
        (self.choice.is_some() || self.never_explores).then_some(policy)
    }
}
