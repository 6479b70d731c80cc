//! What a score says of an action: the response that is expected, its increment over a baseline, or what these are worth.
//!
//! With responses μ the increment of action a over the baseline b is τ[a] = μ[a] − μ[b], and its value w[a] · τ[a] − c[a]:
//! what a unit of it is worth, less what it costs to show a. The spread of τ takes into account that μ[a] and μ[b] come
//! from the same weights.

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::spreads::{Group, Part};
use crate::slab::Slab;
use crate::to_f32;

/// What actions are scored by. The default is the response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// The action whose response is taken off that of each.
    pub baseline: Option<usize>,
    /// For each action, what its response or increment is worth; none if it is not weighed.
    pub worths: Option<Slab<Worth>>,
}

/// What a unit of an action's response or increment is worth, and what it costs to show the action.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Worth {
    pub of_unit: f64,
    pub cost: f64,
}

impl Objective {
    /// Turns responses into scores, and their spreads with them. `spreads` may be empty. Of a model whose cells are
    /// differences already, and so the baseline's response is 0, the first step changes nothing.
    pub(super) fn apply(&self, scores: &mut [f32], spreads: &mut [f32]) {
        if let Some(&baseline) = self.baseline.and_then(|b| scores.get(b)) {
            for score in &mut *scores {
                *score -= baseline;
            }
        }
        let Some(worths) = &self.worths else {
            return;
        };
        for (score, worth) in scores.iter_mut().zip(worths.iter()) {
            *score = to_f32(f64::from(*score) * worth.of_unit - worth.cost);
        }
        for (spread, worth) in spreads.iter_mut().zip(worths.iter()) {
            *spread = to_f32(f64::from(*spread) * worth.of_unit.abs());
        }
    }
}

/// The variance of p[a] − p[b], two probabilities of a logistic model, by the delta method: with slopes g = p·(1 − p),
/// g[a]²·v[a] + g[b]²·v[b] − 2·g[a]·g[b]·cov, where v are the variances of both on the scale of the weights and
/// cov = (v[a] + v[b] − d) / 2 follows from d, that of their difference there. It is written as the sum that loses no
/// digits where both are nearly the same.
pub(super) fn variance_of_increment([p_a, v_a]: [f64; 2], [p_b, v_b]: [f64; 2], d: f64) -> f64 {
    let [g_a, g_b] = [p_a, p_b].map(|p| p * (1.0 - p));
    let variance = g_a * g_b * d + (g_a - g_b) * (g_a * v_a - g_b * v_b);
    variance.max(0.0)
}

/// The groups of a model's terms, less what each gives for the baseline: the rows of which are differences of rows. The
/// baseline's own is empty, so that no rounding makes it unsure.
pub(super) fn differences(groups: &[Group], baseline: usize, actions: usize) -> Vec<Group> {
    let of_others = |part: &Part| Part {
        columns: part.columns.clone(),
        of_actions: (part.of_actions.iter().copied())
            .filter(|of| of.0 != baseline)
            .collect(),
    };
    let less = |part: &Part| {
        let mut its = part.of_actions.iter();
        let &(_, offset, value) = its.find(|of| of.0 == baseline)?;
        let others = (0..actions).filter(|&a| a != baseline);
        Some(Part {
            columns: part.columns.clone(),
            of_actions: others.map(|a| (a, offset, -value)).collect(),
        })
    };
    let difference = |group: &Group| Group {
        width: group.width,
        parts: (group.parts.iter().map(of_others))
            .chain(group.parts.iter().filter_map(less))
            .collect(),
    };
    groups.iter().map(difference).collect()
}
