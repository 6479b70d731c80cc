//! From the published tables to what a bundle's decisions share.

use std::collections::{HashMap, HashSet};

use super::action::Actions;
use super::caps;
use super::coarsening::ContextFields;
use super::compile_experiments::{Effects, arms, experiments};
use super::compile_region::regions;
use super::compile_surface::{Parts, surface};
use super::compiled::{Aim, Compiled, Model, Policy};
use super::contract::contracts;
use super::faults::Faults;
use super::feature::Feature;
use super::outcome_type::OutcomeTypes;
use super::purposes::{self, Purposes};
use super::reading::Reading;
use super::region::Regions;
use super::selection::{Choosing, choosing};
use super::tables::{Content, PolicyRow};
use super::visibility::{FeatureVisibility, visible_as};
use crate::caps::counted_by;
use crate::eligibility::looks_at_action;

/// Compiles what can be compiled; what cannot is among the faults. Models are compiled apart, by
/// [`super::scorers::Scorers`], since they change with what they look at.
pub fn compile(number: i64, content: &Content, faults: &mut Faults) -> Compiled {
    let purposes = Purposes::of(content, faults);
    purposes::check(content, &purposes, faults);
    let features = features(content, &purposes, faults);
    let vector = visible_as(&features, FeatureVisibility::Vector);
    let entities = visible_as(&features, FeatureVisibility::Entity);
    let actions = Actions::of(content, &purposes, faults);
    check_attributes(content, &actions, faults);
    let caps = caps::caps(content, faults);
    let contracts = contracts(content, &purposes, faults);
    let effects = Effects::of(content);
    let parts = Parts {
        actions: &actions,
        features: &features,
        vector: &vector,
        sets: &rule_sets(content),
        caps: &caps,
        effects: &effects,
    };
    let mut surfaces = HashMap::new();
    for row in &content.surfaces {
        if let Some(mut surface) = surface(number, row, content, &parts) {
            let mut policies = content.policies.iter();
            let policy =
                policies.find(|policy| policy.surface == row.surface && !policy.for_variants);
            surface.policy = policy.and_then(policy_of);
            surface.index = surfaces.len();
            surface.arms = arms(&surface, content, &effects, &caps, policy_of);
            surfaces.insert(row.surface.clone(), surface);
        }
    }
    let mut scorers = surfaces.len();
    for row in &content.surfaces {
        let arms = surfaces.get_mut(&row.surface);
        let arms = arms.into_iter().flat_map(|surface| &mut surface.arms);
        for arm in arms.filter(|arm| arm.policy.is_some()) {
            arm.scorer = scorers;
            scorers += 1;
        }
    }
    let mut compiled = Compiled {
        surfaces,
        experiments: experiments(content),
        scorers,
        vector: vector
            .iter()
            .map(|&index| Reading::of(index, &features[index]))
            .collect(),
        entities,
        own_features: features,
        actions,
        outcome_types: OutcomeTypes::of(content, &contracts, &purposes, faults),
        contracts,
        purposes,
        context_fields: ContextFields::of(content),
        counted_by: counted_by(&caps),
        caps,
        regions: Regions::default(),
    };
    compiled.regions = regions(content, &compiled, faults);
    compiled
}

/// A model could not tell an attribute from a feature of actions with its name.
fn check_attributes(content: &Content, actions: &Actions, faults: &mut Faults) {
    let of_actions = content.features.iter().filter(|row| row.entity == "action");
    let of_actions: HashSet<&str> = of_actions.map(|row| row.feature.as_str()).collect();
    for (index, row) in content.actions.iter().enumerate() {
        let names = actions.attributes_of(index);
        for name in names.filter(|name| of_actions.contains(name)) {
            let reason = format!("attributes: \"{name}\" is the name of a feature of actions");
            faults.add("decide.action", &row.action, reason);
        }
    }
}

/// The policy of a row. A fault of its choice is found by `validate`.
pub(super) fn policy_of(row: &PolicyRow) -> Option<Policy> {
    let Choosing {
        choice,
        lower_bound,
    } = choosing(row).ok()?;
    let rule = choice.selection.rule();
    let model = row.model.as_ref().zip(row.model_version);
    Some(Policy {
        name: row.policy.clone(),
        choice,
        lower_bound,
        needs_scores: rule.needs_scores,
        needs_spreads: rule.needs_spreads || lower_bound.is_some_and(|bound| bound.gamma != 0.0),
        unique_on_page: row.unique_on_page,
        objective: Aim {
            kind: row.objective,
            value_attribute: row.value_attribute.clone(),
            cost_attribute: row.cost_attribute.clone(),
        },
        model: model.map(|(name, version)| Model {
            name: name.clone(),
            version,
            label: format!("{name}:{version}"),
        }),
    })
}

/// The rules that look at the action, numbered as in `decide.bundle_action`.
pub fn rule_sets(content: &Content) -> HashMap<&str, i32> {
    let mut sets = HashMap::new();
    for rule in content
        .actions
        .iter()
        .filter_map(|action| action.eligible_when.as_deref())
    {
        if looks_at_action(rule) {
            let next = sets.len() as i32;
            sets.entry(rule).or_insert(next);
        }
    }
    sets
}

fn features(content: &Content, purposes: &Purposes, faults: &mut Faults) -> Vec<Feature> {
    let mut features = Vec::new();
    for row in &content.features {
        match Feature::of(row) {
            Ok(feature) => features.push(Feature {
                needs: purposes.mask(row.purpose.as_deref()),
                ..feature
            }),
            Err(reason) => faults.add("decide.feature", &row.feature, reason),
        }
    }
    features
}
