//! What another policy, the target, would have done in a decision that was made: from what its trace keeps, by the stages
//! that serve. The candidates are those of the trace, and so are features, prices, and what earlier slots left no capacity
//! for; score, lower bound and choice are the target's.

use uuid::Uuid;

use super::assigned;
use super::blocked::Blocked;
use super::columns;
use super::draw::Draw;
use super::features::Features;
use super::narrow;
use super::score::{Scores, require_model};
use super::traced;
use crate::error::Error;
use crate::govern::modes::Mode;
use crate::math::choice::Scored;
use crate::math::estimate::Slot;
use crate::pg::record::{Timestamp, select_row};
use crate::policy::{Bundle, DecisionInputs, Policy, Surface, Target};

select_row! {
    /// A decision, and what came of it.
    pub struct Logged {
        decision_id: Uuid,
        first_slot: i16,
        decided_at: Timestamp,
        features_at: Timestamp,
        bundle: i64,
        snapshot: Option<Timestamp>,
        switches: Option<i64>,
        imported: bool,
        estimated: bool,
        mode: String,
        reason: Option<String>,
        filled: i16,
        actions: Vec<i32>,
        chosen: Vec<f64>,
        candidates: Vec<i32>,
        blocked: Vec<i32>,
        blocked_by: Vec<i32>,
        choice: Option<Vec<f64>>,
        features: Vec<f64>,
        missing: Vec<i16>,
        affinities: Vec<f64>,
        duals: Vec<f64>,
        context_values: Vec<Option<String>>,
        dropped: Vec<i32>,
        variants: Vec<i32>,
        numbers: Vec<i32>,
        rewards: Vec<f64>,
        region: Option<String>,
        cohort: Option<String>,
    }
}

/// What stands for all slots of a decision where outcomes name numbers of actions.
const WHOLE_SLATE: i32 = 0;

impl Logged {
    /// The group that it is counted in.
    pub fn cohort(&self) -> Option<&str> {
        self.cohort.as_deref()
    }

    /// Whether its probability was estimated, as its origin says.
    pub fn is_estimated(&self) -> bool {
        self.estimated
    }

    pub fn decision_id(&self) -> Uuid {
        self.decision_id
    }

    pub fn decided_at(&self) -> Timestamp {
        self.decided_at
    }

    /// The number of its first slot.
    pub fn first_slot(&self) -> i32 {
        i32::from(self.first_slot)
    }

    /// The actions, by number, of the slots that a policy has filled.
    pub fn shown(&self) -> impl Iterator<Item = i32> {
        self.actions.iter().copied().take(self.filled())
    }

    fn mode(&self) -> Mode {
        Mode::named(&self.mode).unwrap_or_default()
    }

    /// How many slots the policy filled.
    fn filled(&self) -> usize {
        usize::try_from(self.filled).unwrap_or(0)
    }

    fn inputs(&self) -> DecisionInputs {
        DecisionInputs {
            bundle: self.bundle,
            snapshot: self.snapshot.map(|at| at.0),
            switches: self.switches,
            at: self.features_at.0,
        }
    }

    /// Whether any policy would have shown the fallback: nothing was asked.
    pub fn is_forced(&self) -> bool {
        self.mode() == Mode::Paused || self.reason.as_deref().is_some_and(traced::cut_short)
    }

    /// What came of each slot; of all together is with the last one, since all have led to it.
    fn read_rewards(&self, rewards: &mut Vec<f64>) {
        rewards.clear();
        rewards.resize(self.actions.len(), 0.0);
        for (&number, &reward) in self.numbers.iter().zip(&self.rewards) {
            let place = match number {
                WHOLE_SLATE => self.actions.len().checked_sub(1),
                _ => self.actions.iter().position(|&action| action == number),
            };
            if let Some(place) = place {
                rewards[place] += reward;
            }
        }
    }
}

/// A policy and what says which rewards to expect, as they would have been in one bundle.
struct World {
    bundle: Bundle,
    /// The same with the model of rewards, where that is another than the policy's.
    rewards: Option<Bundle>,
}

/// How many are kept: traces of one time have few.
const WORLDS_KEPT: usize = 4;

/// Judges decisions one after the other, in reused buffers.
pub struct Judge {
    target: Target,
    rewards_by: Option<Target>,
    surface: String,
    /// The one that was used last is the last one.
    worlds: Vec<World>,
    features: Features,
    scores: Scores,
    expected: Vec<f32>,
    draw: Draw,
    picks: Vec<usize>,
    rewards: Vec<f64>,
    slots: Vec<Slot>,
}

