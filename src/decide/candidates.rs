//! Third stage: which of the surface's actions can be had now, and why the others cannot.

use super::Buffers;
use super::blocked::Blocked;
use super::envelope::{Asking, Envelope};
use super::request::Request;
use crate::eligibility::{self, Verdict, Verdicts};
use crate::pg::datum;

/// How many errors of rules a trace keeps; `blocked_by` names the actions of all.
const MOST_ERRORS: usize = 20;

/// Fills the buffers's list of open candidates and of blocked actions. Needs an open session.
pub fn find(request: &Request<'_>, envelope: &Envelope, buffers: &mut Buffers) {
    let surface = request.surface;
    let verdicts = (!surface.rules.is_empty()).then(|| {
        buffers.in_rules.set(true);
        let verdicts = ask(request, envelope, &buffers.features);
        buffers.in_rules.set(false);
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
                buffers.open.push(i);
                continue;
            }
            Verdict::No => Blocked::Rule,
            Verdict::Failed(error) => {
                if buffers.errors.len() < MOST_ERRORS {
                    buffers
                        .errors
                        .push(Some(format!("{}: {error}", action.name)));
                }
                Blocked::RuleFailed
            }
        };
        buffers.blocked.push(i);
        buffers.blocked_by.push(blocked.code());
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
