//! What a sequence does, step by step, drawn in advance from its seed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Steps of a sequence, and users of it.
const LENGTH: usize = 45;
pub const USERS: usize = 3;

pub const PURPOSES: [&str; 2] = ["ads", "rel"];

/// A region that is known. Their numbers are in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Free,
    Strict,
}

impl Place {
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Free => "free",
            Place::Strict => "strict",
        }
    }
}

/// A type of event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    View,
    Order,
    Answer,
    /// It tells of a consent.
    Consent,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::View => "view",
            Kind::Order => "order",
            Kind::Answer => "answer",
            Kind::Consent => "consent",
        }
    }

    pub fn purpose(self) -> Option<&'static str> {
        match self {
            Kind::View => Some("rel"),
            Kind::Answer => Some("ads"),
            Kind::Order | Kind::Consent => None,
        }
    }
}

/// When something is dated.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// So many minutes after the beginning of a day in the past.
    Past(i64),
    Now,
}

#[derive(Clone, Copy, Debug)]
pub struct ConsentStep {
    pub user: usize,
    pub purpose: &'static str,
    pub granted: bool,
    pub when: When,
}

/// One of the events of the past, which may come again and for others; or a new one of now.
#[derive(Clone, Copy, Debug)]
pub struct EventStep {
    pub user: usize,
    pub kind: Kind,
    pub old: Option<i64>,
    pub said: Option<Place>,
}

/// How a decision is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    Single,
    Page,
    Batch,
    /// In a transaction that sees one snapshot, which it took before the step before.
    OldSnapshot,
}

#[derive(Clone, Debug)]
pub enum Step {
    Consent(ConsentStep),
    Consents(Vec<ConsentStep>),
    /// By an event.
    Tell(ConsentStep),
    Region(usize, Option<Place>, When),
    Event(EventStep),
    Events(Vec<EventStep>),
    Decide(usize, Asked, Option<Place>),
    Erase(usize),
    Merge(usize, usize),
    Rotate,
    Job(&'static str),
}

pub fn draw(seed: u64) -> Vec<Step> {
    let mut chance = StdRng::seed_from_u64(seed);
    (0..LENGTH).map(|_| Step::draw(&mut chance)).collect()
}

fn place(chance: &mut StdRng) -> Option<Place> {
    *[
        None,
        Some(Place::Free),
        Some(Place::Free),
        Some(Place::Strict),
    ]
    .choose(chance)
    .expect("there are some")
}

fn when(chance: &mut StdRng) -> When {
    match chance.random_range(0..4) {
        0 => When::Now,
        _ => When::Past(chance.random_range(0..6)),
    }
}

impl ConsentStep {
    fn draw(chance: &mut StdRng) -> ConsentStep {
        ConsentStep {
            user: chance.random_range(0..USERS),
            purpose: PURPOSES[chance.random_range(0..PURPOSES.len())],
            granted: chance.random_bool(0.6),
            when: when(chance),
        }
    }
}

impl EventStep {
    fn draw(chance: &mut StdRng) -> EventStep {
        let kinds = [Kind::View, Kind::Order, Kind::Answer];
        let old = chance.random_bool(0.6).then(|| chance.random_range(0..9));
        EventStep {
            user: chance.random_range(0..USERS),
            // An event of the past is always the same.
            kind: kinds[old.unwrap_or_else(|| chance.random_range(0..3)) as usize % 3],
            old,
            said: place(chance),
        }
    }
}

impl Step {
    fn draw(chance: &mut StdRng) -> Step {
        let user = chance.random_range(0..USERS);
        match chance.random_range(0..100) {
            0..=11 => Step::Consent(ConsentStep::draw(chance)),
            12..=16 => Step::Consents((0..4).map(|_| ConsentStep::draw(chance)).collect()),
            17..=23 => Step::Tell(ConsentStep::draw(chance)),
            24..=31 => Step::Region(user, place(chance), when(chance)),
            32..=46 => Step::Event(EventStep::draw(chance)),
            47..=54 => Step::Events((0..5).map(|_| EventStep::draw(chance)).collect()),
            55..=83 => {
                let asked = match chance.random_range(0..6) {
                    0 => Asked::Page,
                    1 => Asked::Batch,
                    2 => Asked::OldSnapshot,
                    _ => Asked::Single,
                };
                Step::Decide(user, asked, place(chance))
            }
            84..=88 => Step::Erase(user),
            89..=91 => Step::Merge(user, chance.random_range(0..USERS)),
            92..=93 => Step::Rotate,
            94..=96 => Step::Job("erasure"),
            _ => Step::Job("pseudonyms"),
        }
    }
}
