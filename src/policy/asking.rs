//! How the rules are asked in one decision: which, until when, and what they answer.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::bundle::Action;
use crate::pg::attempt::{Caught, sqlstate};
use crate::pg::session;
use crate::pg::timeout::Timer;

/// The least that a rule is given, for the timer of the server counts in such steps.
const LEAST: Duration = Duration::from_millis(1);

/// How long planning may take, which a session does once; it is not counted.
const PLANNING: Duration = Duration::from_millis(250);

/// A moment by which something must be done, if there is one.
#[derive(Default)]
pub struct Deadline {
    at: Cell<Option<Instant>>,
    /// What was not counted.
    pardoned: Cell<Duration>,
}

impl Deadline {
    pub fn at(at: Option<Instant>) -> Deadline {
        Deadline {
            at: Cell::new(at),
            pardoned: Cell::default(),
        }
    }

    /// What is left; None where there is no bound.
    pub fn left(&self) -> Option<Duration> {
        let at = self.at.get()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// One of `parts` equal parts of what is left.
    pub fn share(&self, parts: usize) -> Deadline {
        let part = self
            .left()
            .map(|left| (left / parts.max(1) as u32).max(LEAST));
        Deadline::at(part.map(|part| Instant::now() + part))
    }

    /// Cancels what runs while the answer lives and the time is over. To be called in an attempt.
    pub fn timer(&self) -> Option<Timer> {
        self.left().map(|left| Timer::arm(left.max(LEAST)))
    }

    /// Does what is not counted: it has a time of its own.
    pub fn pardon<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(at) = self.at.get() else {
            return work();
        };
        let _pardon = Pardon {
            deadline: self,
            at,
            begun: Instant::now(),
        };
        let _timer = Timer::arm(PLANNING);
        work()
    }

    pub fn pardoned(&self) -> Duration {
        self.pardoned.get()
    }
}

/// Time that is not counted, from when it is made until it is dropped.
struct Pardon<'a> {
    deadline: &'a Deadline,
    at: Instant,
    begun: Instant,
}

impl Drop for Pardon<'_> {
    fn drop(&mut self) {
        let taken = self.begun.elapsed();
        let pardoned = &self.deadline.pardoned;
        self.deadline.at.set(Some(self.at + taken));
        pardoned.set(pardoned.get() + taken);
    }
}

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
pub struct Outcome {
    pub faults: Vec<RuleFault>,
    /// Those that have neither answered nor failed by a fault of their own.
    pub silent: Vec<usize>,
}

impl Outcome {
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
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    No,
    Failed(String),
}

impl Verdicts {
    /// What rule `rule` says of `action`.
    pub fn of(&self, rule: usize, action: &Action) -> Verdict {
        if !self.failed.is_empty()
            && let Some(error) = self.failed.get(&action.number)
        {
            return Verdict::Failed(error.clone());
        }
        let holds = match self.plain.get(rule) {
            Some(Err(error)) => return Verdict::Failed(error.clone()),
            Some(Ok(holds)) => *holds,
            None => self.holds.binary_search(&action.number).is_ok(),
        };
        if holds { Verdict::Holds } else { Verdict::No }
    }

    /// All actions that have a rule have failed.
    pub fn all_failed(reason: &str, actions: &[Action]) -> Verdicts {
        let ruled = actions.iter().filter(|action| action.rule.is_some());
        Verdicts {
            failed: ruled
                .map(|action| (action.number, reason.to_owned()))
                .collect(),
            ..Verdicts::default()
        }
    }
}

/// What is said of a rule that did not come to an end.
pub fn timed_out(after: Duration) -> String {
    format!("timed out after {} ms", after.as_millis())
}
