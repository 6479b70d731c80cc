//! The policy of a surface from its row: its choice, and its model compiled for the actions of the surface.

use std::collections::HashMap;

use super::action::{Action, attribute, key_of_action};
use super::bundle::{Model, Policy, Surface};
use super::compile_surface::Parts;
use super::entity_snapshot::{self, EntityValues};
use super::faults::Faults;
use super::model_version;
use super::selection::choice;
use super::tables::PolicyRow;
use crate::math::model::{LinearModel, ModelError, Source, Value};
use crate::math::scorer::{Position, Scorer};

/// Model versions that have been read, or what is wrong with them; several surfaces share one.
pub type Models = HashMap<String, Result<Option<LinearModel>, String>>;

/// The policy of a row, as far as it is valid; what is not is among the faults.
pub fn policy_of(
    row: &PolicyRow,
    surface: &Surface,
    parts: &Parts<'_>,
    models: &mut Models,
    faults: &mut Faults,
) -> Option<Policy> {
    // A fault of the choice itself has been found by `validate` already.
    let choice = choice(row).ok()?;
    let model = match (&row.model, row.model_version) {
        (Some(name), Some(version)) => match model(name, version, surface, parts, models) {
            Ok(model) => Some(model),
            Err(reason) => {
                faults.add("decide.policy", &row.policy, reason);
                None
            }
        },
        _ => None,
    };
    let needs_scores = choice.selection.rule().needs_scores;
    Some(Policy {
        name: row.policy.clone(),
        choice,
        needs_scores,
        unique_on_page: row.unique_on_page,
        model,
    })
}

fn model(
    name: &str,
    version: i32,
    surface: &Surface,
    parts: &Parts<'_>,
    models: &mut Models,
) -> Result<Model, String> {
    let label = format!("{name}:{version}");
    let model = models
        .entry(label.clone())
        .or_insert_with(|| model_version::read(name, version, parts.switches))
        .as_ref()
        .map_err(|reason| format!("model {label}: {reason}"))?
        .as_ref()
        .ok_or(format!("model \"{name}\" has no version {version}"))?;
    let unfit = |reason: ModelError| {
        format!(
            "model {label} does not fit surface \"{}\": {reason}",
            surface.name
        )
    };
    features_of_surfaces(model, parts).map_err(unfit)?;
    let scorer = Scorer::compile(
        model,
        surface.actions.len(),
        &|i, source| fact(&surface.actions[i], source, surface, parts),
        &|source| position(source, surface, parts),
        &|field| surface.context_fields.iter().position(|f| f == field),
    )
    .map_err(unfit)?;
    Ok(Model { label, scorer })
}

/// Whether all that a model takes for features of surfaces are.
fn features_of_surfaces(model: &LinearModel, parts: &Parts<'_>) -> Result<(), ModelError> {
    for term in &model.terms {
        let mut sources = term.factors.iter().map(|factor| &factor.source);
        let unknown = sources.find(|source| {
            matches!(source, Source::Surface(_))
                && entity_snapshot::named(source, parts.features).is_none()
        });
        if let Some(source) = unknown {
            return Err(ModelError::UnknownSource {
                term: term.to_string(),
                source: source.clone(),
            });
        }
    }
    Ok(())
}

/// What a model sees of an action: an attribute, or else a feature of the action or of the surface.
fn fact<'a>(
    action: &'a Action,
    source: &Source,
    surface: &Surface,
    parts: &Parts<'_>,
) -> Value<'a> {
    match attribute(action, source) {
        Value::Missing => {
            let values = EntityValues {
                features: parts.features,
                snapshot: parts.snapshot,
                mask: parts.mask,
            };
            entity_snapshot::fact(source, values, &action.name, &surface.name)
        }
        value => value,
    }
}

/// Where a fact of the user stands among the inputs of a model: the vector, then a flag for each of
/// its features that is missing, then what is kept per key.
fn position(source: &Source, surface: &Surface, parts: &Parts<'_>) -> Option<Position> {
    let (name, is_flag) = match source {
        Source::User(name) => (name, false),
        Source::Missing(name) => (name, true),
        _ => return None,
    };
    let mut vector = parts.vector.iter();
    if let Some(index) = vector.position(|&i| parts.features[i].name == *name) {
        let flags = if is_flag { parts.vector.len() } else { 0 };
        return Some(Position::At(flags + index));
    }
    let mut kept = surface.affinities.kept.iter();
    let affinity = kept.find(|kept| parts.features[kept.feature].name == *name)?;
    let path = &parts.features[affinity.feature].key.as_ref()?.path;
    let first = 2 * parts.vector.len();
    let offset = |action: &Action| {
        let key = key_of_action(path, action, &surface.name)?;
        Some(first + affinity.offsets.get(&key)?)
    };
    (!is_flag).then(|| Position::ByAction(surface.actions.iter().map(offset).collect()))
}