impl Judge {
    /// Of a policy of that surface. Rewards are expected by a model of their own, or by the policy's where there is none.
    pub fn new(surface: &str, target: Target, reward_model: Option<&str>) -> Result<Judge, Error> {
        // What a policy ranks by is a reward only if it is the response.
        let own = target.model().filter(|_| !target.ranks_by_response());
        let rewards_by = reward_model.or(own.as_deref());
        let rewards_by = rewards_by.map(|name| Target::of_model(name, surface));
        let rewards_by = rewards_by.transpose()?;
        let is_same = |of: &Target| target.ranks_by_response() && of.model() == target.model();
        Ok(Judge {
            rewards_by: rewards_by.filter(|of| !is_same(of)),
            target,
            surface: surface.to_owned(),
            worlds: Vec::new(),
            features: Features::default(),
            scores: Scores::default(),
            expected: Vec::new(),
            draw: Draw::default(),
            picks: Vec::new(),
            rewards: Vec::new(),
            slots: Vec::new(),
        })
    }

    /// Whether a model says which rewards to expect.
    pub fn expects_rewards(&self) -> bool {
        self.rewards_by.is_some() || self.target.model().is_some()
    }

    /// What the log and the target say of each slot of a decision.
    pub fn judge(&mut self, logged: &Logged) -> Result<&[Slot], Error> {
        self.slots.clear();
        logged.read_rewards(&mut self.rewards);
        if logged.is_forced() {
            let rewards = self.rewards.iter();
            self.slots
                .extend(rewards.map(|&reward| Slot::forced(reward)));
            return Ok(&self.slots);
        }
        self.enter(logged)?;
        let world = self.worlds.last().expect("the world that was entered");
        let damaged = |what: &str| Error::Damaged(format!("bundle {} {what}", logged.bundle));
        let surface = world.bundle.surfaces.get(&self.surface);
        let surface = surface.ok_or_else(|| damaged("has no such surface"))?;
        let terms = assigned::traced(surface, &world.bundle.experiments, &logged.variants);
        let policy = require_model(terms.policy);
        let own = policy.map_err(|_| damaged("has no such policy"))?;
        let region = world.bundle.regions.traced(logged.region.as_deref());
        let adapted = region.and_then(|region| region.adapted(own));
        let policy = adapted.as_ref().unwrap_or(own);
        read_features(logged, &world.bundle, &mut self.features);
        open(logged, surface, &mut self.draw)
            .map_err(|number| damaged(&format!("has no action {number} for its surface")))?;
        let fields = traced::fields(&logged.context_values);
        let (scores, features) = (&mut self.scores, &self.features);
        self.expected.clear();
        if let Some(other) = &world.rewards
            && let Some(surface) = other.surfaces.get(&self.surface)
            && let Some(policy) = &surface.policy
        {
            let scorer = other.scorer(surface.terms(None));
            scores.apply_model(policy, scorer, surface, &fields, features);
            self.expected.extend_from_slice(scores.of_actions());
        }
        scores.prices = columns::prices(&logged.duals);
        let scorer = world.bundle.scorer(terms);
        scores.apply_model(policy, scorer, surface, &fields, features);
        if world.rewards.is_none() && policy.model.is_some() {
            self.expected.extend_from_slice(scores.of_actions());
        }
        scores.take_off_prices(policy, terms.limits, &world.bundle);
        scores.write(&mut self.draw);
        if let Some(bound) = &policy.lower_bound {
            narrow::to_sure(bound, &mut self.draw);
        }
        retrace(logged, policy, surface, &mut self.draw, &mut self.picks);
        let judged = Judged {
            logged,
            surface,
            draw: &self.draw,
            expected: &self.expected,
        };
        judged.write(&self.rewards, &mut self.slots);
        Ok(&self.slots)
    }

    /// Of the decision that was judged last.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The reward that is expected in it of the baseline of its surface.
    pub fn expected_of_baseline(&self) -> Option<f64> {
        let surface = self.worlds.last()?.bundle.surfaces.get(&self.surface)?;
        let index = traced::index_of(surface.baseline?, surface)?;
        self.expected.get(index).copied().map(f64::from)
    }

    /// Makes the world of a decision the last one.
    fn enter(&mut self, logged: &Logged) -> Result<(), Error> {
        let inputs = logged.inputs();
        let mut worlds = self.worlds.iter().rev();
        if let Some(back) = worlds.position(|world| inputs.is_with(&world.bundle)) {
            let last = self.worlds.len() - 1;
            self.worlds[last - back..].rotate_left(1);
            return Ok(());
        }
        if self.worlds.len() == WORLDS_KEPT {
            self.worlds.remove(0);
        }
        let rewards = self.rewards_by.as_ref();
        let rewards = rewards.map(|target| target.in_bundle_of(inputs));
        self.worlds.push(World {
            bundle: self.target.in_bundle_of(inputs)?,
            rewards: rewards.transpose()?,
        });
        Ok(())
    }
}

