//! Whether a rule is valid, found out at publish.

use pgrx::pg_sys;

use super::scope::{RuleInputs, TYPES, looks_at_action, rule_role};
use crate::pg::attempt::attempt_for;
use crate::pg::confined::confined;
use crate::pg::plan::{Access, with_standard_strings};
use crate::pg::{Plan, identity, rule_text, session};

/// Timeout of a check, in milliseconds. The planner calls functions that the rule names, and meanwhile nobody else can
/// publish.
const LONGEST: u32 = 1_000;

/// What is wrong with a rule, if anything: it must be one boolean expression that reads only, and
/// the rule role must have the rights that it takes. Answers whether it may be true: not where the planner finds that it
/// is false, or null, for everybody.
pub fn check(text: &str, features: &[String]) -> Result<bool, String> {
    if text.trim().is_empty() {
        return Err("it is empty; use null for an action that is always eligible".into());
    }
    let role = rule_role()?;
    let expression = |inputs: &RuleInputs| {
        let rows = inputs.all();
        match looks_at_action(text) {
            true => format!("SELECT (\n{text}\n) FROM {rows}, decide.bundle_action AS action"),
            false => format!("SELECT (\n{text}\n) FROM {rows}"),
        }
    };
    attempt_for(LONGEST, || {
        if !with_standard_strings(|| rule_text::is_one_expression(text)) {
            return Err("it is not one expression".to_owned());
        }
        let _acting = identity::act_as(role);
        let _reading = session::ReadOnly::begin();
        let analyse = || rule_text::analyse(&expression(&RuleInputs::empty(features)), &[]);
        let analysis = confined(|| with_standard_strings(analyse));
        if analysis.result_type != pg_sys::BOOLOID {
            return Err("it is not boolean".to_owned());
        }
        if analysis.volatile {
            return Err("it calls something volatile, so a decision could not be explained".into());
        }
        if analysis.aggregates {
            return Err(
                "it has an aggregate, a window function or a set, so it is not one boolean".into(),
            );
        }
        // Starting the statement, without a row, checks the rights.
        let statement = format!("{} LIMIT 0", expression(&RuleInputs::new(features)));
        let nothing = [None; TYPES.len()];
        let may_be_true = confined(|| {
            let plan = Plan::prepare(&statement, &TYPES);
            plan.run(Access::Read, &nothing, |_| {});
            !plan.is_never_true()
        });
        Ok(may_be_true)
    })
    .unwrap_or_else(|error| match error.timed_out {
        true => Err(format!("to plan it takes more than {LONGEST} ms")),
        false => Err(error.message),
    })
}
