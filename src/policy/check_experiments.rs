//! What can be wrong with running experiments, and with two of them together.

use std::collections::{HashMap, HashSet};

use super::compile_experiments::{Effects, leaves_out};
use super::experiment::{CONTEXT, Experiment, USER};
use super::faults::Faults;
use super::name::is_name;
use super::tables::{Content, ExperimentRow, VariantRow};
use crate::eligibility::looks_at_action;
use crate::error::printable;

const EXPERIMENT: &str = "decide.experiment";
const VARIANT: &str = "decide.variant";

/// Whether a variant of a running experiment has that policy.
pub fn is_of_variant(policy: &str, content: &Content) -> bool {
    let mut variants = content.experiments.iter().flat_map(|row| &row.variants);
    variants.any(|variant| variant.policy.as_deref() == Some(policy))
}

pub fn check(content: &Content, faults: &mut Faults) {
    for row in &content.experiments {
        check_terms(row, content, faults);
        check_variants(row, content, faults);
        check_overrides(row, faults);
    }
    check_pairs(content, faults);
}

fn check_terms(row: &ExperimentRow, content: &Content, faults: &mut Faults) {
    let mut add = |reason: String| faults.add(EXPERIMENT, &row.experiment, reason);
    if let Some(surface) = &row.surface
        && !content.surfaces.iter().any(|of| of.surface == *surface)
    {
        let surface = printable(surface);
        add(format!("surface \"{surface}\" is not in decide.surface"));
    }
    let field = row.unit.strip_prefix(CONTEXT);
    if row.unit != USER && !field.is_some_and(is_name) {
        let unit = printable(&row.unit);
        add(format!(
            "unit \"{unit}\" is neither \"{USER}\" nor \"{CONTEXT}\" and the name of a context field"
        ));
    }
    let mut here = content.surfaces.iter();
    let unkept = here.find(|surface| {
        let is_here = row
            .surface
            .as_ref()
            .is_none_or(|own| *own == surface.surface);
        let keeps = |field: &str| surface.context_fields.iter().any(|own| own == field);
        is_here && field.is_some_and(|field| !keeps(field))
    });
    if let Some(surface) = unkept {
        let (unit, surface) = (printable(&row.unit), printable(&surface.surface));
        add(format!(
            "unit \"{unit}\" is not among the context_fields of surface \"{surface}\", so that traces do not keep it"
        ));
    }
    if row.sticky && row.unit != USER {
        add("sticky: only of users is kept which variant they had".into());
    }
    if row.namespace_from >= row.namespace_to {
        add("namespace_from is not less than namespace_to".into());
    }
    if let Some(rule) = &row.target_when
        && looks_at_action(rule)
    {
        add("target_when: it names action, and an experiment is for all actions".into());
    }
    let mut before = (i64::MIN, row.coverage);
    for step in &row.ramp {
        if step.at_us <= before.0 {
            add("ramp_times: each must be later than the one before".into());
        }
        if step.coverage < before.1 {
            add("ramp_coverages: a ramp only adds, beginning with coverage".into());
        }
        before = (step.at_us, step.coverage);
    }
}

fn check_variants(row: &ExperimentRow, content: &Content, faults: &mut Faults) {
    let mut add = |reason: String| faults.add(EXPERIMENT, &row.experiment, reason);
    if row.variants.len() < 2 {
        add("it has fewer than two variants in decide.variant".into());
    }
    if !row.variants.iter().any(|of| of.weight > 0.0) {
        add("no variant has a weight".into());
    }
    let positions = row.variants.iter().map(|of| of.position);
    if !positions.eq(0..row.variants.len() as i16) {
        add("the positions of its variants are not 0, 1, 2 and so on".into());
    }
    for variant in &row.variants {
        check_variant(row, variant, content, faults);
    }
}

