//! Judging: estimators of what another policy would have earned, metrics of uplift, and the assignment of users to variations.
//!
//! All of it is arithmetic of [`crate::math`]; this room makes aggregates of it. A transition function reads its arguments as
//! they lie, and adds a row to a state in the memory of the aggregate. Final functions leave the state as it is, so that
//! aggregates may share it, and windows ask again. Policies are judged from traces by functions: `log` reads the decisions, and [`crate::decide::Judge`] says
//! what a policy would have done in each.

mod assignment;
mod calibration;
mod cohorts;
mod estimators;
mod experiments;
mod log;
mod policies;
mod propensities;
mod support;
mod uplift;
mod verbs;

use crate::error::Error;

/// Refuses an argument.
#[cold]
fn refuse(what: impl ToString) -> ! {
    let todo = "Leave such rows out with FILTER (WHERE …), or correct them; rows with a null are left out.";
    Error::Evaluation(what.to_string(), todo).raise()
}

/// Refuses a parameter of an aggregate that is not the same in all rows.
#[cold]
fn refuse_change(parameter: &str) -> ! {
    let what = format!("{parameter} must be the same for all rows of an aggregate");
    Error::Evaluation(what, "Pass a constant, or group by it.").raise()
}
