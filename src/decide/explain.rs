//! What a decision would be and why, without making it.

use super::blocked::Blocked;
use super::request::DecideArgs;
use super::{Reason, consider};
use crate::error::OrRaise;
use crate::pg::call::Call;
use crate::pg::datum::{self, Arg};

/// Pushes a row per action of the surface, and one per slot that the fallback would get.
pub fn explain(asked: &DecideArgs<'_>, call: &Call) {
    consider(asked, |decision, buffers| {
        let surface = decision.request.surface;
        let mut rows = call.rows();
        let passed_over = match &decision.reason {
            Some(reason) if buffers.slate.picks.is_empty() => reason.to_string(),
            _ => "another candidate was drawn".to_owned(),
        };
        let scored = decision.policy.is_some_and(|policy| policy.model.is_some());
        for (candidate, &i) in buffers.open.iter().enumerate() {
            let slot = buffers
                .slate
                .picks
                .iter()
                .position(|&pick| pick == candidate);
            let score = buffers.scores.get(candidate).filter(|_| scored);
            let (step, reason) = match slot {
                Some(_) => ("shown", None),
                None => ("choose", datum::text(&passed_over)),
            };
            rows.push([
                datum::text(&surface.actions[i].name),
                score.and_then(|score| datum::float8(f64::from(*score))),
                buffers
                    .slate
                    .probabilities
                    .get(candidate)
                    .and_then(|p| datum::float8(*p)),
                datum::text(step),
                reason,
                slot.and_then(|slot| datum::int4(slot as i32 + 1)),
                slot.and_then(|slot| datum::float8(buffers.slate.chosen[slot])),
            ]);
        }
        for (&i, &by) in buffers.blocked.iter().zip(&buffers.blocked_by) {
            let action = &surface.actions[i].name;
            let (step, reason) = Blocked::from_code(by).describe();
            let error = buffers.errors.iter().flatten().find_map(|error| {
                error
                    .strip_prefix(action.as_str())
                    .and_then(|rest| rest.strip_prefix(": "))
            });
            let reason = match error {
                Some(error) => format!("{reason}: {error}"),
                None => reason.to_owned(),
            };
            rows.push(left_out(action, step, &reason, None));
        }
        if decision.reason == Some(Reason::Paused) {
            for action in &surface.actions {
                rows.push(left_out(
                    &action.name,
                    "mode",
                    "the surface is paused",
                    None,
                ));
            }
        }
        let Some(reason) = &decision.reason else {
            return;
        };
        for slot in buffers.slate.picks.len()..surface.slots {
            let number = datum::int4(slot as i32 + 1);
            rows.push(left_out(
                &surface.fallback.name,
                "fallback",
                &reason.to_string(),
                number,
            ));
        }
    })
    .or_raise();
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
