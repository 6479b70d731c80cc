//! What a decision would be and why, without making it.

use super::blocked::Blocked;
use super::decision::Decision;
use super::reason::Reason;
use super::request::DecideArgs;
use super::run;
use crate::error::OrRaise;
use crate::pg::call::{Call, Rows};
use crate::pg::datum::{self, Arg};

/// Pushes a row per action of the surface, and one per slot that the fallback would get.
pub fn explain(args: &DecideArgs<'_>, call: &Call) {
    run(args, |decision| {
        let surface = decision.request.surface;
        let actions = &decision.request.bundle.actions;
        let mut rows = call.rows();
        push_open(decision, &mut rows);
        push_blocked(decision, &mut rows);
        if decision.reason == Some(Reason::Paused) {
            for action in &surface.actions {
                let row = left_out(actions.name(action), "mode", "the surface is paused", None);
                rows.push(row);
            }
        }
        let Some(reason) = &decision.reason else {
            return;
        };
        let reason = reason.to_string();
        for slot in decision.draw.filled()..surface.slots {
            let number = datum::int4(slot as i32 + 1);
            let fallback = actions.name(&surface.fallback);
            rows.push(left_out(fallback, "fallback", &reason, number));
        }
    })
    .or_raise();
}

/// Those that could be had: with score and probability in the first slot.
fn push_open(decision: &Decision<'_>, rows: &mut Rows) {
    let (surface, draw) = (decision.request.surface, decision.draw);
    let actions = &decision.request.bundle.actions;
    let slate = &draw.slate;
    let passed_over = match &decision.reason {
        Some(reason) if draw.filled() == 0 => reason.to_string(),
        _ => "another candidate was drawn".to_owned(),
    };
    let scored = decision
        .policy()
        .is_some_and(|policy| policy.model.is_some());
    for (candidate, &action) in draw.open.iter().enumerate() {
        let slot = slate.picks.iter().position(|&pick| pick == candidate);
        let score = draw.scores.get(candidate).filter(|_| scored);
        let probability = slate.probabilities.get(candidate);
        let (step, reason) = match slot {
            Some(_) => ("shown", None),
            None => ("choose", datum::text(&passed_over)),
        };
        rows.push([
            datum::text(actions.name(&surface.actions[action])),
            score.and_then(|&score| datum::float8(score.into())),
            probability.and_then(|&probability| datum::float8(probability)),
            datum::text(step),
            reason,
            slot.and_then(|slot| datum::int4(slot as i32 + 1)),
            slot.and_then(|slot| datum::float8(slate.chosen[slot])),
        ]);
    }
}

fn push_blocked(decision: &Decision<'_>, rows: &mut Rows) {
    for blocked in decision.blocked() {
        let (step, reason) = blocked.why.describe();
        let cap = match blocked.why {
            Blocked::Cap(number) => decision.request.bundle.cap(number),
            _ => None,
        };
        let mut errors = decision.candidates.rule_errors.iter();
        let reason = match errors.find(|of| of.action == blocked.action) {
            Some(failed) => format!("{reason}: {}", failed.error),
            None => match cap {
                Some(cap) => format!("{reason}: {}", cap.name),
                None => reason.to_owned(),
            },
        };
        let request = &decision.request;
        let action = &request.surface.actions[blocked.action];
        let action = request.bundle.actions.name(action);
        rows.push(left_out(action, step, &reason, None));
    }
}

/// A row without score: of a blocked action, or of the fallback, which is shown in `slot`.
fn left_out<'a>(action: &'a str, step: &'a str, reason: &'a str, slot: Arg<'a>) -> [Arg<'a>; 7] {
    let probability = slot.and(datum::float8(1.0));
    [
        datum::text(action),
        None,
        None,
        datum::text(step),
        datum::text(reason),
        slot,
        probability,
    ]
}
