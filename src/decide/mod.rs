//! A request passes through: the pipeline of a decision.

mod blocked;
mod candidates;
mod catalog;
mod distribution;
mod envelope;
mod explain;
mod features;
mod last_known;
mod narrow;
mod reason;
mod replay;
mod request;
mod reserve;
mod score;
mod trace;
mod verbs;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

pub use request::{DecideArgs, Request};
use uuid::Uuid;

use envelope::Envelope;
use reason::Reason;
use reserve::{MOST_DRAWS, Reservation};

use crate::caps;
use crate::error::Error;
use crate::govern::modes::Mode;
use crate::math::choice::Slate;
use crate::math::random::next_seed;
use crate::math::scorer::Coordinate;
use crate::pg::attempt::{Caught, attempt, sqlstate};
use crate::pg::{Session, session};
use crate::policy::{self, Bundle, Policy, Surface, UserRow};

/// One decision, with all that its trace needs to know.
pub struct Decision<'a> {
    pub bundle: &'a Bundle,
    pub request: Request<'a>,
    pub id: Uuid,
    /// When it was made. Features and rules are as of `request.now`, which is before where others were waited for.
    pub moment: i64,
    pub policy: Option<&'a Policy>,
    /// Why slots are left to the fallback, if any are.
    pub reason: Option<Reason>,
    /// Microseconds in: request, features, candidates, score, choose, reserve.
    pub stage_us: [i32; 6],
}

/// Buffers that a backend uses for one decision after another, so that none is allocated twice.
#[derive(Default)]
pub struct Buffers {
    pub state: UserRow,
    /// The vector, in the bundle's order.
    pub features: Vec<f64>,
    /// Places in it, from 1, that have their default since the feature is missing.
    pub missing: Vec<i16>,
    /// What is kept per key and was there: pairs of a place among the surface's affinities and a value.
    pub affinities: Vec<f64>,
    /// How many events of the user were in all that.
    pub seen: i64,
    /// All of it as a model wants it.
    pub inputs: Vec<f64>,
    /// Positions in the surface's actions: candidates, and blocked ones with the reason.
    pub open: Vec<usize>,
    pub blocked: Vec<usize>,
    /// Those that are open but for caps, and how many are blocked by something else.
    pub allowed: Vec<usize>,
    pub blocked_otherwise: usize,
    /// The seed of the draw that counts.
    pub seed: u64,
    /// The moment of the decision: that of the request, or a later one where others were waited for.
    pub moment: i64,
    pub blocked_by: Vec<i32>,
    pub errors: Vec<Option<String>>,
    /// Rules are being asked: what fails now is one of them.
    pub in_rules: Cell<bool>,
    /// The row of the user is being read: what fails now is that.
    pub in_features: Cell<bool>,
    /// The model's request vector.
    pub vector: Vec<Coordinate>,
    pub all_scores: Vec<f32>,
    /// Pairs of the slot of a budget and the price of its units.
    pub duals: Vec<f64>,
    /// Per candidate.
    pub scores: Vec<f32>,
    pub slate: Slate,
    /// Pairs of a slot, from 2, and the number of a candidate that it could not have any more.
    pub dropped: Vec<i32>,
    /// Slots of soft caps that gave way.
    pub relaxed: Vec<i32>,
    /// What is reserved for events: a slot of the slate, the slot of a cap, the stripe that holds it (-1: the row of
    /// the user), and the amount.
    pub holds: Vec<i64>,
    pub numbers: Vec<i32>,
}

impl Buffers {
    fn clear(&mut self) {
        self.state.clear();
        self.features.clear();
        self.missing.clear();
        self.affinities.clear();
        self.seen = 0;
        self.open.clear();
        self.blocked.clear();
        self.allowed.clear();
        self.blocked_by.clear();
        self.errors.clear();
        self.in_rules.set(false);
        self.in_features.set(false);
        self.duals.clear();
        self.choose_nothing();
    }

