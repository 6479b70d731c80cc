//! What a sequence does, step by step, drawn in advance: so that it can be played again, and without some of its steps.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::policy::{DAY, Edit, Policy, SECOND, SURFACES, Window};

/// Steps of a sequence.
const LENGTH: usize = 25;

pub const USERS: usize = 3;

/// What becomes of the transaction of a step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum End {
    Commit,
    Rollback,
    /// Undone by ROLLBACK TO, in a transaction that commits.
    Savepoint,
}

/// Which decision an event names, among those that were made.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Of {
    None,
    /// One of the user's own, the newest first.
    Own(usize),
    /// One of another user, the newest first.
    Foreign(usize),
    /// One that was rolled back, or else one that never was.
    Never,
}

/// Which action an event names.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Named {
    None,
    /// That of a slot of the decision.
    Slot(usize),
    Any(usize),
}

/// What an event is dated: this much after now, or after the last midnight of a zone.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Dated {
    Now(i64),
    /// Offset of the zone, and how long after midnight.
    Midnight(i64, i64),
}

#[derive(Clone, Copy, Debug)]
pub struct EventStep {
    pub user: usize,
    pub kind: &'static str,
    pub of: Of,
    pub named: Named,
    pub surface: Option<&'static str>,
    pub dated: Dated,
}

#[derive(Clone, Debug)]
pub enum Step {
    Decide {
        user: usize,
        surface: usize,
        seed: i32,
        end: End,
    },
    Event(EventStep, End),
    /// The last event is sent again, as it was.
    Again,
    Publish(Vec<Edit>),
    /// To a bundle, counted from the first.
    Rollback(usize),
    Job,
    Sleep(u64),
}

/// A policy and what is done.
#[derive(Clone)]
pub struct Sequence {
    pub policy: Policy,
    pub steps: Vec<Step>,
}

impl Sequence {
    /// The sequence of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let policy = Policy::draw(&mut chance, "x");
        let steps = (0..LENGTH)
            .map(|_| Step::draw(&mut chance, &policy))
            .collect();
        Self { policy, steps }
    }

    /// The same with another mark in its names.
    pub fn marked(&self, mark: &str) -> Policy {
        let mut policy = self.policy.clone();
        let rename = |name: &mut String| {
            let stem = name.split('_').next().unwrap_or_default();
            *name = format!("{stem}_{mark}");
        };
        policy
            .actions
            .iter_mut()
            .for_each(|action| rename(&mut action.name));
        policy.caps.iter_mut().for_each(|cap| rename(&mut cap.name));
        policy
    }
}

impl End {
    fn draw(chance: &mut StdRng) -> Self {
        match chance.random_range(0..12) {
            0 => Self::Rollback,
            1 => Self::Savepoint,
            _ => Self::Commit,
        }
    }
}

impl Step {
    fn draw(chance: &mut StdRng, policy: &Policy) -> Self {
        match chance.random_range(0..100) {
            0..=41 => Self::Decide {
                user: chance.random_range(0..USERS),
                surface: chance.random_range(0..SURFACES.len()),
                seed: chance.random_range(1..i32::MAX),
                end: End::draw(chance),
            },
            42..=69 => Self::Event(EventStep::draw(chance, policy), End::draw(chance)),
            70..=72 => Self::Again,
            73..=81 => {
                let edits = chance.random_range(1..4);
                Self::Publish((0..edits).map(|_| policy.draw_edit(chance)).collect())
            }
            82..=84 => Self::Rollback(chance.random_range(0..8)),
            85..=92 => Self::Job,
            _ => Self::Sleep(chance.random_range(20..700)),
        }
    }
}

impl EventStep {
    fn draw(chance: &mut StdRng, policy: &Policy) -> Self {
        let of = match chance.random_range(0..10) {
            0..=5 => Of::Own(chance.random_range(0..4)),
            6 => Of::Foreign(chance.random_range(0..3)),
            7 => Of::Never,
            _ => Of::None,
        };
        let any = Named::Any(chance.random_range(0..policy.actions.len()));
        let named = match (of, chance.random_range(0..10)) {
            (_, 0) => any,
            (Of::None, 1) => Named::None,
            (Of::None | Of::Never, _) => any,
            (_, 1..=3) => Named::None,
            _ => Named::Slot(chance.random_range(0..3)),
        };
        let dated = match chance.random_range(0..12) {
            0 => Dated::Now(chance.random_range(1..2 * SECOND)),
            1 => Dated::Now(chance.random_range(1..200 * SECOND)),
            2 => Dated::Now(-chance.random_range(0..2 * SECOND)),
            3 => Dated::Now(-chance.random_range(0..2 * DAY)),
            4 => {
                let zones: Vec<i64> = policy.caps.iter().filter_map(offset_of).collect();
                let zone = zones.choose(chance).copied().unwrap_or(0);
                let after = *[-SECOND, -1, 0, 1, SECOND]
                    .choose(chance)
                    .expect("there are some");
                Dated::Midnight(zone, after)
            }
            _ => Dated::Now(0),
        };
        Self {
            user: chance.random_range(0..USERS),
            kind: match chance.random_range(0..6) {
                0 | 1 => "click",
                _ => "impression",
            },
            of,
            named,
            surface: chance
                .random_bool(0.4)
                .then(|| SURFACES.choose(chance).copied())
                .flatten(),
            dated,
        }
    }
}

fn offset_of(cap: &super::policy::Cap) -> Option<i64> {
    match cap.window {
        Window::Calendar { offset, .. } => Some(offset),
        _ => None,
    }
}
