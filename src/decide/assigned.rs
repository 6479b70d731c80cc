//! The variants of experiments that a request has got, and what they put in the place of the surface's own.

use std::cell::{Cell, RefCell};

use crate::math::ledger;
use crate::policy::{Bundle, Experiment, Surface, Terms};

/// What a trace says of an assignment, as bits.
pub const CHANGED: i32 = 1;
pub const OVERRIDDEN: i32 = 2;
pub const KEPT: i32 = 4;

/// The position of the variant of a request whose unit is not known.
const NO_UNIT: i32 = -1;

/// How many numbers a trace has of each experiment: those of the experiment, of the variant, and the bits.
const WIDTH: usize = 3;

/// A variant that a request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The index of the experiment in the bundle, and of the variant in it.
    pub experiment: usize,
    pub variant: Option<usize>,
    pub flags: i32,
    /// The row of the user does not have it yet, and is to.
    pub is_new: bool,
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

    /// Adds one, with what it makes of the surface.
    pub fn add(&self, surface: &Surface, mut assigned: Assigned) {
        let variant = assigned.variant;
        let arm = variant.and_then(|variant| surface.arm_of(assigned.experiment, variant));
        // Publishing lets no two experiments change a surface for one user; an override may.
        if arm.is_some() && self.arm.get().is_none() {
            self.arm.set(arm);
            let terms = self.terms(surface);
            let changes_more = !std::ptr::eq(terms.limits, &surface.limits)
                || terms.policy.map(|of| &of.name) != surface.policy.as_ref().map(|of| &of.name);
            assigned.flags |= if changes_more { CHANGED } else { 0 };
        }
        self.assigned.borrow_mut().push(assigned);
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

    /// Writes what a trace keeps of them.
    pub fn write(&self, bundle: &Bundle, column: &mut Vec<i32>) {
        column.clear();
        self.each(|of| {
            let variant = of.variant.map_or(NO_UNIT, |index| index as i32);
            column.extend([bundle.experiments[of.experiment].number, variant, of.flags]);
        });
    }

    pub fn forget(&self) {
        self.arm.set(None);
        self.assigned.borrow_mut().clear();
    }
}

/// The number of the block in the row of a user that keeps the variant of an experiment. Those of caps are positive.
pub fn kept_as(experiment: &Experiment) -> i64 {
    -i64::from(experiment.number)
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
