//! A bundle as decide() uses it: names resolved, models compiled, nothing left to look up.

use std::collections::HashMap;
use std::time::Duration;

use super::action::{Action, key_of_action};
use super::contract::Contracts;
use super::feature::Entity;
use super::feature::Feature;
use super::reading::Reading;
use super::visibility::FeatureMask;
use crate::caps::{Cap, Limits};
use crate::eligibility::Rules;
use crate::govern::switches::Switches;
use crate::math::aggregate::{Side, cells_at};
use crate::math::choice::Choice;
use crate::math::keyed;
use crate::math::scorer::Scorer;

pub struct Bundle {
    pub number: i64,
    pub surfaces: HashMap<String, Surface>,
    /// All that are kept, in order of their cells; behind the bundle's own those that are staged.
    pub features: Vec<Feature>,
    /// How many of them are the bundle's own.
    pub own: usize,
    /// How those are read that make the vector: traces keep their values in this order.
    pub vector: Vec<Reading>,
    /// Those of actions and surfaces that models may look at, by their index in `features`.
    pub entities: Vec<usize>,
    /// When their values were taken that the models have; None: they have the default values.
    pub snapshot: Option<i64>,
    /// Which features are hidden from its decisions.
    pub mask: FeatureMask,
    /// The kill switches that it was compiled with.
    pub switches: Switches,
    /// Features by the type of event that moves them.
    pub moved_by: HashMap<String, Vec<Moved>>,
    /// All actions by name, and by the names that they had before they were renamed.
    pub actions: HashMap<String, Action>,
    pub contracts: Contracts,
    /// In order of their numbers.
    pub caps: Vec<Cap>,
    /// Caps per user, by the type of event that they count.
    pub counted_by: HashMap<String, Vec<usize>>,
}

impl Bundle {
    /// The name that an action, or a surface, has now, by one that it has or had.
    pub fn name_of(&self, entity: Entity, said: &str) -> Option<&str> {
        match entity {
            Entity::Action => self.actions.get(said).map(|action| action.name.as_str()),
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
            .filter_map(|(key, value)| Some((*affinity.offsets.get(&key)?, value)))
    }

    /// Adds a feature that is staged: events move it, and no decision sees it.
    pub fn add_staged(&mut self, feature: Feature) {
        note_moves(&mut self.moved_by, self.features.len(), &feature);
        self.features.push(feature);
    }

    /// The caps that bear on a surface.
    pub fn caps_of(&self, surface: &Surface) -> impl Iterator<Item = &Cap> {
        surface.limits.caps.iter().map(|&i| &self.caps[i])
    }

    /// The index of a feature in the vector.
    pub fn index_in_vector(&self, name: &str) -> Option<usize> {
        let mut vector = self.vector.iter();
        vector.position(|reading| self.features[reading.feature].name == name)
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

pub struct Surface {
    pub name: String,
    pub slots: usize,
    /// How long a decision may take.
    pub latency_budget: Duration,
    /// What is shown when the policy cannot choose.
    pub fallback: Action,
    pub context_fields: Vec<String>,
    /// The actions that may be shown here, by number: their order is the order of candidates.
    pub actions: Vec<Action>,
    pub rules: Rules,
    pub affinities: Affinities,
    pub limits: Limits,
    pub policy: Option<Policy>,
}

impl Surface {
    /// The offset of what a feature that is kept per key says of an action, among the affinities.
    pub fn offset_of_affinity(&self, bundle: &Bundle, name: &str, action: usize) -> Option<usize> {
        let mut kept = self.affinities.kept.iter();
        let affinity = kept.find(|kept| bundle.features[kept.feature].name == name)?;
        let path = &bundle.features[affinity.feature].key.as_ref()?.path;
        let key = key_of_action(path, self.actions.get(action)?, &self.name)?;
        affinity.offsets.get(&key).copied()
    }
}

/// The offsets of what features that are kept per key say, behind the vector: one for each key that an
/// action of the surface has.
#[derive(Default)]
pub struct Affinities {
    pub kept: Vec<Affinity>,
    pub len: usize,
}

pub struct Affinity {
    /// By its index in the bundle.
    pub feature: usize,
    pub offsets: HashMap<u64, usize>,
}

pub struct Policy {
    pub name: String,
    pub choice: Choice,
    /// Whether the selection looks at scores.
    pub needs_scores: bool,
    /// Whether it leaves out what an earlier surface of the same page shows.
    pub unique_on_page: bool,
    pub model: Option<Model>,
}

pub struct Model {
    /// As `model:version`.
    pub label: String,
    pub scorer: Scorer,
}
