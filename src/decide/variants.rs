//! Which variants of experiments a request gets, and what they change of it. Nothing is read or locked for that: assignment
//! looks at the identifier of the unit, what the image has of the experiment, and at what the rules have said of the request.

use std::cell::{Cell, RefCell};

use super::envelope::Envelope;
use super::features::Features;
use super::request::Request;
use crate::eligibility::{Verdict, Verdicts};
use crate::math::ledger;
use crate::policy::{Bundle, Experiment, Surface, Terms, context_value, value_text};

/// What a trace says of an assignment, as bits.
pub const CHANGED: i32 = 1;
pub const OVERRIDDEN: i32 = 2;
pub const KEPT: i32 = 4;

/// The position of the variant of a request whose unit is not known.
pub const NO_UNIT: i32 = -1;

/// How many numbers a trace has of each experiment: those of the experiment, of the variant, and the bits.
pub const WIDTH: usize = 3;

/// A variant that a request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The index of the experiment in the bundle, and of the variant in it.
    pub experiment: usize,
    pub variant: Option<usize>,
    pub flags: i32,
    /// The row of the user does not have it yet, and is to.
    is_new: bool,
}

/// What experiments have made of a request.
#[derive(Default)]
pub struct Variants {
    assigned: RefCell<Vec<Assigned>>,
    /// The index of the arm of the surface.
    arm: Cell<Option<usize>>,
}

impl Variants {
    /// What the decision is made with.
    pub fn terms<'a>(&self, surface: &'a Surface) -> Terms<'a> {
        surface.terms(self.arm.get())
    }

    /// Those that the request has got, in the order of experiments.
    pub fn each(&self, mut then: impl FnMut(&Assigned)) {
        self.assigned.borrow().iter().for_each(&mut then);
    }

    /// Whether the row of the user is to keep one of them.
    pub fn are_to_be_kept(&self) -> bool {
        self.assigned.borrow().iter().any(|of| of.is_new)
    }

    /// Adds those that are to be kept to what the row of the user has of caps; whether there are any. Of experiments that are not
    /// running it keeps none.
    pub fn keep(&self, bundle: &Bundle, now: i64, exposures: &mut Vec<i64>) -> bool {
        let mut has_added = false;
        for of in self.assigned.borrow().iter().filter(|of| of.is_new) {
            let number = kept_as(&bundle.experiments[of.experiment]);
            let Some(variant) = of.variant else {
                continue;
            };
            if ledger::block(exposures, number).is_empty() {
                ledger::put(exposures, number, &[now, variant as i64, 0]);
                has_added = true;
            }
        }
        if has_added {
            let is_kept = |number: i64| {
                let mut sticky = bundle.experiments.iter().filter(|of| of.sticky);
                number >= 0 || sticky.any(|of| kept_as(of) == number)
            };
            let blocks = ledger::blocks(exposures).into_iter();
            let over: Vec<i64> = blocks
                .map(|(number, _)| number)
                .filter(|&of| !is_kept(of))
                .collect();
            over.iter()
                .for_each(|&number| ledger::put(exposures, number, &[]));
        }
        has_added
    }

    /// Notes an action that is a candidate, or would be one: whether the arm makes a difference to it.
    pub fn note(&self, surface: &Surface, action: i32, is_candidate: bool) {
        let Some(arm) = self.arm.get().and_then(|index| surface.arms.get(index)) else {
            return;
        };
        if is_candidate == surface.left_out.binary_search(&action).is_err() {
            return;
        }
        let mut assigned = self.assigned.borrow_mut();
        let of_arm = assigned
            .iter_mut()
            .find(|of| of.experiment == arm.experiment);
        if let Some(of) = of_arm {
            of.flags |= CHANGED;
        }
    }

    fn forget(&self) {
        self.arm.set(None);
        self.assigned.borrow_mut().clear();
    }
}

/// The number of the block in the row of a user that keeps the variant of an experiment. Those of caps are positive.
fn kept_as(experiment: &Experiment) -> i64 {
    -i64::from(experiment.number)
}

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
        let mut assigned = Assigned {
            experiment: here.experiment,
            variant,
            flags,
            is_new: envelope.decides
                && experiment.sticky
                && kept.is_none()
                && variant.is_some()
                && flags == 0,
        };
        let arm = variant.and_then(|variant| surface.arm_of(here.experiment, variant));
        // Publishing lets no two experiments change a surface for one user; an override may.
        if arm.is_some() && variants.arm.get().is_none() {
            variants.arm.set(arm);
            let terms = variants.terms(surface);
            let changes_more = !std::ptr::eq(terms.limits, &surface.limits)
                || terms.policy.map(|of| &of.name) != surface.policy.as_ref().map(|of| &of.name);
            assigned.flags |= if changes_more { CHANGED } else { 0 };
        }
        variants.assigned.borrow_mut().push(assigned);
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

/// Writes what a trace keeps of them.
pub fn write(request: &Request<'_>, column: &mut Vec<i32>) {
    column.clear();
    request.variants.each(|of| {
        let variant = of.variant.map_or(NO_UNIT, |index| index as i32);
        let number = request.bundle.experiments[of.experiment].number;
        column.extend([number, variant, of.flags]);
    });
}

/// What a decision was made with, by what its trace says of variants.
pub fn traced<'a>(surface: &'a Surface, experiments: &[Experiment], column: &[i32]) -> Terms<'a> {
    let mut assigned = column.as_chunks::<WIDTH>().0.iter();
    let arm = assigned.find_map(|&[number, variant, _]| {
        let experiment = experiments.iter().position(|of| of.number == number)?;
        surface.arm_of(experiment, usize::try_from(variant).ok()?)
    });
    surface.terms(arm)
}
