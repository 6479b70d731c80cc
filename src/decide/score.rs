//! Fourth stage: what each candidate is worth, by one matrix-vector product.

use super::Desk;
use crate::math::model::Value;
use crate::policy::{Policy, Surface};

/// Scores all actions of the surface and keeps the scores of the open ones. Without a model, for a
/// selection that needs none, every score is 0.
pub fn score(policy: &Policy, surface: &Surface, fields: &[Value<'_>], desk: &mut Desk) {
    desk.scores.clear();
    let Some(model) = &policy.model else {
        desk.scores.resize(desk.open.len(), 0.0);
        return;
    };
    fill_inputs(surface.affinities.places, desk);
    model.scorer.vector(&desk.inputs, fields, &mut desk.vector);
    desk.all_scores.resize(surface.actions.len(), 0.0);
    model.scorer.score(&desk.vector, &mut desk.all_scores);
    desk.scores
        .extend(desk.open.iter().map(|&i| desk.all_scores[i]));
}

/// The vector, then a flag for each feature that is missing, then what is kept per key: NaN where that is not there.
fn fill_inputs(affinities: usize, desk: &mut Desk) {
    let length = desk.features.len();
    desk.inputs.clear();
    desk.inputs.extend_from_slice(&desk.features);
    desk.inputs.resize(2 * length, 0.0);
    desk.inputs.resize(2 * length + affinities, f64::NAN);
    for &place in &desk.missing {
        if let Some(flag) = desk.inputs[length..2 * length].get_mut(place as usize - 1) {
            *flag = 1.0;
        }
    }
    for pair in desk.affinities.as_chunks::<2>().0 {
        if let Some(input) = desk.inputs[2 * length..].get_mut(pair[0] as usize) {
            *input = pair[1];
        }
    }
}
