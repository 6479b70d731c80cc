//! Second stage: what is known of the user as of now, in one look-up.

use uuid::Uuid;

use super::envelope::{Dependency, Envelope, FeatureSource};
use super::last_known;
use super::request::Request;
use crate::pg::session;
use crate::policy::UserRow;

/// What is known of the user.
#[derive(Default)]
pub struct Features {
    /// The row of the user has been read, and vector and missing ones are of it: they serve all surfaces of a visit.
    pub is_read: bool,
    pub user: UserRow,
    /// Whose row it is, where another user was merged into them.
    pub user_key: Uuid,
    /// Values in the order of the bundle; of a missing one its default.
    pub vector: Vec<f64>,
    /// Indexes in the vector of those that are missing.
    pub missing: Vec<usize>,
    /// Features kept per key, for keys of the surface's actions, as far as there is a value.
    pub affinities: Vec<AffinityValue>,
    /// How many events of the user were counted in all that.
    pub events: i64,
    /// Purposes that the user does not consent to, as bits: what needs them was taken out of the row.
    pub denied: u64,
    /// The region of the user, by its index.
    pub region: Option<usize>,
    /// What the trace says where it is not from the row of the user.
    pub source_note: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AffinityValue {
    /// Among the surface's affinities.
    pub index: usize,
    pub value: f64,
}

impl Features {
    /// For another surface of the same visit.
    pub fn clear(&mut self) {
        if !self.is_read {
            self.forget();
        }
        self.affinities.clear();
    }

    /// For another visit, or where the reading may be undone.
    pub fn forget(&mut self) {
        self.is_read = false;
        self.user.clear();
        self.vector.clear();
        self.missing.clear();
        self.affinities.clear();
        self.events = 0;
        self.denied = 0;
        self.region = None;
        self.source_note = None;
    }
}

/// Reads the vector, and what is kept per key of the surface's actions.
pub fn read(request: &Request<'_>, envelope: &Envelope, features: &mut Features) {
    let (bundle, now) = (request.bundle, request.now);
    let keeps_variants = bundle.experiments.iter().any(|of| of.sticky);
    let needs_row = !bundle.purposes.is_empty() || !bundle.regions.is_empty() || keeps_variants;
    if bundle.features.is_empty() && !needs_row {
        return;
    }
    match features.is_read {
        true => request.user_key.set(features.user_key),
        false => read_user(request, envelope, features),
    }
    request.region.set(features.region);
    for affinity in &request.surface.affinities.kept {
        let values = bundle.affinity_of(affinity, &features.user.keyed, now);
        let values = values.map(|(index, value)| AffinityValue { index, value });
        features.affinities.extend(values);
    }
}

/// Reads the row of the user, and of it the vector.
fn read_user(request: &Request<'_>, envelope: &Envelope, features: &mut Features) {
    let (bundle, now) = (request.bundle, request.now);
    match envelope.feature_source {
        FeatureSource::UserRow => {
            envelope.depend_on(Dependency::UserRow, || {
                let _timer = envelope.features_until.timer();
                let living = features.user.read_living(request.user_key.get());
                request.user_key.set(living);
            });
            if !session::sees_one_snapshot() {
                last_known::keep(request.user_key.get(), now, &features.user);
            }
        }
        FeatureSource::LastKnown => {
            let known = last_known::recall(request.user_key.get(), &mut features.user);
            features.source_note = Some(match known {
                true => "features: last known good",
                false => "features: default values, nothing is known of the user here",
            });
        }
    }
    features.user_key = request.user_key.get();
    let is_known = envelope.feature_source == FeatureSource::UserRow;
    features.region = bundle.region_of(&features.user, request.region_said());
    let region = bundle.regions.at(features.region);
    features.denied = bundle.hide_denied(&mut features.user, is_known, region);
    features.events = features.user.events;
    let vector = bundle.vector_of(&features.user.features, now);
    for (index, (reading, value)) in vector.enumerate() {
        if value.is_none() {
            features.missing.push(index);
        }
        features.vector.push(value.unwrap_or(reading.default_value));
    }
    features.is_read = is_known;
}
