//! A decision recomputed from its trace: bundle, model, features and seed give the same bits, or
//! the answer says what differs.

use pgrx::pg_sys::{TIMESTAMPTZOID, UUIDOID};
use uuid::Uuid;

use super::answer::Answer;
use super::assigned;
use super::columns;
use super::draw::Draw;
use super::features::Features;
use super::reason::Reason;
use super::score::{Scores, require_model};
use super::traced;
use crate::error::Error;
use crate::govern::modes::Mode;
use crate::math::choice::{Choice, Scored};
use crate::math::identifier::moment_of;
use crate::pg::record::{Select, Timestamp, select_row};
use crate::pg::{Session, clock, datum};
use crate::policy::{self, Policy, Surface};

select_row! {
    /// What a trace says that a replay needs.
    struct Trace {
        bundle: Option<i64>,
        snapshot: Option<Timestamp>,
        switches: Option<i64>,
        decided_at: Timestamp,
        features_at: Option<Timestamp>,
        mode: String,
        origin: Option<String>,
        surface: String,
        seed: i64,
        filled: i16,
        reason: Option<String>,
        actions: Vec<i32>,
        chosen: Vec<f64>,
        candidates: Vec<i32>,
        blocked_by: Vec<i32>,
        scores: Option<Vec<f32>>,
        spreads: Option<Vec<f32>>,
        choice: Option<Vec<f64>>,
        features: Vec<f64>,
        missing: Vec<i16>,
        affinities: Vec<f64>,
        duals: Vec<f64>,
        context_values: Vec<Option<String>>,
        dropped: Vec<i32>,
        variants: Vec<i32>,
        region: Option<String>,
    }
}

impl Trace {
    fn mode(&self) -> Mode {
        Mode::named(&self.mode).unwrap_or_default()
    }

    /// How many slots the policy filled.
    fn filled(&self) -> usize {
        usize::try_from(self.filled).unwrap_or(0)
    }

    /// How a policy chose.
    fn choice_of(&self, policy: &Policy) -> Choice {
        traced::choice_of(policy.choice, self.mode(), self.choice.as_deref())
    }
}

thread_local! {
    static TRACE: Select<Trace> = const { Select::new(
        "FROM decide.trace AS t WHERE t.decision_id = $1 AND t.decided_at = $2",
        &[UUIDOID, TIMESTAMPTZOID]) };
}

/// None if every bit agrees, else what differs first.
pub fn replay(decision_id: Uuid) -> Result<Option<String>, Error> {
    let trace = find(decision_id)?;
    let Some(number) = trace.bundle.filter(|_| trace.origin.is_none()) else {
        return Ok(Some("it was made elsewhere and imported".into()));
    };
    let bundle = policy::with_inputs(policy::DecisionInputs {
        bundle: number,
        snapshot: trace.snapshot.map(|at| at.0),
        switches: trace.switches,
        at: trace.features_at.unwrap_or(trace.decided_at).0,
    })?;
    let surface = bundle
        .surfaces
        .get(&trace.surface)
        .ok_or_else(|| Error::Damaged(format!("bundle {number} has no such surface")))?;
    if let Some(reason) = trace.reason.as_deref().filter(|r| traced::cut_short(r)) {
        return Ok(differs(
            trace.filled() == 0 && trace.actions.iter().all(|&a| a == surface.fallback.number),
            || format!("it was cut short ({reason}), but it is not the fallback that was shown"),
        ));
    }
    let mut features = Features::default();
    let Trace {
        features: vector,
        missing,
        affinities,
        ..
    } = &trace;
    traced::read_features(vector, missing, affinities, &mut features);
    let mut scores = Scores::at(columns::prices(&trace.duals));
    let mut draw = Draw::default();
    if let Err(number) = traced::open(&trace.candidates, surface, &mut draw) {
        return Ok(Some(format!("candidate {number} is not of this surface")));
    }
    let fields = traced::fields(&trace.context_values);
    let terms = assigned::traced(surface, &bundle.experiments, &trace.variants);
    let region = bundle.regions.traced(trace.region.as_deref());
    let policy = terms.policy_in(region);
    let reason = match require_model(policy) {
        _ if trace.mode() == Mode::Paused => Some(Reason::Paused),
        Err(reason) => Some(reason),
        Ok(policy) => {
            let scorer = bundle.scorer(terms);
            scores.apply_model(policy, scorer, surface, &fields, &features);
            scores.take_off_prices(policy, terms.limits, &bundle);
            scores.write(&mut draw);
            redraw(policy, surface, &trace, &mut draw);
            let is_short = draw.filled() < surface.slots;
            is_short.then(|| Reason::of_empty_slots(trace.blocked_by.iter().copied()))
        }
    };
    Ok(compare(&trace, surface, policy, &draw, reason.as_ref()))
}

