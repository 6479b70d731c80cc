//! A surface of a bundle from its row: the actions that it may show, their rules, affinities and limits.

use std::collections::HashMap;
use std::time::Duration;

use super::action::{Action, Actions};
use super::compile_experiments::{Effects, caps_for_variants};
use super::compiled::{Affinities, Affinity, ExperimentHere, Surface};
use super::feature::Feature;
use super::tables::{ActionRow, Content, SurfaceRow};
use super::visibility::{FeatureVisibility, visible_as};
use crate::caps::{Cap, Limits};
use crate::eligibility::{BoundAction, Rule, Rules, looks_at_action};

/// A latency budget beyond this one is cut to it.
const LONGEST_LATENCY_BUDGET: Duration = Duration::from_secs(86_400);

/// The parts of a bundle that its surfaces are compiled from.
pub struct Parts<'a> {
    pub actions: &'a Actions,
    pub features: &'a [Feature],
    pub vector: &'a [usize],
    pub sets: &'a HashMap<&'a str, i32>,
    pub caps: &'a [Cap],
    pub effects: &'a Effects<'a>,
}

/// The surface of a row without its policy; None if it has no fallback, which is a fault that was found before.
pub fn surface(
    bundle: i64,
    row: &SurfaceRow,
    content: &Content,
    parts: &Parts<'_>,
) -> Option<Surface> {
    let fallback = *parts.actions.get(row.fallback_action.as_deref()?)?;
    let rows = content.actions.iter().enumerate();
    let here = rows.filter(|(_, action)| is_on(action, &row.surface));
    let here: Vec<(usize, &ActionRow)> = here.collect();
    let experiments = parts.effects.experiments_on(&row.surface, content);
    let targets = experiments
        .iter()
        .filter_map(|&index| content.experiments[index].target_when.as_deref());
    let mut texts: Vec<&str> = here
        .iter()
        .filter_map(|(_, a)| a.eligible_when.as_deref())
        .chain(targets)
        .collect();
    texts.sort_unstable_by_key(|text| (looks_at_action(text), *text));
    texts.dedup();
    let numbers_of_rules: HashMap<&str, usize> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| (*text, number))
        .collect();
    let mut listed: Vec<Action> = here
        .iter()
        .map(|(index, row)| {
            let rule = row.eligible_when.as_deref();
            let rule = rule.and_then(|text| numbers_of_rules.get(text)).copied();
            parts.actions.at(*index).with_rule(rule)
        })
        .collect();
    listed.sort_unstable_by_key(|action| action.number);
    let numbers: Vec<i32> = listed.iter().map(|action| action.number).collect();
    let mut bound = vec![Vec::new(); texts.len()];
    for action in &listed {
        if let Some(rule) = action.rule() {
            bound[rule].push(action.number);
        }
    }
    // The rows are in order of their numbers.
    let bound_row = |set: i32, number: i32| {
        let index = here.binary_search_by_key(&number, |(_, row)| row.number);
        let (_, action) = here.get(index.ok()?)?;
        Some(BoundAction {
            bundle,
            surface: &row.surface,
            set,
            number,
            action: &action.action,
            campaign: action.campaign.as_deref(),
            surfaces: &action.surfaces,
            attributes: action.attributes.get(),
            cost: action.cost,
        })
    };
    let rules = texts.iter().zip(bound).map(|(text, actions)| {
        let set = parts.sets.get(text).copied();
        Rule::new(text, set, &actions, bound_row)
    });
    let rules = rules.collect();
    let vector = parts.vector.iter().map(|&i| &parts.features[i]);
    let names: Vec<String> = vector.map(|feature| feature.name.clone()).collect();
    let affinities = affinities(&row.surface, &listed, parts);
    let for_variants = caps_for_variants(content);
    let limits = Limits::of(&row.surface, &numbers, parts.caps, &for_variants);
    let left_out = here.iter().filter(|(_, action)| action.for_variants);
    let mut left_out: Vec<i32> = left_out.map(|(_, action)| action.number).collect();
    left_out.sort_unstable();
    let experiments = experiments.into_iter().map(|experiment| {
        let target = content.experiments[experiment].target_when.as_deref();
        let rule = target.and_then(|text| numbers_of_rules.get(text)).copied();
        ExperimentHere { experiment, rule }
    });
    let experiments = experiments.collect();
    Some(Surface {
        index: 0,
        limits,
        name: row.surface.clone(),
        slots: row.slots,
        latency_budget: Duration::from_micros(row.latency_budget_us as u64)
            .min(LONGEST_LATENCY_BUDGET),
        fallback,
        baseline: baseline(row, parts),
        context_fields: row.context_fields.clone(),
        actions: listed.into(),
        rules: Rules::new(bundle, &row.surface, &names, rules),
        affinities,
        policy: None,
        experiments,
        arms: Vec::new(),
        left_out: left_out.into(),
    })
}

/// Whether an action may be shown on a surface.
pub fn is_on(action: &ActionRow, surface: &str) -> bool {
    action.surfaces.is_empty() || action.surfaces.iter().any(|name| name == surface)
}

/// The number of the action over which uplift is told.
fn baseline(row: &SurfaceRow, parts: &Parts<'_>) -> Option<i32> {
    let action = parts.actions.get(row.baseline_action.as_deref()?)?;
    Some(action.number)
}

/// An offset for each key of each feature that is kept per key and that an action here has.
fn affinities(surface: &str, actions: &[Action], parts: &Parts<'_>) -> Affinities {
    let mut all = Affinities::default();
    for feature in visible_as(parts.features, FeatureVisibility::PerKey) {
        let Some(keyed) = &parts.features[feature].key else {
            continue;
        };
        let mut offsets = HashMap::new();
        for key in actions
            .iter()
            .filter_map(|action| parts.actions.key(&keyed.path, action, surface))
        {
            offsets.entry(key).or_insert_with(|| {
                all.len += 1;
                all.len - 1
            });
        }
        all.kept.push(Affinity::new(feature, offsets));
    }
    all
}
