//! Which variants of experiments a request gets, and what they change of it. Nothing is read or locked for that: assignment
//! looks at the identifier of the unit, what the image has of the experiment, and at what the rules have said of the request.

use super::assigned::{Assigned, KEPT, OVERRIDDEN, kept_as};
use super::envelope::Envelope;
use super::features::Features;
use super::request::Request;
use crate::eligibility::{Verdict, Verdicts};
use crate::math::ledger;
use crate::policy::{Experiment, context_value, value_text};

/// The index of the variant that the row of the user keeps.
fn kept(experiment: &Experiment, exposures: &[i64]) -> Option<usize> {
    let &[_, variant, _] = ledger::block(exposures, kept_as(experiment)).first_chunk()?;
    let variant = usize::try_from(variant).ok()?;
    (variant < experiment.variants.len()).then_some(variant)
}

/// Assigns the request in every experiment of its surface. `verdicts` are those of the rules of the surface.
pub fn assign(
    request: &Request<'_>,
    features: &Features,
    envelope: &Envelope,
    verdicts: Option<&Verdicts>,
) {
    let (surface, variants) = (request.surface, &request.variants);
    if surface.experiments.is_empty() {
        return;
    }
    variants.forget();
    for here in &surface.experiments {
        let is_target = here.rule.is_none_or(|rule| {
            let verdict = verdicts.map(|verdicts| verdicts.of(rule, 0));
            !envelope.open_rules.skips(rule) && verdict == Some(Verdict::Holds)
        });
        let experiment = &request.bundle.experiments[here.experiment];
        let exposures = &features.user.exposures;
        let kept = kept(experiment, exposures).filter(|_| experiment.sticky);
        let Some((variant, flags)) = variant(request, experiment, is_target, kept) else {
            continue;
        };
        let assigned = Assigned {
            experiment: here.experiment,
            variant,
            flags,
            is_new: envelope.decides
                && experiment.sticky
                && kept.is_none()
                && variant.is_some()
                && flags == 0,
        };
        variants.add(surface, assigned);
    }
}

/// The index of the variant in an experiment, with what the trace is to say of it; None where the request is not in it. Testers are
/// in it whoever they are.
fn variant(
    request: &Request<'_>,
    experiment: &Experiment,
    is_target: bool,
    kept: Option<usize>,
) -> Option<(Option<usize>, i32)> {
    let field = |name: &str| context_value(request.context.get(name));
    if let Some(variant) = experiment.overridden(field) {
        return Some((Some(variant), OVERRIDDEN));
    }
    if !is_target {
        return None;
    }
    let now = request.now;
    let assigned = match &experiment.unit_field {
        None => match request.user_id {
            None => return Some((None, 0)),
            Some(user_id) => experiment.assign(user_id, now),
        },
        Some(name) => match value_text(&field(name)).filter(|text| !text.is_empty()) {
            None => return Some((None, 0)),
            Some(text) => experiment.assign(&text, now),
        },
    };
    match kept {
        Some(kept) if assigned != Some(kept) => Some((Some(kept), KEPT)),
        _ => assigned.map(|variant| (Some(variant), 0)),
    }
}
