//! A bundle as decide() uses it: what was compiled of it, and what holds now of models, switches and staged features.

use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;

use super::compiled::{Affinity, Compiled, Terms};
use super::feature::Feature;
use super::reading::Reading;
use super::region::Region;
use super::scorers::Scorers;
use super::switched::Killed;
use super::user::UserRow;
use super::visibility::{FeatureMask, hide_denied};
use crate::govern::switches::Switches;
use crate::math::aggregate::{Side, cells_at};
use crate::math::keyed;
use crate::math::scorer::Scorer;

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

    /// The model of a surface or of a variant, compiled for the actions of its surface.
    pub fn scorer(&self, terms: Terms<'_>) -> Option<&Scorer> {
        self.scorers.of(terms.scorer)
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

    /// Takes out of a user's row, as it was read, what the user does not consent to; answers the purposes that are denied.
    /// Where the row could not be read nobody's consent is known.
    pub fn hide_denied(&self, row: &mut UserRow, is_known: bool, region: Option<&Region>) -> u64 {
        let denied = match is_known {
            true => self.denied(row, region),
            false => self.purposes.all(),
        };
        if denied != 0 {
            hide_denied(&self.features, denied, row);
        }
        let hidden = region.map_or(&[][..], |region| &region.hidden);
        for &feature in hidden {
            row.forget(&self.features[feature]);
        }
        denied
    }

    /// The purposes that a user denies, who is in a region.
    pub fn denied(&self, row: &UserRow, region: Option<&Region>) -> u64 {
        let rule = region.map(|region| region.consent);
        self.purposes.denied(&row.consents, rule)
    }

    /// The index of the region of a user, by their row, or else by what a context or an event says.
    pub fn region_of(&self, row: &UserRow, said: Option<&str>) -> Option<usize> {
        self.regions.index(row.consents.region(), said)
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
