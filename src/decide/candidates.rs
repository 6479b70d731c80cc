//! Third stage: which of the surface's actions may be had now, but for caps, and why the others may not.

use super::blocked::{Blocked, BlockedAction};
use super::envelope::{Asking, Dependency, Envelope};
use super::features::Features;
use super::request::Request;
use super::variants;
use crate::eligibility::{self, Verdict, Verdicts};
use crate::pg::datum;

/// How many errors of rules a trace keeps; `blocked_by` names the actions of all.
const MOST_ERRORS: usize = 20;

/// Indexes of the surface's actions, in their order.
#[derive(Default)]
pub struct Candidates {
    pub eligible: Vec<usize>,
    pub blocked: Vec<BlockedAction>,
    pub rule_errors: Vec<RuleError>,
}

/// What the rule of an action failed with.
pub struct RuleError {
    pub action: usize,
    pub error: String,
}

impl Candidates {
    pub fn clear(&mut self) {
        self.eligible.clear();
        self.blocked.clear();
        self.rule_errors.clear();
    }
}

/// Finds them, by the vector of features, consent, region, campaigns, switches, rules, and what earlier surfaces of the page show, in the
/// order of numbers.
pub fn find(
    request: &Request<'_>,
    features: &Features,
    envelope: &Envelope,
    shown: &[i32],
    candidates: &mut Candidates,
) {
    let surface = request.surface;
    let verdicts = (!surface.rules.is_empty()).then(|| {
        envelope.depend_on(Dependency::Rules, || {
            ask(request, envelope, &features.vector)
        })
    });
    variants::assign(request, features, envelope, verdicts.as_ref());
    let terms = request.terms();
    let is_unique = !shown.is_empty() && request.policy().is_some_and(|of| of.unique_on_page);
    let mut left_out = terms.left_out.iter().peekable();
    let mut is_left_out = |number: i32| {
        while left_out.next_if(|&&of| of < number).is_some() {}
        left_out.next_if(|&&of| of == number).is_some()
    };
    // The surface could show its fallback in any case.
    let is_on_page = |number: i32| {
        is_unique && number != surface.fallback.number && shown.binary_search(&number).is_ok()
    };
    let region = request.region();
    let out = region.map_or(&[][..], |region| region.out_of(surface.index));
    let is_out = |i: usize| {
        out.get(i / 64)
            .is_some_and(|bits| bits & (1 << (i % 64)) != 0)
    };
    // Among very many actions, what bears on none of them is not asked of each.
    let by_dates = surface.rules.is_empty()
        && request.bundle.killed.is_empty()
        && features.denied == 0
        && terms.left_out.is_empty()
        && surface.left_out.is_empty()
        && out.is_empty()
        && !is_unique;
    for (i, action) in surface.actions.iter().enumerate() {
        if by_dates && (action.starts..action.ends).contains(&request.now) {
            candidates.eligible.push(i);
            continue;
        }
        let verdict = match (&verdicts, action.rule()) {
            (Some(verdicts), Some(rule)) => verdicts.of(rule, action.number),
            _ => Verdict::Holds,
        };
        let why = match verdict {
            _ if request.bundle.killed.takes_out(action) => Blocked::Killed,
            _ if features.denied != 0 && request.bundle.actions.needs(action, features.denied) => {
                Blocked::Consent
            }
            _ if is_out(i) => Blocked::Region,
            _ if request.now < action.starts => Blocked::NotStarted,
            _ if request.now >= action.ends => Blocked::Ended,
            _ if is_on_page(action.number) => Blocked::OnPage,
            _ if action
                .rule()
                .is_some_and(|rule| envelope.open_rules.skips(rule)) =>
            {
                Blocked::Breaker
            }
            Verdict::Holds if is_left_out(action.number) => {
                request.variants.note(surface, action.number, false);
                Blocked::Variant
            }
            Verdict::Holds => {
                request.variants.note(surface, action.number, true);
                candidates.eligible.push(i);
                continue;
            }
            Verdict::No => Blocked::Rule,
            Verdict::Failed(error) => {
                if candidates.rule_errors.len() < MOST_ERRORS {
                    candidates.rule_errors.push(RuleError { action: i, error });
                }
                Blocked::RuleFailed
            }
        };
        candidates.blocked.push(BlockedAction { action: i, why });
    }
}

fn ask(request: &Request<'_>, envelope: &Envelope, vector: &[f64]) -> Verdicts {
    let asked = eligibility::Request {
        user_key: datum::uuid(request.user_key.get()),
        context: Some(request.context.datum()),
        features: vector,
        with_messages: !envelope.decides,
    };
    let rules = &request.surface.rules;
    let (skipped, until) = (&envelope.open_rules, &envelope.rules_until);
    let mut verdicts = match envelope.asking {
        Asking::Together => rules.evaluate(&asked, skipped, until),
        Asking::Each => rules.evaluate_each(&asked, skipped, until),
        Asking::NotAgain => return rules.all_failed(&envelope.late()),
    };
    envelope.report(std::mem::take(&mut verdicts.report));
    verdicts
}
