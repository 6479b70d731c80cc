//! The models of a bundle, each compiled for the actions of its surface, at one snapshot of features and without what
//! is killed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::compiled::{Aim, Compiled, Model, Policy, Surface};
use super::entity_snapshot::{self, EntitySnapshot, EntityValues};
use super::faults::Faults;
use super::model_version::{self, ModelVersion};
use super::tables::ObjectiveKind;
use super::visibility::FeatureMask;
use crate::error::printable;
use crate::govern::switches::Switches;
use crate::math::model::{LinearModel, ModelError, Source, Value};
use crate::math::scorer::{Objective, Position, Scorer, Worth};

/// How many actions a fault names.
const MOST_NAMED: usize = 20;

/// By the index of the surface; behind these those of variants.
#[derive(Default, Serialize, Deserialize)]
pub struct Scorers(Vec<Option<Scorer>>);

/// What models look at besides the bundle.
#[derive(Clone, Copy)]
pub struct ModelInputs<'a> {
    pub snapshot: Option<&'a EntitySnapshot>,
    pub switches: &'a Switches,
}

/// Model versions that have been read, or what is wrong with them; several surfaces share one.
type Models = HashMap<String, Result<Option<ModelVersion>, String>>;

impl Scorers {
    /// Compiles the models of all surfaces; what is wrong with them is among the faults.
    pub fn compile(bundle: &Compiled, inputs: ModelInputs<'_>, faults: &mut Faults) -> Scorers {
        let mask = FeatureMask::of(&bundle.own_features, inputs.switches);
        let mut models = Models::new();
        let mut scorers = Vec::new();
        scorers.resize_with(bundle.scorers, || None);
        let mut surfaces: Vec<&Surface> = bundle.surfaces.values().collect();
        surfaces.sort_unstable_by_key(|surface| surface.index);
        for surface in surfaces {
            for (index, policy) in surface.policies() {
                let Some(model) = &policy.model else {
                    continue;
                };
                let parts = Parts {
                    bundle,
                    surface,
                    snapshot: inputs.snapshot,
                    mask: &mask,
                };
                match parts.scorer(policy, model, inputs.switches, &mut models) {
                    Ok(scorer) => scorers[index] = Some(scorer),
                    Err(reason) => faults.add("decide.policy", &policy.name, reason),
                }
            }
        }
        Scorers(scorers)
    }

    /// That of a policy, if it has a model.
    pub fn of(&self, index: usize) -> Option<&Scorer> {
        self.0.get(index)?.as_ref()
    }
}

/// What the model of a surface is compiled from.
struct Parts<'a> {
    bundle: &'a Compiled,
    surface: &'a Surface,
    snapshot: Option<&'a EntitySnapshot>,
    mask: &'a FeatureMask,
}