    /// Takes back the choice: what is shown is the fallback.
    fn choose_nothing(&mut self) {
        self.scores.clear();
        self.dropped.clear();
        self.relaxed.clear();
        self.holds.clear();
        self.slate.probabilities.clear();
        self.slate.picks.clear();
        self.slate.chosen.clear();
    }

    /// The action of each slot, by number: what was picked, then the fallback. Its probability is 1.
    fn fill_slots(&mut self, surface: &Surface) -> Vec<i32> {
        let picks = self.slate.picks.iter();
        let mut actions: Vec<i32> = picks
            .map(|&pick| surface.actions[self.open[pick]].number)
            .collect();
        actions.resize(surface.slots, surface.fallback.number);
        self.slate.chosen.resize(surface.slots, 1.0);
        actions
    }
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Decides, and hands the decision and the buffers it was made on to `then`, in the same session. Reads only,
/// but for the breakers of rules where the asker writes.
pub fn consider<T>(
    asked: &DecideArgs<'_>,
    then: impl FnOnce(&Decision<'_>, &mut Buffers) -> T,
) -> Result<T, Error> {
    BUFFERS.with(|buffers| {
        let mut buffers = buffers.try_borrow_mut().map_err(|_| Error::Nested)?;
        let bundle: Rc<Bundle> = policy::current(asked.now)?;
        let _session = Session::open();
        let place = match asked.takes {
            true => envelope::admit(),
            false => Ok(None),
        };
        let decision = pipeline(asked, &bundle, place.is_ok(), &mut buffers)?;
        Ok(then(&decision, &mut buffers))
    })
}

/// Request → features → candidates → score, which may fail and are undone then, → what may be had of
/// it → choose, and take it from the counters; the fallback where a stage cannot go on.
fn pipeline<'a>(
    asked: &DecideArgs<'a>,
    bundle: &'a Bundle,
    admitted: bool,
    buffers: &mut Buffers,
) -> Result<Decision<'a>, Error> {
    let mut watch = Stopwatch::start();
    buffers.clear();
    let request = request::normalize(asked, bundle)?;
    buffers.seed = request.seed;
    buffers.moment = request.now;
    watch.lap();
    let mut envelope = Envelope::open(&request, watch.began, asked.takes && admitted);
    let weighed = match admitted {
        true => weigh_within(&mut envelope, &request, bundle, buffers, &mut watch),
        false => Ok(Err(Reason::Overload)),
    };
    let reason = match weighed {
        Ok(Ok(policy)) => choose(policy, &request, bundle, &envelope, buffers, &mut watch).err(),
        Ok(Err(reason)) => Some(reason),
        Err(error) => {
            buffers.clear();
            buffers.errors.push(Some(match asked.takes {
                true => error.describe(),
                false => error.in_full(),
            }));
            Some(Reason::Failed(sqlstate(error.code)))
        }
    };
    Ok(Decision {
        bundle,
        policy: request.surface.policy.as_ref(),
        id: request.id_at(buffers.moment),
        moment: buffers.moment,
        request,
        reason,
        stage_us: watch.laps,
    })
}

/// Weighs, and does it otherwise where something has failed or was late.
#[allow(clippy::result_large_err)] // as that of `attempt`
fn weigh_within<'a>(
    envelope: &mut Envelope,
    request: &Request<'a>,
    bundle: &Bundle,
    buffers: &mut Buffers,
    watch: &mut Stopwatch,
) -> Result<Result<&'a Policy, Reason>, Caught> {
    let weighed = loop {
        let weighed = attempt(|| weigh(request, bundle, envelope, buffers, watch));
        match &weighed {
            Err(error) if envelope.learn(error, request, buffers) => {
                buffers.clear();
                watch.back_to(FEATURES);
            }
            _ => break weighed,
        }
    };
    envelope.account(request);
    weighed
}

