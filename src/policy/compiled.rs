//! What is compiled of a bundle once: names resolved, nothing left to look up but what is switched, staged or learned.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::action::{Action, Actions};
use super::coarsening::ContextFields;
use super::contract::Contracts;
use super::experiment::Experiment;
use super::feature::{Entity, Feature};
use super::outcome_type::OutcomeTypes;
use super::purposes::Purposes;
use super::reading::Reading;
use super::region::{Region, Regions};
pub use super::surface_policy::{Aim, Model, Policy};
use crate::caps::{Cap, Limits};
use crate::eligibility::Rules;
use crate::math::slab::Slab;

/// What all decisions of a bundle share, whatever is switched or staged: compiled once, when it is published.
#[derive(Serialize, Deserialize)]
pub struct Compiled {
    pub surfaces: HashMap<String, Surface>,
    /// The bundle's own, in order of their cells.
    pub own_features: Vec<Feature>,
    /// How those are read that make the vector: traces keep their values in this order.
    pub vector: Vec<Reading>,
    /// Those of actions and surfaces that models may look at, by their index among the features.
    pub entities: Vec<usize>,
    pub actions: Actions,
    pub contracts: Contracts,
    /// What persons may consent to.
    pub purposes: Purposes,
    /// What counts as an outcome.
    pub outcome_types: OutcomeTypes,
    /// What may be known of contexts and attributes.
    pub context_fields: ContextFields,
    /// What differs where.
    pub regions: Regions,
    /// In order of their numbers.
    pub caps: Vec<Cap>,
    /// Caps per user, by the type of event that they count.
    pub counted_by: HashMap<String, Vec<usize>>,
    /// Those that are running.
    pub experiments: Vec<Experiment>,
    /// How many models there are: one for each surface, then those of variants.
    pub scorers: usize,
}

impl Compiled {
    /// Whether a surface has a model.
    pub fn has_models(&self) -> bool {
        self.policies().any(|policy| policy.model.is_some())
    }

    /// Those of surfaces, and those of variants.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.surfaces.values().flat_map(|surface| {
            let of_arms = surface.arms.iter().filter_map(|arm| arm.policy.as_ref());
            surface.policy.iter().chain(of_arms)
        })
    }

    /// The name that an action, or a surface, has now, by one that it has or had.
    pub fn name_of(&self, entity: Entity, said: &str) -> Option<&str> {
        match entity {
            Entity::Action => self
                .actions
                .get(said)
                .map(|action| self.actions.name(action)),
            Entity::Surface => self
                .surfaces
                .get_key_value(said)
                .map(|(name, _)| name.as_str()),
            Entity::User => None,
        }
    }

    /// Caps per user that count events of a type.
    pub fn counting(&self, kind: &str) -> impl Iterator<Item = &Cap> {
        let indexes = self.counted_by.get(kind).into_iter().flatten();
        indexes.map(|&i| &self.caps[i])
    }

    /// The cap of a number, if it is in force.
    pub fn cap(&self, number: i32) -> Option<&Cap> {
        let index = self.caps.binary_search_by_key(&number, |cap| cap.number);
        index.ok().map(|index| &self.caps[index])
    }

    /// The caps that bear on a surface.
    pub fn caps_of(&self, surface: &Surface) -> impl Iterator<Item = &Cap> {
        surface.limits.caps.iter().map(|&i| &self.caps[i])
    }

    /// The index of a feature in the vector.
    pub fn index_in_vector(&self, name: &str) -> Option<usize> {
        let mut vector = self.vector.iter();
        vector.position(|reading| self.own_features[reading.feature].name == name)
    }
}

#[derive(Serialize, Deserialize)]
pub struct Surface {
    /// Its index among the surfaces of the bundle.
    pub index: usize,
    pub name: String,
    pub slots: usize,
    /// How long a decision may take.
    pub latency_budget: Duration,
    /// What is shown when the policy cannot choose.
    pub fallback: Action,
    /// The action over which uplift is told, by its number.
    pub baseline: Option<i32>,
    pub context_fields: Vec<String>,
    /// The actions that may be shown here, by number: their order is the order of candidates.
    pub actions: Slab<Action>,
    pub rules: Rules,
    pub affinities: Affinities,
    pub limits: Limits,
    pub policy: Option<Policy>,
    /// The experiments whose variants requests for it are assigned to.
    pub experiments: Vec<ExperimentHere>,
    /// What variants put in the place of its own; at most one of them holds for a request.
    pub arms: Vec<Arm>,
    /// The numbers of the actions that only variants put in, ascending.
    pub left_out: Slab<i32>,
}