impl Parts<'_> {
    fn scorer(
        &self,
        policy: &Policy,
        model: &Model,
        switches: &Switches,
        models: &mut Models,
    ) -> Result<Scorer, String> {
        let Model {
            name,
            version,
            label,
        } = model;
        let ModelVersion { model, covariance } = models
            .entry(label.clone())
            .or_insert_with(|| model_version::read(name, *version, switches))
            .as_ref()
            .map_err(|reason| format!("model {label}: {reason}"))?
            .as_ref()
            .ok_or(format!("model \"{name}\" has no version {version}"))?;
        if policy.needs_spreads && covariance.is_none() {
            let selection = policy.choice.selection.rule();
            let what = match selection.needs_spreads {
                true => format!("selection \"{}\"", selection.name),
                false => "params: min_lower_bound".to_owned(),
            };
            return Err(format!(
                "{what} looks at how sure a model is, and model {label} has no covariance: \
                 train it with posterior => true"
            ));
        }
        let surface = self.surface;
        let unfit = |reason: ModelError| {
            format!(
                "model {label} does not fit surface \"{}\": {reason}",
                surface.name
            )
        };
        self.check_features_of_surfaces(model).map_err(unfit)?;
        Scorer::compile(
            model,
            covariance.as_ref().filter(|_| policy.needs_spreads),
            self.objective(&policy.objective)?,
            surface.actions.len(),
            &|i, source| self.fact(&surface.actions[i], source),
            &|source| self.position(source),
            &|field| surface.context_fields.iter().position(|f| f == field),
        )
        .map_err(unfit)
    }

    /// What the scores of the surface's actions say.
    fn objective(&self, aim: &Aim) -> Result<Objective, String> {
        let surface = self.surface;
        let name = &surface.name;
        let mut actions = surface.actions.iter();
        let baseline = actions.position(|action| Some(action.number) == surface.baseline);
        match aim.kind {
            ObjectiveKind::Response => Ok(Objective::default()),
            ObjectiveKind::Uplift => match baseline {
                None => Err(format!(
                    "objective uplift: surface \"{name}\" has no baseline_action among its actions"
                )),
                Some(_) => Ok(Objective {
                    baseline,
                    worths: None,
                }),
            },
            ObjectiveKind::Value => {
                let (mut worths, mut faults) = (Vec::new(), Vec::new());
                let attribute = aim.value_attribute.as_deref().unwrap_or_default();
                self.amounts(attribute, &mut faults, |index, of_unit| {
                    // An increment of nothing has no worth, whatever a unit of it has.
                    let of_unit = of_unit.or(Some(0.0).filter(|_| Some(index) == baseline));
                    worths.push(Worth {
                        of_unit: of_unit.unwrap_or_default(),
                        cost: 0.0,
                    });
                    of_unit.is_some()
                });
                if let Some(attribute) = &aim.cost_attribute {
                    self.amounts(attribute, &mut faults, |index, cost| {
                        worths[index].cost = cost.unwrap_or_default();
                        cost.is_some()
                    });
                }
                match faults.is_empty() {
                    true => Ok(Objective {
                        baseline,
                        worths: Some(worths.into()),
                    }),
                    false => Err(format!("objective value: {}", faults.join("; "))),
                }
            }
        }
    }

    /// Hands on what an attribute of each action of the surface says, as far as it is a number; which of them should have
    /// one and have not is a fault.
    fn amounts(
        &self,
        attribute: &str,
        faults: &mut Vec<String>,
        mut take: impl FnMut(usize, Option<f64>) -> bool,
    ) {
        let mut without = Vec::new();
        for (index, action) in self.surface.actions.iter().enumerate() {
            if !take(index, self.amount(action, attribute)) {
                without.push(self.bundle.actions.name(action));
            }
        }
        if without.is_empty() {
            return;
        }
        let named: Vec<String> = without
            .iter()
            .take(MOST_NAMED)
            .map(|name| format!("\"{}\"", printable(name)))
            .collect();
        let more = without.len() - named.len();
        let more = Some(format!(" and {more} more")).filter(|_| more > 0);
        faults.push(format!(
            "no number in attribute \"{}\" of {}{}",
            printable(attribute),
            named.join(", "),
            more.unwrap_or_default()
        ));
    }

    /// An attribute of an action that is a number.
    fn amount(&self, action: &Action, name: &str) -> Option<f64> {
        match self.bundle.actions.attribute(action, name) {
            Value::Number(number) if number.is_finite() => Some(number),
            _ => None,
        }
    }

    /// Whether all that a model takes for features of surfaces are.
    fn check_features_of_surfaces(&self, model: &LinearModel) -> Result<(), ModelError> {
        for term in &model.terms {
            let mut sources = term.factors.iter().map(|factor| &factor.source);
            let unknown = sources.find(|source| {
                matches!(source, Source::Surface(_))
                    && entity_snapshot::named(source, &self.bundle.own_features).is_none()
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
    fn fact(&self, action: &Action, source: &Source) -> Value<'_> {
        let actions = &self.bundle.actions;
        match actions.fact(action, source) {
            Value::Missing => {
                let values = EntityValues {
                    features: &self.bundle.own_features,
                    snapshot: self.snapshot,
                    mask: self.mask,
                };
                entity_snapshot::fact(source, values, actions.name(action), &self.surface.name)
            }
            value => value,
        }
    }

    /// Where a fact of the user stands among the inputs of a model: the vector, then a flag for each of
    /// its features that is missing, then what is kept per key.
    fn position(&self, source: &Source) -> Option<Position> {
        let (name, is_flag) = match source {
            Source::User(name) => (name, false),
            Source::Missing(name) => (name, true),
            _ => return None,
        };
        let length = self.bundle.vector.len();
        if let Some(index) = self.bundle.index_in_vector(name) {
            let flags = if is_flag { length } else { 0 };
            return Some(Position::At(flags + index));
        }
        let features = &self.bundle.own_features;
        let mut kept = self.surface.affinities.kept.iter();
        let affinity = kept.find(|kept| features[kept.feature].name == *name)?;
        let path = &features[affinity.feature].key.as_ref()?.path;
        let first = 2 * length;
        let offset = |action: &Action| {
            let key = self.bundle.actions.key(path, action, &self.surface.name)?;
            Some(first + affinity.offset(key)?)
        };
        (!is_flag).then(|| Position::ByAction(self.surface.actions.iter().map(offset).collect()))
    }
}
