//! Third stage: which of the surface's actions can be had now, and why the others cannot.

use super::Desk;
use super::envelope::Envelope;
use super::request::Request;
use crate::eligibility::{self, Verdict, Verdicts};
use crate::pg::datum;

/// Why an action is out, as traces number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    NotStarted,
    Ended,
    Rule,
    RuleFailed,
    /// It bears a cap per user, and who the user is is not known.
    UnknownUser,
    /// Counters that it needs are held by other transactions.
    Busy,
    /// Left out so that there are fewer candidates.
    Narrowed,
    /// Its rule is not asked for now, since it failed or was slow too often.
    Breaker,
    /// Switched off.
    Killed,
    /// The cap of that slot has no room for it.
    Cap(i32),
}

/// Codes from this one on are slots of caps.
const FIRST_CAP: i32 = 100;

impl Blocked {
    /// As traces number it.
    pub fn code(self) -> i32 {
        match self {
            Blocked::NotStarted => 1,
            Blocked::Ended => 2,
            Blocked::Rule => 3,
            Blocked::RuleFailed => 4,
            Blocked::UnknownUser => 5,
            Blocked::Busy => 6,
            Blocked::Narrowed => 7,
            Blocked::Breaker => 8,
            Blocked::Killed => 9,
            Blocked::Cap(slot) => FIRST_CAP + slot,
        }
    }

    /// Back from the number in a trace.
    pub fn from_code(code: i32) -> Blocked {
        match code {
            1 => Blocked::NotStarted,
            2 => Blocked::Ended,
            3 => Blocked::Rule,
            5 => Blocked::UnknownUser,
            6 => Blocked::Busy,
            7 => Blocked::Narrowed,
            8 => Blocked::Breaker,
            9 => Blocked::Killed,
            FIRST_CAP.. => Blocked::Cap(code - FIRST_CAP),
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
            Blocked::UnknownUser => ("cap", "it is not known who the user is"),
            Blocked::Busy => ("cap", "its counters are in use by other transactions"),
            Blocked::Narrowed => ("narrow", "fewer candidates are considered now"),
            Blocked::Breaker => (
                "rule",
                "eligible_when failed or was slow too often and is not asked for now",
            ),
            Blocked::Killed => ("switch", "it is switched off"),
            Blocked::Cap(_) => ("cap", "a cap has no room for it"),
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
    /// Not again: together they took too long.
    No,
}

/// Fills the desk's list of open candidates and of blocked actions. Needs an open session.
pub fn find(request: &Request<'_>, envelope: &Envelope, desk: &mut Desk) {
    let surface = request.surface;
    let verdicts = (!surface.rules.is_empty()).then(|| {
        desk.in_rules.set(true);
        let verdicts = ask(request, envelope, &desk.features);
        desk.in_rules.set(false);
        verdicts
    });
    for (i, action) in surface.actions.iter().enumerate() {
        let verdict = match (&verdicts, action.rule) {
            (Some(verdicts), Some(rule)) => verdicts.of(rule, action.number),
            _ => Verdict::Holds,
        };
        let blocked = match verdict {
            _ if action.killed => Blocked::Killed,
            _ if request.now < action.starts => Blocked::NotStarted,
            _ if request.now >= action.ends => Blocked::Ended,
            _ if action
                .rule
                .is_some_and(|rule| envelope.round.leaves_out(rule)) =>
            {
                Blocked::Breaker
            }
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
        desk.blocked_by.push(blocked.code());
    }
}

fn ask(request: &Request<'_>, envelope: &Envelope, features: &[f64]) -> Verdicts {
    let asked = eligibility::Request {
        user_key: datum::uuid(request.user_key),
        context: Some(request.context.datum()),
        features,
        in_full: !envelope.takes,
    };
    let rules = &request.surface.rules;
    let (round, until) = (&envelope.round, &envelope.rules_until);
    let mut verdicts = match envelope.asking {
        Asking::Together => rules.ask(&asked, round, until),
        Asking::Each => rules.ask_each(&asked, round, until),
        Asking::No => return rules.all_failed(&envelope.late()),
    };
    envelope.answered(std::mem::take(&mut verdicts.outcome));
    verdicts
}
