//! Everything that can be wrong with policy tables, found all at once.

use std::collections::{HashMap, HashSet};

use super::bundle::Attribute;
use super::caps;
use super::feature::Feature;
use super::tables::{ActionRow, Content, PolicyRow};
use crate::error::{Fault, printable};
use crate::math::choice::{Choice, Selection};

/// Collects faults.
#[derive(Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub fn add(&mut self, table: &'static str, row: &str, reason: impl Into<String>) {
        self.0.push(Fault {
            table,
            row: row.to_owned(),
            reason: reason.into(),
        });
    }
}

/// Checks what can be told from the tables alone. Rules and models are checked where they are
/// compiled.
pub fn check(content: &Content, faults: &mut Faults) {
    names(content, faults);
    let actions: HashSet<&str> = content.actions.iter().map(|a| a.action.as_str()).collect();
    let surfaces: HashSet<&str> = content
        .surfaces
        .iter()
        .map(|s| s.surface.as_str())
        .collect();
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
    let of_actions = content.features.iter().filter(|row| row.entity == "action");
    let of_actions: HashSet<&str> = of_actions.map(|row| row.feature.as_str()).collect();
    for action in &content.actions {
        for surface in action
            .surfaces
            .iter()
            .filter(|s| !surfaces.contains(s.as_str()))
        {
            faults.add(
                "decide.action",
                &action.action,
                format!("surface \"{surface}\" is not in decide.surface"),
            );
        }
        match attributes(action) {
            Err(reason) => faults.add("decide.action", &action.action, reason),
            Ok(attributes) => {
                for name in attributes
                    .keys()
                    .filter(|name| of_actions.contains(name.as_str()))
                {
                    let reason =
                        format!("attributes: \"{name}\" is the name of a feature of actions");
                    faults.add("decide.action", &action.action, reason);
                }
            }
        }
    }
    for feature in &content.features {
        if let Err(reason) = Feature::of(feature) {
            faults.add("decide.feature", &feature.feature, reason);
        }
    }
    caps::check_fallbacks(content, faults);
    let mut policy_of: HashMap<&str, &str> = HashMap::new();
    for policy in &content.policies {
        if let Some(other) = policy_of.insert(&policy.surface, &policy.policy) {
            faults.add(
                "decide.policy",
                &policy.policy,
                format!(
                    "surface \"{}\" already has policy \"{other}\"",
                    policy.surface
                ),
            );
        }
        if let Err(reason) = choice(policy) {
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
        "decide.event_type",
        &mut content.event_types.iter().map(|r| &r.event_type),
    );
}

/// The same test as `decide.is_name`.
pub fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=200).contains(&length) && !name.chars().any(char::is_control) && name.trim() == name
}

/// The attributes that models can use, or what is wrong with them.
pub fn attributes(action: &ActionRow) -> Result<HashMap<String, Attribute>, String> {
    use serde_json::Value;
    let fields: serde_json::Map<String, Value> = serde_json::from_str(action.attributes.get())
        .map_err(|_| "attributes: a number is out of range".to_owned())?;
    let usable = fields.into_iter().filter_map(|(name, value)| {
        let attribute = match value {
            Value::Number(number) => Attribute::Number(number.as_f64()?),
            Value::Bool(flag) => Attribute::Number(f64::from(u8::from(flag))),
            Value::String(text) => Attribute::Text(text),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((name, attribute))
    });
    Ok(usable.collect())
}

/// How the policy chooses, or what is wrong with selection and params.
pub fn choice(policy: &PolicyRow) -> Result<Choice, String> {
    let mut params: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(policy.params.get())
            .map_err(|_| "params: a number is out of range".to_owned())?;
    let mut take = |name: &str, default: f64, fits: &dyn Fn(f64) -> bool, range: &str| {
        let value = match params.remove(name) {
            None => default,
            Some(value) => value
                .as_f64()
                .ok_or(format!("params: {name} is not a number"))?,
        };
        if fits(value) {
            Ok(value)
        } else {
            Err(format!("params: {name} must be {range}"))
        }
    };
    let share = |x: f64| (0.0..=1.0).contains(&x);
    let selection = match policy.selection.as_str() {
        "uniform" => Selection::Uniform,
        "greedy" => Selection::Greedy,
        "epsilon_greedy" => Selection::EpsilonGreedy {
            epsilon: take("epsilon", 0.05, &share, "between 0 and 1")?,
        },
        "softmax" => Selection::Softmax {
            temperature: take("temperature", 1.0, &|x| x > 0.0, "above 0")?,
        },
        other => {
            return Err(format!(
                "selection \"{other}\" is none of uniform, greedy, epsilon_greedy, softmax"
            ));
        }
    };
    let min_probability = take("min_probability", 0.0, &share, "between 0 and 1")?;
    if let Some(name) = params.keys().next() {
        return Err(format!("params: {} takes no \"{name}\"", policy.selection));
    }
    Ok(Choice {
        selection,
        min_probability,
    })
}
