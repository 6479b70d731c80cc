//! Whether a decision sees a feature. No other file says so: what hides a feature from decisions, as kill switches
//! and missing consent do, belongs here.

use super::feature::{Entity, Feature};
use super::user::UserRow;
use crate::govern::switches::{Kind, Switches};

/// As what decisions see a feature: the layout of a bundle, the same for all its decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureVisibility {
    /// A number of the user: an element of the vector.
    Vector,
    /// Numbers of the user, one for each key of the surface's actions: behind the vector.
    PerKey,
    /// A number of an action or of a surface, from the snapshot of these.
    Entity,
    /// Not at all: it is kept for training and analysis.
    Offline,
}

impl Feature {
    pub fn visibility(&self) -> FeatureVisibility {
        match (self.offline_only, self.entity, &self.key) {
            (true, ..) => FeatureVisibility::Offline,
            (false, Entity::User, None) => FeatureVisibility::Vector,
            (false, Entity::User, Some(_)) => FeatureVisibility::PerKey,
            (false, Entity::Action | Entity::Surface, _) => FeatureVisibility::Entity,
        }
    }
}

impl FeatureVisibility {
    /// Whether decisions see it as something of the user.
    pub fn is_of_user(self) -> bool {
        match self {
            FeatureVisibility::Vector | FeatureVisibility::PerKey => true,
            FeatureVisibility::Entity | FeatureVisibility::Offline => false,
        }
    }
}

/// The indexes of the features that decisions see as that.
pub fn visible_as(features: &[Feature], visibility: FeatureVisibility) -> Vec<usize> {
    let is_seen = |i: &usize| features[*i].visibility() == visibility;
    (0..features.len()).filter(is_seen).collect()
}

/// The features that are hidden from a decision, by their index in the bundle. They keep their element of
/// the vector and count as missing.
#[derive(Default)]
pub struct FeatureMask {
    /// Empty where nothing is hidden.
    hidden: Vec<bool>,
}

impl FeatureMask {
    /// What the kill switches hide.
    pub fn of(features: &[Feature], switches: &Switches) -> FeatureMask {
        let is_killed = |feature: &Feature| switches.kill(Kind::Feature, &feature.name);
        FeatureMask {
            hidden: match features.iter().any(is_killed) {
                true => features.iter().map(is_killed).collect(),
                false => Vec::new(),
            },
        }
    }

    pub fn hides(&self, feature: usize) -> bool {
        self.hidden.get(feature).is_some_and(|&hidden| hidden)
    }
}

/// Takes out of a user's row, as it was read, what the user does not consent to: whoever looks at it finds nothing there.
pub fn hide_denied(features: &[Feature], denied: u64, row: &mut UserRow) {
    let is_hidden = |feature: &&Feature| feature.needs & denied != 0 && feature.entity.is_user();
    for feature in features.iter().filter(is_hidden) {
        row.forget(feature);
    }
}
