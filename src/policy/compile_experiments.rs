//! What variants make of surfaces: arms, each with what it puts in the place of the surface's own.

use super::compiled::{Arm, Policy, Surface};
use super::experiment::Experiment;
use super::tables::{ActionRow, CapRow, Content, ExperimentRow, PolicyRow, VariantRow};
use crate::caps::{Cap, Limits};

/// The running experiments of a bundle.
pub fn experiments(content: &Content) -> Vec<Experiment> {
    content.experiments.iter().map(Experiment::of).collect()
}

/// The numbers of the caps that bind only where a variant puts them in.
pub fn caps_for_variants(content: &Content) -> Vec<i32> {
    let caps = content.caps.iter().filter(|cap| cap.for_variants);
    caps.map(|cap| cap.number).collect()
}

/// The actions that each variant of each experiment takes out or puts in, wherever they are shown.
pub struct Effects<'a>(Vec<Vec<Vec<&'a ActionRow>>>);

impl<'a> Effects<'a> {
    pub fn of(content: &'a Content) -> Effects<'a> {
        let of_variant = |variant: &VariantRow| match takes_out(variant) {
            false => Vec::new(),
            true => {
                let actions = content.actions.iter();
                let actions = actions.filter(|of| leaves_out(variant, of) || puts_in(variant, of));
                actions.collect()
            }
        };
        let rows = content.experiments.iter();
        Effects(
            rows.map(|row| row.variants.iter().map(of_variant).collect())
                .collect(),
        )
    }

    /// Those of a surface.
    fn moved(
        &self,
        experiment: usize,
        variant: usize,
        surface: &str,
    ) -> impl Iterator<Item = &ActionRow> {
        let actions = self.0[experiment][variant].iter().copied();
        actions.filter(move |action| is_shown(action, surface))
    }

    /// Whether an experiment may change what a surface shows.
    pub fn change(&self, experiment: usize, surface: &str, content: &Content) -> bool {
        let row = &content.experiments[experiment];
        let mut variants = row.variants.iter().enumerate();
        row.surface.as_ref().is_none_or(|own| own == surface)
            && variants.any(|(index, variant)| {
                let mut caps = content.caps.iter();
                own_policy(variant, surface, &content.policies).is_some()
                    || self.moved(experiment, index, surface).next().is_some()
                    || caps.any(|cap| moves_cap(variant, cap) && may_bind(cap, surface))
            })
    }

    /// The indexes of the experiments that requests for a surface are assigned in: those of the surface; of those for all surfaces
    /// the ones that may change something there, hand out a payload, or change nothing anywhere.
    pub fn experiments_on(&self, surface: &str, content: &Content) -> Vec<usize> {
        let rows = content.experiments.iter().enumerate();
        let here = rows.filter(|(index, row)| match &row.surface {
            Some(own) => own == surface,
            None => {
                let has_payload = row.variants.iter().any(|of| of.payload.is_some());
                has_payload || changes_nothing(row) || self.change(*index, surface, content)
            }
        });
        here.map(|(index, _)| index).collect()
    }
}

fn changes_nothing(row: &ExperimentRow) -> bool {
    let mut variants = row.variants.iter();
    variants.all(|of| {
        of.policy.is_none()
            && !takes_out(of)
            && of.without_caps.is_empty()
            && of.with_caps.is_empty()
    })
}

fn takes_out(variant: &VariantRow) -> bool {
    let has_attributes = variant.without_attributes.as_ref();
    !variant.without_actions.is_empty()
        || !variant.with_actions.is_empty()
        || !variant.without_campaigns.is_empty()
        || has_attributes.is_some_and(|wanted| !wanted.is_empty())
}

/// Whether a variant puts an action in that others do not get.
fn puts_in(variant: &VariantRow, action: &ActionRow) -> bool {
    action.for_variants && variant.with_actions.contains(&action.action)
}

/// Whether a variant takes a cap out, or puts it in.
fn moves_cap(variant: &VariantRow, cap: &CapRow) -> bool {
    match cap.for_variants {
        true => variant.with_caps.contains(&cap.cap),
        false => variant.without_caps.contains(&cap.cap),
    }
}

fn is_shown(action: &ActionRow, surface: &str) -> bool {
    action.surfaces.is_empty() || action.surfaces.iter().any(|own| own == surface)
}

fn may_bind(cap: &CapRow, surface: &str) -> bool {
    cap.surface.as_ref().is_none_or(|own| own == surface)
}

/// The policy of a variant, if it is of that surface.
fn own_policy<'a>(
    variant: &VariantRow,
    surface: &str,
    policies: &'a [PolicyRow],
) -> Option<&'a PolicyRow> {
    let name = variant.policy.as_ref()?;
    let own = policies.iter().find(|policy| policy.policy == *name)?;
    (own.surface == surface).then_some(own)
}

