//! What a rule may see, and what is wrong with one.

use std::fmt::Write;

use crate::pg::attempt::attempt;
use crate::pg::plan::{Access, pinned};
use crate::pg::{Plan, identity, rule_text};
use pgrx::pg_sys;

use super::rules::{TYPES, looks_at_action, rule_role};

/// The rows that a rule sees: `request(user_key, context)` and `features`, a column per feature.
pub fn rows(features: &[String]) -> String {
    rows_from(features, "$1", "$2", &|i| format!("($3)[{}]", i + 1))
}

/// The same rows with nothing in them: against these a rule is checked, so that it cannot name the
/// parameters of the statement.
fn empty_rows(features: &[String]) -> String {
    let (user_key, context) = ("NULL::pg_catalog.uuid", "NULL::pg_catalog.jsonb");
    rows_from(features, user_key, context, &|_| {
        "NULL::pg_catalog.float8".to_owned()
    })
}

fn rows_from(
    features: &[String],
    user_key: &str,
    context: &str,
    feature: &dyn Fn(usize) -> String,
) -> String {
    let mut columns = String::new();
    for (i, name) in features.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let quoted = name.replace('"', "\"\"");
        write!(columns, "{comma}{} AS \"{quoted}\"", feature(i)).expect("writing to memory");
    }
    format!(
        "(SELECT {user_key} AS user_key, {context} AS context) AS request, (SELECT {columns}) AS features"
    )
}

/// What is wrong with a rule, if anything: it must be one boolean expression that reads only, and
/// the rule role must have the rights that it takes. Needs an open session.
pub fn check(text: &str, features: &[String]) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is empty; use null for an action that is always eligible".into());
    }
    let role = rule_role()?;
    let expression = |rows: &str| match looks_at_action(text) {
        true => format!("SELECT (\n{text}\n) FROM {rows}, decide.bundle_action AS action"),
        false => format!("SELECT (\n{text}\n) FROM {rows}"),
    };
    attempt(|| {
        if !pinned(|| rule_text::is_one_expression(text)) {
            return Err("it is not one expression".to_owned());
        }
        let _acting = identity::act_as(role);
        let analysis = pinned(|| rule_text::analyse(&expression(&empty_rows(features)), &[]));
        if analysis.result_type != pg_sys::BOOLOID {
            return Err("it is not boolean".to_owned());
        }
        if analysis.volatile {
            return Err("it calls something volatile, so a decision could not be explained".into());
        }
        if analysis.aggregates {
            return Err(
                "it has an aggregate, a window function or a set, so it is not one truth".into(),
            );
        }
        // Starting the statement, without a row, checks the rights.
        let probe = Plan::prepare(&format!("{} LIMIT 0", expression(&rows(features))), &TYPES);
        let nothing = [None; TYPES.len()];
        probe.run(Access::Read, &nothing, |_| {});
        Ok(())
    })
    .unwrap_or_else(|error| Err(error.message))
}
