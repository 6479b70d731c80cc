//! Second stage: what is known of the user as of now, in one look-up.

use super::envelope::{Envelope, Knowing};
use super::{Buffers, Request, last_known};
use crate::pg::session;
use crate::policy::Bundle;

/// Fills the buffers with the vector, in the bundle's order, and with what is kept per key of the
/// surface's actions.
pub fn read(request: &Request<'_>, bundle: &Bundle, envelope: &Envelope, buffers: &mut Buffers) {
    if bundle.features.is_empty() {
        return;
    }
    let now = request.now;
    match envelope.knowing {
        Knowing::FromTheRow => {
            buffers.in_features.set(true);
            let timer = envelope.features_until.timer();
            buffers.state.read(request.user_key);
            drop(timer);
            buffers.in_features.set(false);
            if !session::sees_one_snapshot() {
                last_known::keep(request.user_key, now, &buffers.state);
            }
        }
        Knowing::LastKnown => {
            let known = last_known::recall(request.user_key, &mut buffers.state);
            let said = match known {
                true => "features: last known good",
                false => "features: default values, nothing is known of the user here",
            };
            buffers.errors.push(Some(said.to_owned()));
        }
    }
    buffers.seen = buffers.state.events;
    for (place, (reading, value)) in bundle.vector_of(&buffers.state.features, now).enumerate() {
        if value.is_none() {
            buffers.missing.push(place as i16 + 1);
        }
        buffers
            .features
            .push(value.unwrap_or(reading.default_value));
    }
    for affinity in &request.surface.affinities.kept {
        for (place, value) in bundle.affinity_of(affinity, &buffers.state.keyed, now) {
            buffers.affinities.extend([place as f64, value]);
        }
    }
}