/// The features of a decision. Of an imported one nothing is known: all are missing, as training has it.
fn read_features(logged: &Logged, bundle: &Bundle, features: &mut Features) {
    let Logged {
        features: vector,
        missing,
        affinities,
        ..
    } = logged;
    traced::read_features(vector, missing, affinities, features);
    features.vector.resize(bundle.vector.len(), f64::NAN);
}

/// Opens the draw to what the target could have had: the candidates, and those that only the lower bound of the policy in
/// force kept out. Of an imported decision the candidates are not known; they are all actions of the surface.
fn open(logged: &Logged, surface: &Surface, draw: &mut Draw) -> Result<(), i32> {
    draw.clear(0, logged.decided_at.0);
    if logged.imported {
        draw.open.extend(0..surface.actions.len());
        return Ok(());
    }
    traced::open(&logged.candidates, surface, draw)?;
    let blocked = logged.blocked.iter().zip(&logged.blocked_by);
    let unsure = blocked.filter(|(_, why)| **why == Blocked::Unsure.code());
    let candidates = draw.open.len();
    for (&number, _) in unsure {
        draw.open
            .push(traced::index_of(number, surface).ok_or(number)?);
    }
    if draw.open.len() > candidates {
        draw.open.sort_unstable();
    }
    Ok(())
}

/// The distribution of the target in each slot, given what the log has in the slots before. Where the log has the fallback
/// because nothing was left, the target is asked whether it would have chosen that.
fn retrace(
    logged: &Logged,
    policy: &Policy,
    surface: &Surface,
    draw: &mut Draw,
    picks: &mut Vec<usize>,
) {
    let open = &draw.open;
    let shown = logged.actions.iter().enumerate();
    let numbers = shown.map(|(place, &action)| match place < logged.filled() {
        true => action,
        false => surface.fallback.number,
    });
    picks.clear();
    picks.extend(
        numbers.map(|number| traced::position(number, surface, open).unwrap_or(usize::MAX)),
    );
    let choice = traced::choice_of(policy.choice, logged.mode(), logged.choice.as_deref());
    let scored = Scored {
        scores: &draw.scores,
        spreads: &draw.spreads,
    };
    let dropped = columns::dropped(&logged.dropped);
    draw.slate.retrace(&choice, scored, picks, |slot, _, gone| {
        traced::drop_after(&dropped, slot, surface, open, gone);
    });
}

/// A decision whose slate has been retraced.
struct Judged<'a> {
    logged: &'a Logged,
    surface: &'a Surface,
    draw: &'a Draw,
    /// The reward that is expected of each action of the surface; none without a model.
    expected: &'a [f32],
}

impl Judged<'_> {
    fn write(&self, rewards: &[f64], slots: &mut Vec<Slot>) {
        let Judged { logged, draw, .. } = *self;
        let slate = &draw.slate;
        let mut distributions = slate.probabilities.chunks_exact(draw.open.len().max(1));
        let mut is_possible = true;
        for (place, &reward) in rewards.iter().enumerate() {
            let is_filled = place < logged.filled();
            let slot = match distributions.next() {
                Some(distribution) => Slot {
                    reward,
                    logged: self.logged_probability(place),
                    target: slate.chosen.get(place).copied().unwrap_or(0.0),
                    q_logged: self.expected_of(logged.actions[place]),
                    q_target: self.expected_by(distribution),
                },
                // nothing is left for the target either
                None if is_possible && !is_filled => Slot::forced(reward),
                // the target shows the fallback, or cannot have come so far
                None => Slot {
                    reward,
                    logged: self.logged_probability(place),
                    target: 0.0,
                    q_logged: self.expected_of(logged.actions[place]),
                    q_target: self.expected_of(self.surface.fallback.number),
                },
            };
            is_possible &= slot.target > 0.0;
            slots.push(slot);
        }
    }

    /// A fallback is certain.
    fn logged_probability(&self, place: usize) -> f64 {
        match place < self.logged.filled() {
            true => self.logged.chosen.get(place).copied().unwrap_or(0.0),
            false => 1.0,
        }
    }

    fn expected_of(&self, number: i32) -> f64 {
        let index = traced::index_of(number, self.surface);
        let expected = index.and_then(|index| self.expected.get(index));
        expected.map_or(0.0, |&expected| f64::from(expected))
    }

    fn expected_by(&self, distribution: &[f64]) -> f64 {
        if self.expected.is_empty() {
            return 0.0;
        }
        let expected = self.draw.open.iter().map(|&action| self.expected[action]);
        let terms = distribution.iter().zip(expected);
        terms.map(|(p, expected)| p * f64::from(expected)).sum()
    }
}