/// What may fail: each stage leaves its result on the buffers.
fn weigh<'a>(
    request: &Request<'a>,
    bundle: &Bundle,
    envelope: &Envelope,
    buffers: &mut Buffers,
    watch: &mut Stopwatch,
) -> Result<&'a Policy, Reason> {
    let surface = request.surface;
    if request.mode_limits.mode == Mode::Paused {
        return Err(Reason::Paused);
    }
    features::read(request, bundle, envelope, buffers);
    watch.lap();
    candidates::find(request, envelope, buffers);
    watch.lap();
    envelope.narrow(watch.last, &watch.laps, request, buffers)?;
    let policy = able(surface.policy.as_ref())?;
    score::score(policy, surface, &request.fields, buffers);
    caps::prices(bundle.caps_of(surface), &mut buffers.duals);
    score::price(policy, surface, bundle, buffers);
    watch.lap();
    Ok(policy)
}

/// Draws an action for each slot from what may be had, and takes it from the counters of its caps.
fn choose(
    policy: &Policy,
    request: &Request<'_>,
    bundle: &Bundle,
    envelope: &Envelope,
    buffers: &mut Buffers,
    watch: &mut Stopwatch,
) -> Result<(), Reason> {
    let slots = request.surface.slots;
    let choice = request.choice(policy);
    let share = request.mode_limits.candidates;
    if request.surface.limits.caps.is_empty() {
        score::of_open(buffers);
        narrow::to_share(share, slots, buffers);
        buffers
            .slate
            .choose(&choice, &buffers.scores, slots, buffers.seed);
        watch.lap();
    } else {
        let mut reservation = Reservation::open(
            request,
            bundle,
            envelope.takes,
            envelope.time_left(),
            buffers,
        );
        buffers.blocked_otherwise = buffers.blocked.len();
        std::mem::swap(&mut buffers.allowed, &mut buffers.open);
        let mut draws = 0;
        loop {
            session::check_interrupts();
            reservation.constrain(buffers);
            score::of_open(buffers);
            narrow::to_share(share, slots, buffers);
            reservation.draw(&choice, buffers);
            if buffers.slate.picks.len() < slots && reservation.relax(buffers) {
                continue;
            }
            watch.lap();
            let taken = reservation.take(envelope.time_left(), buffers);
            buffers.moment = reservation.moment();
            if taken {
                watch.lap();
                break;
            }
            watch.back_to(CHOOSE);
            draws += 1;
            if draws == MOST_DRAWS || envelope.is_over() {
                reservation.take_nothing(buffers);
                return Err(Reason::Timeout("reserve"));
            }
            buffers.seed = next_seed(buffers.seed);
        }
    }
    match buffers.slate.picks.len() {
        filled if filled < slots => Err(Reason::NoCandidate),
        _ => Ok(()),
    }
}

/// The policy, if it can choose.
fn able(policy: Option<&Policy>) -> Result<&Policy, Reason> {
    let policy = policy.ok_or(Reason::NoPolicy)?;
    match policy.model {
        None if policy.needs_scores => Err(Reason::NoModel),
        _ => Ok(policy),
    }
}

/// The laps of the stages that are measured more than once where they are gone through again.
const FEATURES: usize = 1;
const CHOOSE: usize = 4;

/// Microseconds per stage.
struct Stopwatch {
    began: Instant,
    last: Instant,
    laps: [i32; 6],
    lap: usize,
}

impl Stopwatch {
    fn start() -> Stopwatch {
        let now = Instant::now();
        Stopwatch {
            began: now,
            last: now,
            laps: [0; 6],
            lap: 0,
        }
    }

    /// Measures again from that lap on.
    fn back_to(&mut self, lap: usize) {
        self.lap = lap;
    }

    /// Adds to the lap what has passed since the last one.
    fn lap(&mut self) {
        let now = Instant::now();
        if let Some(lap) = self.laps.get_mut(self.lap) {
            let passed = now.duration_since(self.last).as_micros();
            *lap = lap.saturating_add(passed.min(i32::MAX as u128) as i32);
        }
        self.last = now;
        self.lap += 1;
    }
}