/// The draw, with what earlier slots left no capacity for taken from the trace.
fn redraw(policy: &Policy, surface: &Surface, trace: &Trace, draw: &mut Draw) {
    let dropped = columns::dropped(&trace.dropped);
    let open = &draw.open;
    let scored = Scored {
        scores: &draw.scores,
        spreads: &draw.spreads,
    };
    draw.slate.choose_within(
        &trace.choice_of(policy),
        scored,
        surface.slots,
        trace.seed as u64,
        |slot, _, gone| traced::drop_after(&dropped, slot, surface, open, gone),
    );
}

fn compare(
    trace: &Trace,
    surface: &Surface,
    policy: Option<&Policy>,
    draw: &Draw,
    reason: Option<&Reason>,
) -> Option<String> {
    let mut answer = Answer::default();
    answer.fill(surface, draw);
    let shown = || answer.slots().iter();
    let actions = shown().map(|shown| shown.action(surface).number);
    let chosen: Vec<f64> = shown().map(|shown| shown.probability).collect();
    differs(trace.reason == reason.map(ToString::to_string), || {
        "the reason differs".into()
    })
    .or_else(|| {
        differs(trace.filled() == draw.filled(), || {
            "the number of slots that the policy filled differs".into()
        })
    })
    .or_else(|| {
        differs(same_floats(&trace.scores, &draw.scores), || {
            "the scores differ".into()
        })
    })
    .or_else(|| {
        differs(same_floats(&trace.spreads, &draw.spreads), || {
            "the spreads differ".into()
        })
    })
    .or_else(|| {
        differs(same_choice(trace, policy), || {
            "the numbers of the choice differ".into()
        })
    })
    .or_else(|| {
        differs(actions.eq(trace.actions.iter().copied()), || {
            "the actions differ".into()
        })
    })
    .or_else(|| {
        differs(same_bits(&trace.chosen, &chosen), || {
            "the probabilities of the chosen differ".into()
        })
    })
}

fn differs(agree: bool, what: impl FnOnce() -> String) -> Option<String> {
    (!agree).then(what)
}

/// Scores are kept where a model was asked and the policy filled a slot, spreads where it also looks at them.
fn same_floats(kept: &Option<Vec<f32>>, found: &[f32]) -> bool {
    kept.as_ref().is_none_or(|kept| {
        let pairs = || kept.iter().zip(found);
        kept.len() == found.len() && pairs().all(|(a, b)| a.to_bits() == b.to_bits())
    })
}

fn same_choice(trace: &Trace, policy: Option<&Policy>) -> bool {
    let choice = policy.filter(|_| trace.filled() > 0);
    match (&trace.choice, choice) {
        (Some(kept), Some(policy)) => same_bits(kept, &trace.choice_of(policy).to_numbers()),
        (None, None) => true,
        _ => false,
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn find(decision_id: Uuid) -> Result<Trace, Error> {
    let unknown = || Error::UnknownDecision(decision_id.to_string());
    let decided_at = clock::from_unix_micros(moment_of(decision_id).ok_or_else(unknown)?);
    let _session = Session::open();
    let mut found = None;
    TRACE.with(|select| {
        let args = [datum::uuid(decision_id), datum::timestamp(decided_at)];
        select.read(&args, |trace| found = Some(trace))
    });
    found.ok_or_else(unknown)
}