/// Whether a variant takes an action out.
pub fn leaves_out(variant: &VariantRow, action: &ActionRow) -> bool {
    variant.without_actions.contains(&action.action)
        || action
            .campaign
            .as_ref()
            .is_some_and(|campaign| variant.without_campaigns.contains(campaign))
        || variant
            .without_attributes
            .as_ref()
            .is_some_and(|wanted| has_attributes(action, wanted))
}

/// Whether an action has all these attributes: of an array one element is enough.
fn has_attributes(action: &ActionRow, wanted: &serde_json::Map<String, serde_json::Value>) -> bool {
    let own = serde_json::from_str(action.attributes.get());
    let own: serde_json::Map<String, serde_json::Value> = own.unwrap_or_default();
    let has = |(name, value): (&String, &serde_json::Value)| match own.get(name) {
        Some(serde_json::Value::Array(elements)) => elements.contains(value),
        own => own == Some(value),
    };
    !wanted.is_empty() && wanted.iter().all(has)
}

/// What the variants of the experiments on a surface make of it. The indexes of their models are given later.
pub fn arms(
    surface: &Surface,
    content: &Content,
    effects: &Effects<'_>,
    caps: &[Cap],
    policy_of: fn(&PolicyRow) -> Option<Policy>,
) -> Vec<Arm> {
    let mut arms = Vec::new();
    let here = surface.experiments.iter().map(|of| of.experiment);
    for experiment in here {
        let variants = content.experiments[experiment].variants.iter().enumerate();
        for (index, variant) in variants {
            let policy = own_policy(variant, &surface.name, &content.policies);
            let moved: Vec<&ActionRow> = effects.moved(experiment, index, &surface.name).collect();
            let caps_moved = content.caps.iter();
            let caps_moved =
                caps_moved.filter(|cap| moves_cap(variant, cap) && may_bind(cap, &surface.name));
            let caps_moved: Vec<i32> = caps_moved.map(|cap| cap.number).collect();
            if policy.is_none() && moved.is_empty() && caps_moved.is_empty() {
                continue;
            }
            let mut left_out: Vec<i32> = surface.left_out.to_vec();
            left_out.retain(|number| !moved.iter().any(|of| of.number == *number));
            let taken_out = moved.iter().filter(|action| leaves_out(variant, action));
            left_out.extend(taken_out.map(|action| action.number));
            left_out.sort_unstable();
            left_out.dedup();
            let limits = (!caps_moved.is_empty()).then(|| {
                let numbers: Vec<i32> = surface.actions.iter().map(|of| of.number).collect();
                // Of both lists, those that are in one of them.
                let mut without = caps_for_variants(content);
                for number in &caps_moved {
                    match without.iter().position(|of| of == number) {
                        Some(at) => drop(without.swap_remove(at)),
                        None => without.push(*number),
                    }
                }
                Limits::of(&surface.name, &numbers, caps, &without)
            });
            arms.push(Arm {
                experiment,
                variant: index,
                policy: policy.and_then(policy_of),
                scorer: surface.index,
                limits,
                left_out: left_out.into(),
            });
        }
    }
    arms
}
