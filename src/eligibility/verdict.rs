//! What rules say of one request, and what their breakers are told.

use std::collections::HashMap;

use crate::pg::attempt::{Caught, sqlstate};
use crate::pg::session;

/// Which rules one decision leaves out, since their breakers are open.
#[derive(Default)]
pub struct Round {
    pub out: Vec<usize>,
    /// One of them that is tried again, alone.
    pub probed: Option<usize>,
}

impl Round {
    /// Whether the rule is not asked at all.
    pub fn leaves_out(&self, rule: usize) -> bool {
        !self.out.is_empty() && self.out.contains(&rule) && self.probed != Some(rule)
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
    /// None where what the caller said may be to blame: nobody shall be able to break a rule for all.
    pub fn of(rule: usize, text: &str, error: &Caught, said: &str) -> Option<RuleFault> {
        let looks_at_it = || {
            let text = text.to_ascii_lowercase();
            let mut said = ["context", "request", "features"].into_iter();
            said.any(|row| text.contains(row))
        };
        // What no input can bring about: names and rights, writing, locks, files, and the server's own faults.
        // Of 42 without a text that is no query to search by, or no path.
        let code = sqlstate(error.code);
        let mut of_the_rule = ["42", "25", "55", "58", "0A", "XX"].into_iter();
        let of_data = code == "42601" || !of_the_rule.any(|class| code.starts_with(class));
        // Of how the caller's session reads dates, of row security that it has turned off, and of how long it
        // waits for locks.
        let of_settings = matches!(code.as_str(), "22007" | "22008")
            || code == "42501" && !session::has_row_security()
            || code == "55P03" && session::has_lock_timeout();
        let may_be_said = of_settings || of_data && looks_at_it();
        (error.timed_out || !may_be_said).then(|| RuleFault {
            rule,
            error: said.to_owned(),
            slow: error.timed_out,
        })
    }
}

/// What breakers are told of rules that were asked; the others have answered.
#[derive(Debug, Default)]
pub struct RuleReport {
    pub faults: Vec<RuleFault>,
    /// Those that have neither answered nor failed by a fault of their own.
    pub silent: Vec<usize>,
}

impl RuleReport {
    /// What failed says nothing of the rules.
    pub fn excuse(&mut self) {
        let faults = self.faults.drain(..);
        self.silent.extend(faults.map(|fault| fault.rule));
    }

    /// A rule has failed: by that fault, if it is its own.
    pub(super) fn blame(&mut self, rule: usize, fault: Option<RuleFault>) {
        match fault {
            Some(fault) => self.faults.push(fault),
            None => self.silent.push(rule),
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
    /// Of those that were asked alone.
    pub outcome: RuleReport,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    No,
    Failed(String),
}

impl Verdicts {
    /// What rule `rule` says of the action of that number.
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
