//! How a policy chooses, from its row in decide.policy.

use serde_json::{Map, Value};

use super::tables::PolicyRow;
use crate::math::choice::{
    Choice, Growth, LOWER_BOUND_GAMMA, LowerBound, MIN_LOWER_BOUND, MIN_PROBABILITY, OutOfRange,
    Parameter, SELECTIONS, SelectionRule,
};

/// What selection and params say.
pub struct Choosing {
    pub choice: Choice,
    /// What a candidate must be worth at least.
    pub lower_bound: Option<LowerBound>,
}

type Params = Map<String, Value>;

/// How the policy chooses, or what is wrong with selection and params.
pub fn choosing(policy: &PolicyRow) -> Result<Choosing, String> {
    let mut params: Params = serde_json::from_str(policy.params.get())
        .map_err(|_| "params: a number is out of range".to_owned())?;
    let name = policy.selection.as_str();
    let rule = SELECTIONS.iter().find(|rule| rule.name == name);
    let rule = rule.ok_or_else(|| {
        let names: Vec<&str> = SELECTIONS.iter().map(|rule| rule.name).collect();
        format!("selection \"{name}\" is none of {}", names.join(", "))
    })?;
    let own = own_parameter(rule, policy.model_rows, &mut params)?;
    let out_of_range = |error: OutOfRange| format!("params: {error}");
    let mut choice = Choice {
        selection: rule.with(own.unwrap_or(0.0)),
        min_probability: 0.0,
    };
    choice.validate().map_err(out_of_range)?;
    if let Some(floor) = take(&mut params, &MIN_PROBABILITY)? {
        choice.min_probability = floor;
    }
    choice.validate().map_err(out_of_range)?;
    let lower_bound = match rule.needs_scores {
        true => lower_bound(&mut params)?,
        false => None,
    };
    match params.keys().next() {
        None => Ok(Choosing {
            choice,
            lower_bound,
        }),
        Some(other) => Err(format!("params: {name} takes no \"{other}\"")),
    }
}

/// The rule's own parameter: as given, or as it follows from the rows that the model was trained on.
fn own_parameter(
    rule: &SelectionRule,
    rows: Option<i64>,
    params: &mut Params,
) -> Result<Option<f64>, String> {
    let Some(own) = &rule.parameter else {
        return Ok(None);
    };
    let Some(growth) = rule.growth else {
        return take(params, own);
    };
    let is_given = params.contains_key(own.name);
    for part in [&growth.scale, &growth.exponent] {
        if is_given && params.contains_key(part.name) {
            return Err(format!(
                "params: {} leaves no use for {}",
                own.name, part.name
            ));
        }
    }
    if is_given {
        return take(params, own);
    }
    let scale = take_within(params, &growth.scale)?;
    let exponent = take_within(params, &growth.exponent)?;
    Ok(scale
        .zip(exponent)
        .map(|(scale, exponent)| Growth::at(scale, exponent, rows.unwrap_or(0))))
}

/// What a candidate must be worth at least, if the policy says that.
fn lower_bound(params: &mut Params) -> Result<Option<LowerBound>, String> {
    if !params.contains_key(MIN_LOWER_BOUND.name) {
        return Ok(None);
    }
    let least = take_within(params, &MIN_LOWER_BOUND)?;
    let gamma = take_within(params, &LOWER_BOUND_GAMMA)?;
    Ok(least
        .zip(gamma)
        .map(|(least, gamma)| LowerBound { least, gamma }))
}

/// A parameter, which is then no longer among the params; its default where it is not given.
fn take(params: &mut Params, parameter: &Parameter) -> Result<Option<f64>, String> {
    let Some(value) = params.remove(parameter.name) else {
        return Ok(parameter.default);
    };
    let number = value.as_f64();
    let number = number.ok_or_else(|| format!("params: {} is not a number", parameter.name))?;
    Ok(Some(number))
}

/// A parameter that must be in its range.
fn take_within(params: &mut Params, parameter: &Parameter) -> Result<Option<f64>, String> {
    let value = take(params, parameter)?;
    let is_out = |value: &f64| !parameter.range.contains(*value);
    match value.filter(is_out) {
        None => Ok(value),
        Some(_) => Err(format!(
            "params: {} must be {}",
            parameter.name, parameter.range
        )),
    }
}
