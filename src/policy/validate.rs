//! Everything that can be wrong with policy tables, found all at once.

use std::collections::{HashMap, HashSet};

use super::caps;
use super::check_experiments::{self, is_of_variant};
use super::compile_surface::is_on;
use super::faults::Faults;
use super::feature::Feature;
use super::name::is_name;
use super::selection::choosing;
use super::tables::{Content, ObjectiveKind, SurfaceRow};
use crate::error::printable;

/// Checks what can be told from the tables alone. Rules and models are checked where they are
/// compiled.
pub fn check(content: &Content, faults: &mut Faults) {
    names(content, faults);
    let actions: HashSet<&str> = content.actions.iter().map(|a| a.action.as_str()).collect();
    if content.surfaces.is_empty() {
        faults.add("decide.surface", "", "there is no surface");
    }
    for surface in &content.surfaces {
        match &surface.fallback_action {
            None => faults.add(
                "decide.surface",
                &surface.surface,
                "it has no fallback_action",
            ),
            Some(action) if !actions.contains(action.as_str()) => faults.add(
                "decide.surface",
                &surface.surface,
                format!("fallback_action \"{action}\" is not in decide.action"),
            ),
            Some(_) => {}
        }
        check_baseline(surface, content, faults);
        let mut seen = HashSet::new();
        for field in &surface.context_fields {
            if !is_name(field) {
                faults.add(
                    "decide.surface",
                    &surface.surface,
                    format!("context_fields: \"{field}\" is not a valid name"),
                );
            } else if !seen.insert(field) {
                faults.add(
                    "decide.surface",
                    &surface.surface,
                    format!("context_fields has \"{field}\" twice"),
                );
            }
        }
    }
    references(content, faults);
    for feature in &content.features {
        if let Err(reason) = Feature::of(feature) {
            faults.add("decide.feature", &feature.feature, reason);
        }
    }
    caps::check_fallbacks(content, faults);
    check_experiments::check(content, faults);
    let mut policy_of: HashMap<&str, &str> = HashMap::new();
    for policy in &content.policies {
        // One that no running experiment has is a draft.
        if policy.for_variants && !is_of_variant(&policy.policy, content) {
            continue;
        }
        let other = match policy.for_variants {
            true => None,
            false => policy_of.insert(&policy.surface, &policy.policy),
        };
        if let Some(other) = other {
            faults.add(
                "decide.policy",
                &policy.policy,
                format!(
                    "surface \"{}\" already has policy \"{other}\"",
                    policy.surface
                ),
            );
        }
        if let Err(reason) = choosing(policy) {
            faults.add("decide.policy", &policy.policy, reason);
        }
        if policy.model.is_none() && policy.objective != ObjectiveKind::Response {
            let reason = "its objective needs a model";
            faults.add("decide.policy", &policy.policy, reason);
        }
        if let (Some(model), None) = (&policy.model, policy.model_version) {
            faults.add(
                "decide.policy",
                &policy.policy,
                format!("model \"{model}\" has no approved version"),
            );
        }
    }
}

/// The baseline of a surface must be one of its actions, or no model could score it there.
fn check_baseline(surface: &SurfaceRow, content: &Content, faults: &mut Faults) {
    let Some(baseline) = &surface.baseline_action else {
        return;
    };
    let mut actions = content.actions.iter();
    let reason = match actions.find(|action| action.action == *baseline) {
        Some(action) if is_on(action, &surface.surface) => return,
        Some(_) => "may not be shown on this surface",
        None => "is not in decide.action",
    };
    let reason = format!("baseline_action \"{}\" {reason}", printable(baseline));
    faults.add("decide.surface", &surface.surface, reason);
}

/// What rows name must be there: no foreign key sees to it.
fn references(content: &Content, faults: &mut Faults) {
    let surfaces: HashSet<&str> = content
        .surfaces
        .iter()
        .map(|row| row.surface.as_str())
        .collect();
    let campaigns: HashSet<&str> = content
        .campaigns
        .iter()
        .map(|row| row.campaign.as_str())
        .collect();
    let actions: HashSet<&str> = content
        .actions
        .iter()
        .map(|row| row.action.as_str())
        .collect();
    let mut must_be_there = |table, row: &str, kind: &str, name: Option<&str>| {
        let there = match kind {
            "surface" => &surfaces,
            "campaign" => &campaigns,
            _ => &actions,
        };
        if let Some(name) = name.filter(|name| !there.contains(name)) {
            let name = printable(name);
            faults.add(
                table,
                row,
                format!("{kind} \"{name}\" is not in decide.{kind}"),
            );
        }
    };
    for action in &content.actions {
        let campaign = action.campaign.as_deref();
        must_be_there("decide.action", &action.action, "campaign", campaign);
        for surface in &action.surfaces {
            must_be_there("decide.action", &action.action, "surface", Some(surface));
        }
    }
    for cap in &content.caps {
        must_be_there("decide.cap", &cap.cap, "surface", cap.surface.as_deref());
        must_be_there("decide.cap", &cap.cap, "campaign", cap.campaign.as_deref());
        must_be_there("decide.cap", &cap.cap, "action", cap.action.as_deref());
    }
    for policy in &content.policies {
        let surface = Some(policy.surface.as_str());
        must_be_there("decide.policy", &policy.policy, "surface", surface);
    }
}

fn names(content: &Content, faults: &mut Faults) {
    let mut check = |table, names: &mut dyn Iterator<Item = &String>| {
        for name in names.filter(|name| !is_name(name)) {
            faults.add(
                table,
                &printable(name),
                "not a valid name: 1 to 200 characters, no control characters, no blanks around it",
            );
        }
    };
    check(
        "decide.surface",
        &mut content.surfaces.iter().map(|r| &r.surface),
    );
    check(
        "decide.campaign",
        &mut content.campaigns.iter().map(|r| &r.campaign),
    );
    check(
        "decide.action",
        &mut content.actions.iter().map(|r| &r.action),
    );
    check(
        "decide.feature",
        &mut content.features.iter().map(|r| &r.feature),
    );
    check("decide.cap", &mut content.caps.iter().map(|r| &r.cap));
    check(
        "decide.policy",
        &mut content.policies.iter().map(|r| &r.policy),
    );
    check(
        "decide.experiment",
        &mut content.experiments.iter().map(|r| &r.experiment),
    );
    check(
        "decide.event_type",
        &mut content.event_types.iter().map(|r| &r.event_type),
    );
    check(
        "decide.purpose",
        &mut content.purposes.iter().map(|r| &r.purpose),
    );
    check(
        "decide.outcome_type",
        &mut content.outcome_types.iter().map(|r| &r.outcome_type),
    );
}
