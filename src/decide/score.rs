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
    model
        .scorer
        .vector(&desk.features, fields, &mut desk.vector);
    desk.all_scores.resize(surface.actions.len(), 0.0);
    model.scorer.score(&desk.vector, &mut desk.all_scores);
    desk.scores
        .extend(desk.open.iter().map(|&i| desk.all_scores[i]));
}
