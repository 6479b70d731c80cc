//! From the published tables to a bundle: the same for a publish, which checks it, and for each
//! backend, which keeps it.

use std::collections::HashMap;

use super::action::{Action, attributes};
use super::bundle::{Bundle, moved_by};
use super::caps;
use super::compile_policy::{Models, policy_of};
use super::compile_surface::{Parts, surface};
use super::contract::contracts;
use super::entity_snapshot::EntitySnapshot;
use super::faults::Faults;
use super::feature::Feature;
use super::reading::Reading;
use super::tables::Content;
use super::visibility::{FeatureMask, FeatureVisibility, visible_as};
use crate::caps::counted_by;
use crate::eligibility::looks_at_action;
use crate::govern::switches::{Kind, Switches};
use crate::pg::clock;

/// Compiles what can be compiled, the models with the values of a snapshot and when it was taken, and
/// without what the switches kill; what cannot is among the faults. Needs an open session.
pub fn compile(
    number: i64,
    content: &Content,
    snapshot: Option<&(i64, EntitySnapshot)>,
    switches: Switches,
    faults: &mut Faults,
) -> Bundle {
    let features = features(content, faults);
    let mask = FeatureMask::of(&features, &switches);
    let vector = visible_as(&features, FeatureVisibility::Vector);
    let entities = visible_as(&features, FeatureVisibility::Entity);
    let snapshot = snapshot.filter(|_| !entities.is_empty());
    let actions = actions(content, &switches, faults);
    let sets = rule_sets(content);
    let caps = caps::caps(content, faults);
    let mut models = Models::new();
    let mut surfaces = HashMap::new();
    for row in &content.surfaces {
        let parts = Parts {
            actions: &actions,
            features: &features,
            vector: &vector,
            sets: &sets,
            caps: &caps,
            snapshot: snapshot.map(|(_, values)| values),
            mask: &mask,
            switches: &switches,
        };
        if let Some(mut surface) = surface(number, row, content, &parts) {
            let policy = content
                .policies
                .iter()
                .find(|policy| policy.surface == row.surface);
            surface.policy =
                policy.and_then(|row| policy_of(row, &surface, &parts, &mut models, faults));
            surfaces.insert(row.surface.clone(), surface);
        }
    }
    Bundle {
        number,
        surfaces,
        vector: vector
            .iter()
            .map(|&index| Reading::of(index, &features[index]))
            .collect(),
        entities,
        snapshot: snapshot.map(|(taken_at, _)| *taken_at),
        moved_by: moved_by(&features),
        own: features.len(),
        features,
        mask,
        actions: by_any_name(content, &actions),
        contracts: contracts(content, faults),
        switches,
        counted_by: counted_by(&caps),
        caps,
    }
}

/// Actions by their names, and by those that they had before.
fn by_any_name(content: &Content, actions: &HashMap<&str, Action>) -> HashMap<String, Action> {
    let mut named: HashMap<String, Action> = HashMap::new();
    for row in &content.actions {
        let action = &actions[row.action.as_str()];
        for name in row
            .former
            .iter()
            .filter(|name| !actions.contains_key(name.as_str()))
        {
            named.insert(name.clone(), action.clone());
        }
        named.insert(row.action.clone(), action.clone());
    }
    named
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

fn features(content: &Content, faults: &mut Faults) -> Vec<Feature> {
    let mut features = Vec::new();
    for row in &content.features {
        match Feature::of(row) {
            Ok(feature) => features.push(feature),
            Err(reason) => faults.add("decide.feature", &row.feature, reason),
        }
    }
    features
}

fn actions<'a>(
    content: &'a Content,
    switches: &Switches,
    faults: &mut Faults,
) -> HashMap<&'a str, Action> {
    let dates: HashMap<&str, (i64, i64)> = content
        .campaigns
        .iter()
        .map(|row| {
            let starts = row.starts_us.map_or(i64::MIN, clock::from_unix_micros);
            let ends = row.ends_us.map_or(i64::MAX, clock::from_unix_micros);
            (row.campaign.as_str(), (starts, ends))
        })
        .collect();
    let mut actions = HashMap::new();
    for row in &content.actions {
        let campaign = row.campaign.as_deref().and_then(|name| dates.get(name));
        let (starts, ends) = campaign.copied().unwrap_or((i64::MIN, i64::MAX));
        let attributes = attributes(row).unwrap_or_else(|reason| {
            faults.add("decide.action", &row.action, reason);
            HashMap::new()
        });
        let name = row.action.clone();
        let mut campaign = row.campaign.iter();
        let killed = switches.kill(Kind::Action, &name)
            || campaign.any(|name| switches.kill(Kind::Campaign, name));
        let action = Action {
            number: row.number,
            name,
            starts,
            ends,
            killed,
            rule: None,
            attributes,
        };
        actions.insert(row.action.as_str(), action);
    }
    actions
}
