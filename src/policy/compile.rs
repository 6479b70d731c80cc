//! From the published tables to a bundle: the same for a publish, which checks it, and for each
//! backend, which keeps it.

use std::collections::HashMap;
use std::time::Duration;

use super::action::{Action, attribute, attributes, key_of_action};
use super::bundle::{Affinities, Affinity, Bundle, Model, Policy, Surface, moved_by};
use super::caps;
use super::contract::contracts;
use super::entity_snapshot::{self, EntitySnapshot, EntityValues};
use super::faults::Faults;
use super::feature::{Feature, mask_of, visible_as};
use super::model_version;
use super::reading::Reading;
use super::selection::choice;
use super::tables::{ActionRow, Content, PolicyRow, SurfaceRow};
use super::visibility::{FeatureMask, FeatureVisibility};
use crate::caps::{Cap, Limits, counted_by};
use crate::eligibility::{Rule, Rules, looks_at_action};
use crate::govern::switches::{Kind, Switches};
use crate::math::model::{LinearModel, ModelError, Source, Value};
use crate::math::scorer::{Position, Scorer};
use crate::pg::clock;

/// A budget beyond this one is none.
const LONGEST_BUDGET: Duration = Duration::from_secs(86_400);

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
    let mask = mask_of(&features, &switches);
    let vector = visible_as(&features, FeatureVisibility::Vector);
    let entities = visible_as(&features, FeatureVisibility::Entity);
    let snapshot = snapshot.filter(|_| !entities.is_empty());
    let actions = actions(content, &switches, faults);
    let sets = rule_sets(content);
    let caps = caps::caps(content, faults);
    let mut models = Models::new();
    let mut surfaces = HashMap::new();
    for row in &content.surfaces {
        let known = Known {
            actions: &actions,
            features: &features,
            vector: &vector,
            sets: &sets,
            caps: &caps,
            snapshot: snapshot.map(|(_, values)| values),
            mask: &mask,
            switches: &switches,
        };
        if let Some(mut surface) = surface(number, row, content, &known) {
            let policy = content
                .policies
                .iter()
                .find(|policy| policy.surface == row.surface);
            surface.policy =
                policy.and_then(|row| policy_of(row, &surface, &known, &mut models, faults));
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

/// What is known of the bundle when its surfaces are compiled.
struct Known<'a> {
    actions: &'a HashMap<&'a str, Action>,
    features: &'a [Feature],
    vector: &'a [usize],
    sets: &'a HashMap<&'a str, i32>,
    caps: &'a [Cap],
    snapshot: Option<&'a EntitySnapshot>,
    mask: &'a FeatureMask,
    switches: &'a Switches,
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

fn surface(bundle: i64, row: &SurfaceRow, content: &Content, known: &Known<'_>) -> Option<Surface> {
    let fallback = known.actions.get(row.fallback_action.as_deref()?)?.clone();
    let here: Vec<&ActionRow> = content
        .actions
        .iter()
        .filter(|action| action.surfaces.is_empty() || action.surfaces.contains(&row.surface))
        .collect();
    let mut texts: Vec<&str> = here
        .iter()
        .filter_map(|a| a.eligible_when.as_deref())
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
        .map(|row| {
            let rule = row
                .eligible_when
                .as_deref()
                .and_then(|text| numbers_of_rules.get(text))
                .copied();
            Action {
                rule,
                ..known.actions[row.action.as_str()].clone()
            }
        })
        .collect();
    listed.sort_unstable_by_key(|action| action.number);
    let numbers: Vec<i32> = listed.iter().map(|action| action.number).collect();
    let mut bound = vec![Vec::new(); texts.len()];
    for action in &listed {
        if let Some(rule) = action.rule {
            bound[rule].push(action.number);
        }
    }
    let rules = texts
        .iter()
        .zip(bound)
        .map(|(text, actions)| Rule {
            text: (*text).to_owned(),
            set: known.sets.get(text).copied(),
            actions,
        })
        .collect();
    let vector = known.vector.iter().map(|&i| &known.features[i]);
    let names: Vec<String> = vector.map(|feature| feature.name.clone()).collect();
    let affinities = affinities(&row.surface, &listed, known.features);
    let limits = Limits::of(&row.surface, &numbers, known.caps);
    Some(Surface {
        limits,
        name: row.surface.clone(),
        slots: row.slots,
        latency_budget: Duration::from_micros(row.latency_budget_us as u64).min(LONGEST_BUDGET),
        fallback,
        context_fields: row.context_fields.clone(),
        actions: listed,
        rules: Rules::new(bundle, &row.surface, &names, rules),
        affinities,
        policy: None,
    })
}

/// An offset for each key of each feature that is kept per key and that an action here has.
fn affinities(surface: &str, actions: &[Action], features: &[Feature]) -> Affinities {
    let mut all = Affinities::default();
    for feature in visible_as(features, FeatureVisibility::PerKey) {
        let Some(keyed) = &features[feature].key else {
            continue;
        };
        let mut offsets = HashMap::new();
        for key in actions
            .iter()
            .filter_map(|action| key_of_action(&keyed.path, action, surface))
        {
            offsets.entry(key).or_insert_with(|| {
                all.len += 1;
                all.len - 1
            });
        }
        all.kept.push(Affinity { feature, offsets });
    }
    all
}

/// Model versions that have been read, or what is wrong with them; several surfaces share one.
type Models = HashMap<String, Result<Option<LinearModel>, String>>;

fn policy_of(
    row: &PolicyRow,
    surface: &Surface,
    known: &Known<'_>,
    models: &mut Models,
    faults: &mut Faults,
) -> Option<Policy> {
    // A fault of the choice itself has been found by `validate` already.
    let choice = choice(row).ok()?;
    let model = match (&row.model, row.model_version) {
        (Some(name), Some(version)) => match model(name, version, surface, known, models) {
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
        model,
    })
}

fn model(
    name: &str,
    version: i32,
    surface: &Surface,
    known: &Known<'_>,
    models: &mut Models,
) -> Result<Model, String> {
    let label = format!("{name}:{version}");
    let model = models
        .entry(label.clone())
        .or_insert_with(|| model_version::read(name, version, known.switches))
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
    features_of_surfaces(model, known).map_err(unfit)?;
    let scorer = Scorer::compile(
        model,
        surface.actions.len(),
        &|i, source| fact(&surface.actions[i], source, surface, known),
        &|source| position(source, surface, known),
        &|field| surface.context_fields.iter().position(|f| f == field),
    )
    .map_err(unfit)?;
    Ok(Model { label, scorer })
}

/// Whether all that a model takes for features of surfaces are.
fn features_of_surfaces(model: &LinearModel, known: &Known<'_>) -> Result<(), ModelError> {
    for term in &model.terms {
        let mut sources = term.factors.iter().map(|factor| &factor.source);
        let unknown = sources.find(|source| {
            matches!(source, Source::Surface(_))
                && entity_snapshot::named(source, known.features).is_none()
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
    known: &Known<'_>,
) -> Value<'a> {
    match attribute(action, source) {
        Value::Missing => {
            let values = EntityValues {
                features: known.features,
                snapshot: known.snapshot,
                mask: known.mask,
            };
            entity_snapshot::fact(source, values, &action.name, &surface.name)
        }
        value => value,
    }
}

/// Where a fact of the user stands among the inputs of a model: the vector, then a flag for each of
/// its features that is missing, then what is kept per key.
fn position(source: &Source, surface: &Surface, known: &Known<'_>) -> Option<Position> {
    let (name, is_flag) = match source {
        Source::User(name) => (name, false),
        Source::Missing(name) => (name, true),
        _ => return None,
    };
    let mut vector = known.vector.iter();
    if let Some(index) = vector.position(|&i| known.features[i].name == *name) {
        let flags = if is_flag { known.vector.len() } else { 0 };
        return Some(Position::At(flags + index));
    }
    let mut kept = surface.affinities.kept.iter();
    let affinity = kept.find(|kept| known.features[kept.feature].name == *name)?;
    let path = &known.features[affinity.feature].key.as_ref()?.path;
    let first = 2 * known.vector.len();
    let offset = |action: &Action| {
        let key = key_of_action(path, action, &surface.name)?;
        Some(first + affinity.offsets.get(&key)?)
    };
    (!is_flag).then(|| Position::ByAction(surface.actions.iter().map(offset).collect()))
}
