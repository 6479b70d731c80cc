//! Fourth stage: what each action of the surface is worth, by one matrix-vector product, less what its budgets ask.

use super::draw::Draw;
use super::features::Features;
use super::reason::Reason;
use super::request::Request;
use crate::caps::{self, Limits, Price};
use crate::math::model::Value;
use crate::math::scorer::{Coordinate, Scorer, SpreadBuffers};
use crate::math::to_f32;
use crate::policy::{Bundle, Policy, Surface};

/// The scores of all actions of a surface.
#[derive(Default)]
pub struct Scores {
    of_actions: Vec<f32>,
    /// Their standard deviations; none where the policy does not look at them.
    spreads: Vec<f32>,
    /// What was taken off them.
    pub prices: Vec<Price>,
    /// The features as a model reads them, and the request vector that it makes of them.
    inputs: Vec<f64>,
    coordinates: Vec<Coordinate>,
    buffers: SpreadBuffers,
}

/// The policy, if it can choose.
pub fn require_model(policy: Option<&Policy>) -> Result<&Policy, Reason> {
    let policy = policy.ok_or(Reason::NoPolicy)?;
    match policy.model {
        None if policy.needs_scores => Err(Reason::NoModel),
        _ => Ok(policy),
    }
}

/// Scores all actions of the surface, at the prices of now.
pub fn score_candidates(
    policy: &Policy,
    request: &Request<'_>,
    features: &Features,
    scores: &mut Scores,
) {
    let (surface, bundle) = (request.surface, request.bundle);
    let terms = request.terms();
    let scorer = bundle.scorer(terms);
    scores.apply_model(policy, scorer, surface, &request.fields, features);
    let limits = terms.limits;
    let priced = limits.priced.iter().map(|&i| &bundle.caps[limits.caps[i]]);
    caps::prices(priced, &mut scores.prices);
    scores.take_off_prices(policy, limits, bundle);
}

impl Scores {
    /// At prices that a trace has.
    pub fn at(prices: Vec<Price>) -> Scores {
        Scores {
            prices,
            ..Scores::default()
        }
    }

    /// The buffers that are as long as there are actions, emptied.
    pub fn emptied(&mut self) -> [&mut Vec<f32>; 2] {
        self.of_actions.clear();
        self.spreads.clear();
        [&mut self.of_actions, &mut self.spreads]
    }

    pub fn clear(&mut self) {
        self.of_actions.clear();
        self.spreads.clear();
        self.prices.clear();
    }

    /// Without a model, for a selection that needs none, every score is 0.
    pub fn apply_model(
        &mut self,
        policy: &Policy,
        scorer: Option<&Scorer>,
        surface: &Surface,
        fields: &[Value<'_>],
        features: &Features,
    ) {
        self.of_actions.clear();
        self.of_actions.resize(surface.actions.len(), 0.0);
        self.spreads.clear();
        let Some(scorer) = scorer else {
            return;
        };
        self.fill_inputs(surface.affinities.len, features);
        scorer.vector(&self.inputs, fields, &mut self.coordinates);
        let (responses, spreads) = (&mut self.of_actions, &mut self.spreads);
        scorer.respond(&self.coordinates, responses);
        if policy.needs_spreads {
            spreads.resize(surface.actions.len(), 0.0);
            scorer.spread(&self.coordinates, responses, &mut self.buffers, spreads);
        }
        scorer.weigh(responses, spreads);
    }

    /// Takes off each score the price of the units that its action takes: Σ price · amount. Where no model was asked there
    /// is nothing to compare prices with.
    pub fn take_off_prices(&mut self, policy: &Policy, limits: &Limits, bundle: &Bundle) {
        if policy.model.is_none() {
            self.prices.clear();
        }
        for &Price { cap, per_unit } in &self.prices {
            let number = |&i: &usize| bundle.caps[i].number;
            let Ok(index) = limits.caps.binary_search_by_key(&cap, number) else {
                continue;
            };
            let scale = bundle.caps[limits.caps[index]].scale as f64;
            for (action, amount) in limits.takers(index) {
                let score = &mut self.of_actions[action];
                *score = to_f32(f64::from(*score) - per_unit * (amount as f64 / scale));
            }
        }
    }

    /// Of each action of the surface.
    pub fn of_actions(&self) -> &[f32] {
        &self.of_actions
    }

    /// Writes the scores of the actions that a draw is open to, and their spreads.
    pub fn write(&self, draw: &mut Draw) {
        let open = draw.open.iter();
        draw.scores.clear();
        draw.scores
            .extend(open.clone().map(|&action| self.of_actions[action]));
        draw.spreads.clear();
        if !self.spreads.is_empty() {
            draw.spreads
                .extend(open.map(|&action| self.spreads[action]));
        }
    }

    /// The vector, then a flag for each feature that is missing, then what is kept per key: NaN where there is nothing.
    fn fill_inputs(&mut self, affinities: usize, features: &Features) {
        let length = features.vector.len();
        self.inputs.clear();
        self.inputs.extend_from_slice(&features.vector);
        self.inputs.resize(2 * length, 0.0);
        self.inputs.resize(2 * length + affinities, f64::NAN);
        let (flags, of_keys) = self.inputs[length..].split_at_mut(length);
        for &index in &features.missing {
            if let Some(flag) = flags.get_mut(index) {
                *flag = 1.0;
            }
        }
        for affinity in &features.affinities {
            if let Some(input) = of_keys.get_mut(affinity.index) {
                *input = affinity.value;
            }
        }
    }
}
