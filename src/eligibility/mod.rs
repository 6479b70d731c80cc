//! Which actions may be shown: the rules of a surface, which may read the shop's own tables, within a deadline.

pub mod breaker;
pub mod check;
mod deadline;
mod rules;
mod scope;
mod verdict;

pub use deadline::{Deadline, timed_out};
pub use rules::{BoundAction, Request, Rule, Rules};
pub use scope::looks_at_action;
pub use verdict::{OpenRules, RuleFault, RuleReport, Verdict, Verdicts};
