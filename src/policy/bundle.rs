//! A bundle as decide() uses it: names resolved, models compiled, nothing left to look up.

use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::action::{Action, Actions};
use super::contract::Contracts;
use super::feature::Entity;
use super::feature::Feature;
use super::reading::Reading;
use super::scorers::Scorers;
use super::switched::Killed;
use super::visibility::FeatureMask;
use crate::caps::{Cap, Limits};
use crate::eligibility::Rules;
use crate::govern::switches::Switches;
use crate::math::aggregate::{Side, cells_at};
use crate::math::choice::Choice;
use crate::math::keyed;
use crate::math::scorer::Scorer;
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
    /// In order of their numbers.
    pub caps: Vec<Cap>,
    /// Caps per user, by the type of event that they count.
    pub counted_by: HashMap<String, Vec<usize>>,
}

/// A bundle with its models, at one snapshot of features and with the switches of a moment.
pub struct Bundle {
    pub number: i64,
    compiled: Rc<Compiled>,
    scorers: Scorers,
    /// All that are kept: the bundle's own; behind these those that are staged.
    pub features: Vec<Feature>,
    /// When the values were taken that the models have of entities; None: they have the default values.
    pub snapshot: Option<i64>,
    /// Which features are hidden from its decisions.
    pub mask: FeatureMask,
    /// The kill switches, and the actions that they take out.
    pub switches: Switches,
    pub killed: Killed,
    /// Features by the type of event that moves them.
    pub moved_by: HashMap<String, Vec<Moved>>,
}

impl Deref for Bundle {
    type Target = Compiled;

    fn deref(&self) -> &Compiled {
        &self.compiled
    }
}

impl Compiled {
    /// Whether a surface has a model.
    pub fn has_models(&self) -> bool {
        let mut policies = self.surfaces.values().flat_map(|surface| &surface.policy);
        policies.any(|policy| policy.model.is_some())
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

impl Bundle {
    /// Puts together what was compiled, and what holds now.
    pub fn new(
        number: i64,
        compiled: Rc<Compiled>,
        scorers: Scorers,
        snapshot: Option<i64>,
        switches: Switches,
    ) -> Bundle {
        Bundle {
            number,
            scorers,
            features: compiled.own_features.clone(),
            snapshot: snapshot.filter(|_| !compiled.entities.is_empty()),
            mask: FeatureMask::of(&compiled.own_features, &switches),
            killed: Killed::of(&compiled.actions, &switches),
            switches,
            moved_by: moved_by(&compiled.own_features),
            compiled,
        }
    }

    /// What was compiled of it.
    pub fn compiled(&self) -> &Rc<Compiled> {
        &self.compiled
    }

    /// The model of a surface, compiled for its actions.
    pub fn scorer(&self, surface: &Surface) -> Option<&Scorer> {
        self.scorers.of(surface)
    }

    /// How many features are the bundle's own, and not only staged.
    pub fn own(&self) -> usize {
        self.own_features.len()
    }

    /// What decisions see of a user: features, and whether they are hidden.
    pub fn features_of_user(&self) -> impl Iterator<Item = (&Feature, bool)> {
        let features = self.features.iter().enumerate();
        let of_user = features.filter(|(_, feature)| feature.visibility().is_of_user());
        of_user.map(|(i, feature)| (feature, self.mask.hides(i)))
    }

    /// The features of the vector, in its order, and what each says; nothing where it is missing.
    pub fn vector_of(
        &self,
        cells: &[f64],
        now: i64,
    ) -> impl Iterator<Item = (&Reading, Option<f64>)> {
        self.vector.iter().map(move |reading| {
            let state = cells_at(cells, reading.cell, &reading.aggregate);
            let state = state.filter(|_| !self.mask.hides(reading.feature));
            let value = state.and_then(|state| reading.aggregate.read(state, now));
            (reading, value)
        })
    }

    /// What a feature that is kept per key says of the surface's keys: offsets among the affinities, and values.
    pub fn affinity_of(
        &self,
        affinity: &Affinity,
        keyed: &[f64],
        now: i64,
    ) -> impl Iterator<Item = (usize, f64)> {
        let feature = &self.features[affinity.feature];
        let is_hidden = self.mask.hides(affinity.feature);
        let kept = feature.key.as_ref().filter(|_| !is_hidden);
        let limit = kept.map_or(0, |key| key.limit);
        let block = feature.cell as u32;
        keyed::entries(keyed, block, &feature.aggregate, now, limit)
            .filter_map(|(key, value)| Some((affinity.offset(key)?, value)))
    }

    /// Adds a feature that is staged: events move it, and no decision sees it.
    pub fn add_staged(&mut self, feature: Feature) {
        note_moves(&mut self.moved_by, self.features.len(), &feature);
        self.features.push(feature);
    }
}

/// A feature, by its index in the bundle, and as what events of a type count in it.
pub struct Moved {
    pub feature: usize,
    pub side: Side,
}

/// What events of each type move.
pub fn moved_by(features: &[Feature]) -> HashMap<String, Vec<Moved>> {
    let mut moved = HashMap::new();
    for (index, feature) in features.iter().enumerate() {
        note_moves(&mut moved, index, feature);
    }
    moved
}

fn note_moves(moved: &mut HashMap<String, Vec<Moved>>, index: usize, feature: &Feature) {
    let mut note = |kind: &str, side| {
        let of_kind = moved.entry(kind.to_owned()).or_default();
        of_kind.push(Moved {
            feature: index,
            side,
        });
    };
    note(&feature.event_type, Side::Hit);
    if let Some(kind) = &feature.trial_event_type {
        note(kind, Side::Trial);
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
    pub context_fields: Vec<String>,
    /// The actions that may be shown here, by number: their order is the order of candidates.
    pub actions: Slab<Action>,
    pub rules: Rules,
    pub affinities: Affinities,
    pub limits: Limits,
    pub policy: Option<Policy>,
}

impl Surface {
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

#[derive(Serialize, Deserialize)]
pub struct Policy {
    pub name: String,
    pub choice: Choice,
    /// Whether the selection looks at scores.
    pub needs_scores: bool,
    pub model: Option<Model>,
}

/// A version of a model.
#[derive(Serialize, Deserialize)]
pub struct Model {
    pub name: String,
    pub version: i32,
    /// As `model:version`.
    pub label: String,
}
