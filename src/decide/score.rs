//! Fourth stage: what each candidate is worth, by one matrix-vector product.

use super::Buffers;
use crate::math::model::Value;
use crate::math::to_f32;
use crate::policy::{Bundle, Policy, Surface};

/// Scores all actions of the surface. Without a model, for a selection that needs none, every score is 0.
pub fn score(policy: &Policy, surface: &Surface, fields: &[Value<'_>], buffers: &mut Buffers) {
    buffers.all_scores.clear();
    buffers.all_scores.resize(surface.actions.len(), 0.0);
    let Some(model) = &policy.model else {
        return;
    };
    fill_inputs(surface.affinities.len, buffers);
    model
        .scorer
        .vector(&buffers.inputs, fields, &mut buffers.vector);
    model.scorer.score(&buffers.vector, &mut buffers.all_scores);
}

/// Takes off each score what the budgets of its action ask for the units that it takes: Σ λ · amount. The
/// prices are on the buffers. Where no model was asked there is nothing to weigh them against.
pub fn price(policy: &Policy, surface: &Surface, bundle: &Bundle, buffers: &mut Buffers) {
    if policy.model.is_none() {
        buffers.duals.clear();
    }
    for &[slot, lambda] in buffers.duals.as_chunks::<2>().0 {
        let limits = &surface.limits;
        let of_slot = |&i: &usize| f64::from(bundle.caps[i].number) == slot;
        let Some(place) = limits.caps.iter().position(of_slot) else {
            continue;
        };
        let scale = bundle.caps[limits.caps[place]].scale as f64;
        for (score, needs) in buffers.all_scores.iter_mut().zip(&limits.of_action) {
            if let Some((_, amount)) = needs.iter().find(|(of, _)| *of == place) {
                *score = to_f32(f64::from(*score) - lambda * (*amount as f64 / scale));
            }
        }
    }
}

/// Keeps the scores of the open ones.
pub fn of_open(buffers: &mut Buffers) {
    buffers.scores.clear();
    buffers
        .scores
        .extend(buffers.open.iter().map(|&i| buffers.all_scores[i]));
}

/// The vector, then a flag for each feature that is missing, then what is kept per key: NaN where that is not there.
fn fill_inputs(affinities: usize, buffers: &mut Buffers) {
    let length = buffers.features.len();
    buffers.inputs.clear();
    buffers.inputs.extend_from_slice(&buffers.features);
    buffers.inputs.resize(2 * length, 0.0);
    buffers.inputs.resize(2 * length + affinities, f64::NAN);
    for &place in &buffers.missing {
        if let Some(flag) = buffers.inputs[length..2 * length].get_mut(place as usize - 1) {
            *flag = 1.0;
        }
    }
    for pair in buffers.affinities.as_chunks::<2>().0 {
        if let Some(input) = buffers.inputs[2 * length..].get_mut(pair[0] as usize) {
            *input = pair[1];
        }
    }
}