fn check_variant(
    row: &ExperimentRow,
    variant: &VariantRow,
    content: &Content,
    faults: &mut Faults,
) {
    let name = format!("{} {}", row.experiment, variant.variant);
    let mut add = |reason: String| faults.add(VARIANT, &name, reason);
    if !is_name(&variant.variant) {
        add(
            "not a valid name: 1 to 200 characters, no control characters, no blanks around it"
                .into(),
        );
    }
    if let Some(policy) = &variant.policy {
        let shown = printable(policy);
        match content.policies.iter().find(|of| of.policy == *policy) {
            None => add(format!("policy \"{shown}\" is not in decide.policy")),
            Some(own) if row.surface.as_ref().is_some_and(|of| *of != own.surface) => add(format!(
                "policy \"{shown}\" is of surface \"{}\"",
                printable(&own.surface)
            )),
            Some(_) => {}
        }
    }
    let mut absent = |kind: &str, column: &str, names: &[String], known: &HashSet<&str>| {
        for name in names.iter().filter(|name| !known.contains(name.as_str())) {
            let name = printable(name);
            add(format!("{column}: \"{name}\" is not in decide.{kind}"));
        }
    };
    let actions = content.actions.iter().map(|of| of.action.as_str());
    let actions: HashSet<&str> = actions.collect();
    absent(
        "action",
        "without_actions",
        &variant.without_actions,
        &actions,
    );
    absent("action", "with_actions", &variant.with_actions, &actions);
    let campaigns = content.campaigns.iter().map(|of| of.campaign.as_str());
    let campaigns: HashSet<&str> = campaigns.collect();
    absent(
        "campaign",
        "without_campaigns",
        &variant.without_campaigns,
        &campaigns,
    );
    let caps = content.caps.iter().map(|of| of.cap.as_str());
    let caps: HashSet<&str> = caps.collect();
    absent("cap", "without_caps", &variant.without_caps, &caps);
    absent("cap", "with_caps", &variant.with_caps, &caps);
    let own = |names: &[String], name: &str| names.iter().any(|own| own == name);
    let mut actions = content.actions.iter();
    if let Some(action) =
        actions.find(|of| !of.for_variants && own(&variant.with_actions, &of.action))
    {
        let action = printable(&action.action);
        add(format!(
            "with_actions: \"{action}\" is not for_variants, so that everybody gets it"
        ));
    }
    let mut caps = content.caps.iter();
    if let Some(cap) = caps.find(|of| !of.for_variants && own(&variant.with_caps, &of.cap)) {
        let cap = printable(&cap.cap);
        add(format!(
            "with_caps: \"{cap}\" is not for_variants, so that it binds everybody"
        ));
    }
    if let Some(wanted) = &variant.without_attributes
        && !content.actions.iter().any(|of| leaves_out(variant, of))
        && !wanted.is_empty()
    {
        add("without_attributes: no action has them".into());
    }
}

fn check_overrides(row: &ExperimentRow, faults: &mut Faults) {
    for of in &row.overrides {
        if !row.variants.iter().any(|own| own.variant == of.variant) {
            let name = format!("{} {} {}", row.experiment, of.field, of.value);
            let variant = printable(&of.variant);
            let reason = format!("variant \"{variant}\" is not in decide.variant");
            faults.add("decide.experiment_override", &name, reason);
        }
    }
}

/// Traces, and the rows of users, know variants by their positions: while an experiment runs they stay.
pub fn check_positions(content: &Content, in_force: &[Experiment], faults: &mut Faults) {
    for row in &content.experiments {
        let mut running = in_force.iter();
        let Some(before) = running.find(|of| of.number == row.number) else {
            continue;
        };
        for (position, variant) in before.variants.iter().enumerate() {
            let has_moved = |of: &&VariantRow| {
                of.variant == variant.name && usize::try_from(of.position) != Ok(position)
            };
            if row.variants.iter().any(|of| has_moved(&of)) {
                let name = format!("{} {}", row.experiment, variant.name);
                let reason = format!(
                    "it has position {position} while the experiment runs: traces know it by that"
                );
                faults.add(VARIANT, &name, reason);
            }
        }
    }
}

/// Two experiments must not change one surface for one unit: what came of it could be told of neither.
fn check_pairs(content: &Content, faults: &mut Faults) {
    let effects = Effects::of(content);
    let mut by_surface: HashMap<&str, Vec<&ExperimentRow>> = HashMap::new();
    for surface in &content.surfaces {
        for (index, row) in content.experiments.iter().enumerate() {
            if effects.change(index, &surface.surface, content) {
                by_surface.entry(&surface.surface).or_default().push(row);
            }
        }
    }
    for (surface, rows) in by_surface {
        for (at, one) in rows.iter().enumerate() {
            for other in &rows[at + 1..] {
                if are_exclusive(one, other) {
                    continue;
                }
                let reason = format!(
                    "it changes surface \"{}\" as experiment \"{}\" does, for the same users: \
                     give both one namespace with ranges that do not overlap, and the same unit",
                    printable(surface),
                    printable(&other.experiment)
                );
                faults.add(EXPERIMENT, &one.experiment, reason);
            }
        }
    }
}

/// Whether no unit is in both.
fn are_exclusive(one: &ExperimentRow, other: &ExperimentRow) -> bool {
    let share_no_range =
        one.namespace_to <= other.namespace_from || other.namespace_to <= one.namespace_from;
    one.namespace.is_some()
        && one.namespace == other.namespace
        && one.unit == other.unit
        && share_no_range
}
