//! How a policy chooses, from its row in decide.policy.

use serde_json::{Map, Value};

use super::tables::PolicyRow;
use crate::math::choice::{Choice, MIN_PROBABILITY, OutOfRange, Parameter, SELECTIONS};

/// How the policy chooses, or what is wrong with selection and params.
pub fn choice(policy: &PolicyRow) -> Result<Choice, String> {
    let mut params: Map<String, Value> = serde_json::from_str(policy.params.get())
        .map_err(|_| "params: a number is out of range".to_owned())?;
    let name = policy.selection.as_str();
    let rule = SELECTIONS.iter().find(|rule| rule.name == name);
    let rule = rule.ok_or_else(|| {
        let names: Vec<&str> = SELECTIONS.iter().map(|rule| rule.name).collect();
        format!("selection \"{name}\" is none of {}", names.join(", "))
    })?;
    let own = rule.parameter.as_ref().map(|own| take(&mut params, own));
    let selection = rule.with(own.transpose()?.unwrap_or(0.0));
    let out_of_range = |error: OutOfRange| format!("params: {error}");
    let mut choice = Choice {
        selection,
        min_probability: MIN_PROBABILITY.default,
    };
    choice.validate().map_err(out_of_range)?;
    choice.min_probability = take(&mut params, &MIN_PROBABILITY)?;
    choice.validate().map_err(out_of_range)?;
    match params.keys().next() {
        None => Ok(choice),
        Some(other) => Err(format!("params: {name} takes no \"{other}\"")),
    }
}

/// A parameter, which is then no longer among the params.
fn take(params: &mut Map<String, Value>, parameter: &Parameter) -> Result<f64, String> {
    let number = |value: Value| {
        let number = value.as_f64();
        number.ok_or_else(|| format!("params: {} is not a number", parameter.name))
    };
    let value = params.remove(parameter.name);
    value.map_or(Ok(parameter.default), number)
}