/// An experiment on a surface.
#[derive(Serialize, Deserialize)]
pub struct ExperimentHere {
    /// Its index in the bundle.
    pub experiment: usize,
    /// Which of the surface's rules says who is in it (none: everybody).
    pub rule: Option<usize>,
}

/// What a variant makes of a surface.
#[derive(Serialize, Deserialize)]
pub struct Arm {
    /// The index of the experiment in the bundle, and of the variant in it.
    pub experiment: usize,
    pub variant: usize,
    /// None: the surface's own.
    pub policy: Option<Policy>,
    /// The index of the model of its policy.
    pub scorer: usize,
    /// None: the surface's own.
    pub limits: Option<Limits>,
    /// The numbers of the actions that are left out, ascending.
    pub left_out: Slab<i32>,
}

/// What a decision on a surface is made with: the surface's own, or what a variant has put in its place.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    pub policy: Option<&'a Policy>,
    pub limits: &'a Limits,
    pub scorer: usize,
    /// The numbers of the actions that are left out, ascending.
    pub left_out: &'a [i32],
}

impl<'a> Terms<'a> {
    /// The policy, as it chooses in a region.
    pub fn policy_in(&self, region: Option<&'a Region>) -> Option<&'a Policy> {
        let of_region = region.and_then(|region| region.policy(self.scorer));
        of_region.or(self.policy)
    }
}

impl Surface {
    /// Its policy and those that variants put in the place of it, each with the index of its model.
    pub fn policies(&self) -> impl Iterator<Item = (usize, &Policy)> {
        let own = self.policy.iter().map(|policy| (self.index, policy));
        let of_arms = self.arms.iter();
        own.chain(of_arms.filter_map(|arm| Some((arm.scorer, arm.policy.as_ref()?))))
    }

    /// What a decision is made with, under the arm of that index.
    pub fn terms(&self, arm: Option<usize>) -> Terms<'_> {
        let own = Terms {
            policy: self.policy.as_ref(),
            limits: &self.limits,
            scorer: self.index,
            left_out: &self.left_out,
        };
        match arm.and_then(|index| self.arms.get(index)) {
            None => own,
            Some(arm) => Terms {
                policy: arm.policy.as_ref().or(own.policy),
                limits: arm.limits.as_ref().unwrap_or(own.limits),
                scorer: arm.scorer,
                left_out: &arm.left_out,
            },
        }
    }

    /// The index of what a variant makes of the surface, if it changes anything there.
    pub fn arm_of(&self, experiment: usize, variant: usize) -> Option<usize> {
        let mut arms = self.arms.iter();
        arms.position(|arm| (arm.experiment, arm.variant) == (experiment, variant))
    }

    /// The offset of what a feature that is kept per key says of an action, among the affinities.
    pub fn offset_of_affinity(
        &self,
        bundle: &Compiled,
        name: &str,
        action: &Action,
    ) -> Option<usize> {
        let features = &bundle.own_features;
        let mut kept = self.affinities.kept.iter();
        let affinity = kept.find(|kept| features[kept.feature].name == name)?;
        let path = &features[affinity.feature].key.as_ref()?.path;
        affinity.offset(bundle.actions.key(path, action, &self.name)?)
    }
}

/// The offsets of what features that are kept per key say, behind the vector: one for each key that an
/// action of the surface has.
#[derive(Default, Serialize, Deserialize)]
pub struct Affinities {
    pub kept: Vec<Affinity>,
    pub len: usize,
}

#[derive(Serialize, Deserialize)]
pub struct Affinity {
    /// By its index in the bundle.
    pub feature: usize,
    /// By key.
    offsets: Slab<KeyOffset>,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct KeyOffset {
    key: u64,
    offset: u64,
}

impl Affinity {
    /// With an offset for each key, all different.
    pub fn new(feature: usize, offsets: HashMap<u64, usize>) -> Affinity {
        let offsets = offsets.into_iter();
        let mut offsets: Vec<KeyOffset> = offsets
            .map(|(key, offset)| KeyOffset {
                key,
                offset: offset as u64,
            })
            .collect();
        offsets.sort_unstable_by_key(|of| of.key);
        Affinity {
            feature,
            offsets: offsets.into(),
        }
    }

    pub fn offsets(&self) -> impl Iterator<Item = usize> {
        self.offsets.iter().map(|of| of.offset as usize)
    }

    pub fn offset(&self, key: u64) -> Option<usize> {
        let index = self.offsets.binary_search_by_key(&key, |of| of.key);
        index.ok().map(|index| self.offsets[index].offset as usize)
    }
}
