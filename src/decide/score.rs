//! Fourth stage: what each candidate is worth, by one matrix-vector product.

use super::Desk;
use crate::math::model::Value;
use crate::math::to_f32;
use crate::policy::{Bundle, Policy, Surface};

/// Scores all actions of the surface. Without a model, for a selection that needs none, every score is 0.
pub fn score(policy: &Policy, surface: &Surface, fields: &[Value<'_>], desk: &mut Desk) {
    desk.all_scores.clear();
    desk.all_scores.resize(surface.actions.len(), 0.0);
    let Some(model) = &policy.model else {
        return;
    };
    fill_inputs(surface.affinities.places, desk);
    model.scorer.vector(&desk.inputs, fields, &mut desk.vector);
    model.scorer.score(&desk.vector, &mut desk.all_scores);
}

/// Takes off each score what the budgets of its action ask for the units that it takes: Σ λ · amount. The
/// prices are on the desk. Where no model was asked there is nothing to weigh them against.
pub fn price(policy: &Policy, surface: &Surface, bundle: &Bundle, desk: &mut Desk) {
    if policy.model.is_none() {
        desk.duals.clear();
    }
    for &[slot, lambda] in desk.duals.as_chunks::<2>().0 {
        let limits = &surface.limits;
        let of_slot = |&i: &usize| f64::from(bundle.caps[i].slot) == slot;
        let Some(place) = limits.caps.iter().position(of_slot) else {
            continue;
        };
        let scale = bundle.caps[limits.caps[place]].scale as f64;
        for (score, needs) in desk.all_scores.iter_mut().zip(&limits.of_action) {
            if let Some((_, amount)) = needs.iter().find(|(of, _)| *of == place) {
                *score = to_f32(f64::from(*score) - lambda * (*amount as f64 / scale));
            }
        }
    }
}

/// Keeps the scores of the open ones.
pub fn of_open(desk: &mut Desk) {
    desk.scores.clear();
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
