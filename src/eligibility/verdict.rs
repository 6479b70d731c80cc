//! What rules say of one request, and what their breakers are told.

use std::collections::HashMap;

use crate::pg::attempt::{Caught, sqlstate};
use crate::pg::session;

/// The rules whose breakers are open: a decision does not evaluate them.
#[derive(Default)]
pub struct OpenRules {
    /// By their index, in order.
    pub rules: Vec<usize>,
    /// The one of them that this decision evaluates nevertheless, alone, to see whether it works again.
    pub probed: Option<usize>,
}

impl OpenRules {
    /// Whether the rule is not evaluated at all.
    pub fn skips(&self, rule: usize) -> bool {
        !self.rules.is_empty() && self.rules.contains(&rule) && self.probed != Some(rule)
    }
}

/// A rule that failed as a whole, or took too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    pub rule: usize,
    pub error: String,
    pub slow: bool,
}

impl RuleFault {
    /// None where the caller's input may be the cause: no caller may open the breaker of a rule for all.
    pub fn of(rule: usize, text: &str, error: &Caught, message: &str) -> Option<RuleFault> {
        let reads_input = || {
            let text = text.to_ascii_lowercase();
            let mut inputs = ["context", "request", "features"].into_iter();
            inputs.any(|row| text.contains(row))
        };
        // Errors that no input can cause: of names and rights, writing, locks, files and the server itself. Class 42
        // has one that an input can cause: a text that is not a text search query or a path.
        let code = sqlstate(error.code);
        let mut of_the_rule = ["42", "25", "55", "58", "0A", "XX"].into_iter();
        let of_data = code == "42601" || !of_the_rule.any(|class| code.starts_with(class));
        // Errors that settings of the caller's session can cause: DateStyle, row_security and lock_timeout.
        let of_settings = matches!(code.as_str(), "22007" | "22008")
            || code == "42501" && !session::has_row_security()
            || code == "55P03" && session::has_lock_timeout();
        let may_be_of_caller = of_settings || of_data && reads_input();
        (error.timed_out || !may_be_of_caller).then(|| RuleFault {
            rule,
            error: message.to_owned(),
            slow: error.timed_out,
        })
    }
}

/// What breakers are told of the rules that were evaluated; those that are not in it have a verdict.
#[derive(Debug, Default)]
pub struct RuleReport {
    pub faults: Vec<RuleFault>,
    /// Those that have failed by no fault of their own: nothing follows for their breakers.
    pub inconclusive: Vec<usize>,
}

impl RuleReport {
    /// Takes all faults for inconclusive.
    pub fn discard_faults(&mut self) {
        let faults = self.faults.drain(..);
        self.inconclusive.extend(faults.map(|fault| fault.rule));
    }

    /// Adds a rule that has failed, with the fault if it is its own.
    pub(super) fn add_failure(&mut self, rule: usize, fault: Option<RuleFault>) {
        match fault {
            Some(fault) => self.faults.push(fault),
            None => self.inconclusive.push(rule),
        }
    }
}

/// What the rules say of one request.
#[derive(Default)]
pub struct Verdicts {
    /// Per rule, for those that do not look at the action.
    pub(super) plain: Vec<Result<bool, String>>,
    /// Numbers of the actions for which their rule holds, sorted.
    pub(super) holds: Vec<i32>,
    pub(super) failed: HashMap<i32, String>,
    /// Of those that were evaluated alone.
    pub report: RuleReport,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    No,
    Failed(String),
}

impl Verdicts {
    /// The verdict of a rule on the action of that number.
    pub fn of(&self, rule: usize, action: i32) -> Verdict {
        if !self.failed.is_empty()
            && let Some(error) = self.failed.get(&action)
        {
            return Verdict::Failed(error.clone());
        }
        let holds = match self.plain.get(rule) {
            Some(Err(error)) => return Verdict::Failed(error.clone()),
            Some(Ok(holds)) => *holds,
            None => self.holds.binary_search(&action).is_ok(),
        };
        if holds { Verdict::Holds } else { Verdict::No }
    }

    /// All of these actions have failed.
    pub(super) fn all_failed(reason: &str, actions: impl Iterator<Item = i32>) -> Verdicts {
        Verdicts {
            failed: actions.map(|number| (number, reason.to_owned())).collect(),
            ..Verdicts::default()
        }
    }
}
