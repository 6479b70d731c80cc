//! How a policy chooses, from its row in decide.policy.

use super::tables::PolicyRow;
use crate::math::choice::{Choice, Selection};

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
