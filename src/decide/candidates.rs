//! Third stage: which of the surface's actions can be had now, and why the others cannot.

use super::Desk;
use super::request::Request;
use crate::pg::datum;
use crate::policy::{self, Rules, Verdict};

/// Why an action is out, as traces number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Blocked {
    NotStarted = 1,
    Ended = 2,
    Rule = 3,
    RuleFailed = 4,
    /// Left out so that there are fewer candidates.
    Narrowed = 7,
    /// Switched off.
    Killed = 9,
}

impl Blocked {
    /// Back from the number in a trace.
    pub fn from_code(code: i16) -> Blocked {
        match code {
            1 => Blocked::NotStarted,
            2 => Blocked::Ended,
            3 => Blocked::Rule,
            7 => Blocked::Narrowed,
            9 => Blocked::Killed,
            _ => Blocked::RuleFailed,
        }
    }

    /// The stage's step, and the reason, as people read them.
    pub fn describe(self) -> (&'static str, &'static str) {
        match self {
            Blocked::NotStarted => ("campaign", "the campaign has not started"),
            Blocked::Ended => ("campaign", "the campaign has ended"),
            Blocked::Rule => ("rule", "eligible_when does not hold"),
            Blocked::RuleFailed => ("rule", "eligible_when failed"),
            Blocked::Narrowed => ("narrow", "fewer candidates are considered now"),
            Blocked::Killed => ("switch", "it is switched off"),
        }
    }
}

/// How many errors of rules a trace keeps; `blocked_by` names the actions of all.
const MOST_ERRORS: usize = 20;

/// How the rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// By one statement, which fails if one of them does.
    Together,
    /// Each alone, after that has failed.
    Each,
}

/// Fills the desk's list of open candidates and of blocked actions. Needs an open session.
pub fn find(request: &Request<'_>, asking: Asking, desk: &mut Desk) {
    let surface = request.surface;
    let verdicts = (!surface.rules.is_empty()).then(|| {
        desk.in_rules.set(true);
        let verdicts = ask(&surface.rules, request, asking, &desk.features);
        desk.in_rules.set(false);
        verdicts
    });
    for (i, action) in surface.actions.iter().enumerate() {
        let verdict = match (&verdicts, action.rule) {
            (Some(verdicts), Some(rule)) => verdicts.of(rule, action),
            _ => Verdict::Holds,
        };
        let blocked = match verdict {
            _ if action.killed => Blocked::Killed,
            _ if request.now < action.starts => Blocked::NotStarted,
            _ if request.now >= action.ends => Blocked::Ended,
            Verdict::Holds => {
                desk.open.push(i);
                continue;
            }
            Verdict::No => Blocked::Rule,
            Verdict::Failed(error) => {
                if desk.errors.len() < MOST_ERRORS {
                    desk.errors.push(Some(format!("{}: {error}", action.name)));
                }
                Blocked::RuleFailed
            }
        };
        desk.blocked.push(i);
        desk.blocked_by.push(blocked as i16);
    }
}

fn ask(rules: &Rules, request: &Request<'_>, asking: Asking, features: &[f64]) -> policy::Verdicts {
    let asked = policy::RuleRequest {
        user_key: datum::uuid(request.user_key),
        context: Some(request.context.datum()),
        features,
    };
    let actions = &request.surface.actions;
    match asking {
        Asking::Together => rules.ask(&asked, actions),
        Asking::Each => rules.ask_each(&asked, actions),
    }
}
