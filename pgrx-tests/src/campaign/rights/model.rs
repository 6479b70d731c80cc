//! What must hold of persons, in plain arithmetic: who has decided what, which events may be kept, what a decision may use.

use std::collections::{BTreeMap, BTreeSet};

use super::steps::{Kind, PURPOSES, Place, When};

/// A moment: a minute of a day in the past, or, above all these, the step in which it was now.
pub type Moment = i64;

/// The first moment that is no minute of the past.
const NOW: Moment = 1_000_000;

/// A person: all users who were made one.
#[derive(Clone, Default)]
pub struct Person {
    /// What was decided last, and when; of two of one moment the denial.
    consents: BTreeMap<&'static str, (bool, Moment)>,
    /// The region that was recorded last, and when; of two of one moment the unknown one, then the first by number.
    region: Option<(Option<Place>, Moment)>,
    /// The events that are kept, by their identifiers, and when they came.
    events: BTreeMap<String, (Kind, Moment)>,
    /// When the person was erased last: nothing of the past is taken in any more.
    erased: Option<Moment>,
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Became {
    Accepted,
    Duplicate,
    Refused,
}

impl Became {
    pub fn as_str(self) -> &'static str {
        match self {
            Became::Accepted => "accepted",
            Became::Duplicate => "duplicate",
            Became::Refused => "refused",
        }
    }
}

/// What a decision must look like.
#[derive(PartialEq, Eq, Debug)]
pub struct Expected {
    pub region: String,
    pub candidates: BTreeSet<String>,
    pub denied: BTreeSet<String>,
    /// The values of its features: orders and views.
    pub orders: i64,
    pub views: i64,
}

/// All persons, and which of them each user is.
pub struct Model {
    persons: Vec<Person>,
    of_user: Vec<usize>,
    /// Of each person, the user into whom all others were merged.
    living: Vec<usize>,
    /// Decisions that are kept under each user.
    decisions: Vec<i64>,
    /// Users who were erased since the job has last looked: what is decided before it does goes with the past.
    waits: Vec<bool>,
    now: Moment,
}

impl Model {
    pub fn new(users: usize) -> Model {
        Model {
            persons: vec![Person::default(); users],
            of_user: (0..users).collect(),
            living: (0..users).collect(),
            decisions: vec![0; users],
            waits: vec![false; users],
            now: NOW,
        }
    }

    /// Moments of now are one after the other.
    fn moment(&mut self, when: When) -> Moment {
        match when {
            When::Past(minute) => minute,
            When::Now => {
                self.now += 1;
                self.now
            }
        }
    }

    pub fn person(&mut self, user: usize) -> &mut Person {
        &mut self.persons[self.of_user[user]]
    }

    /// Users who are the same person as that one.
    pub fn users_of(&self, user: usize) -> Vec<usize> {
        let person = self.of_user[user];
        (0..self.of_user.len())
            .filter(|&other| self.of_user[other] == person)
            .collect()
    }

    /// Whether the decision comes into force.
    pub fn consent(
        &mut self,
        user: usize,
        purpose: &'static str,
        granted: bool,
        when: When,
    ) -> bool {
        let at = self.moment(when);
        let person = self.person(user);
        if person.erased.is_some() && at < NOW {
            return false;
        }
        let holds = person
            .consents
            .get(purpose)
            .is_none_or(|&(was, before)| at > before || at == before && was && !granted);
        if holds {
            person.consents.insert(purpose, (granted, at));
        }
        holds
    }

    /// Whether the region comes into force.
    pub fn region(&mut self, user: usize, place: Option<Place>, when: When) -> bool {
        let at = self.moment(when);
        let person = self.person(user);
        if person.erased.is_some() && at < NOW {
            return false;
        }
        let holds = person.region.is_none_or(|(was, before)| {
            at > before || at == before && strictness(place) > strictness(was)
        });
        if holds {
            person.region = Some((place, at));
        }
        holds
    }

    pub fn event(
        &mut self,
        user: usize,
        id: &str,
        kind: Kind,
        when: When,
        said: Option<Place>,
    ) -> Became {
        let at = self.moment(when);
        let came = self.moment(When::Now);
        let person = self.person(user);
        if person.erased.is_some() && at < NOW {
            return Became::Refused;
        }
        let is_denied = |purpose| !person.granted(purpose, said);
        if kind.purpose().is_some_and(is_denied) {
            return Became::Refused;
        }
        if person.events.contains_key(id) {
            return Became::Duplicate;
        }
        person.events.insert(id.to_owned(), (kind, came));
        Became::Accepted
    }

    pub fn decide(&mut self, user: usize) {
        self.decisions[self.living[self.of_user[user]]] += 1;
    }

    /// How many decisions are kept of the person.
    pub fn decisions(&self, user: usize) -> i64 {
        self.users_of(user)
            .into_iter()
            .map(|user| self.decisions[user])
            .sum()
    }

    pub fn erase(&mut self, user: usize) {
        let now = self.moment(When::Now);
        for user in self.users_of(user) {
            let erased = Person {
                erased: Some(now),
                ..Person::default()
            };
            self.of_user[user] = self.persons.len();
            self.persons.push(erased);
            self.living.push(user);
            self.decisions[user] = 0;
            self.waits[user] = true;
        }
    }

    /// The job that deletes the past of those who were erased has looked.
    pub fn job(&mut self) {
        for user in 0..self.waits.len() {
            if std::mem::take(&mut self.waits[user]) {
                self.decisions[user] = 0;
            }
        }
    }

    /// Whether a user can be merged into another: not one who was merged already, nor one of the same person; nor where one
    /// was erased and the other has a past from before that.
    pub fn can_merge(&self, from: usize, into: usize) -> bool {
        let [one, other] = [from, into].map(|user| &self.persons[self.of_user[user]]);
        let is_past = |one: &Person, other: &Person| {
            let mut events = one.events.values();
            one.erased < other.erased && events.any(|&(_, came)| Some(came) <= other.erased)
        };
        !self.is_same(from, into)
            && self.living[self.of_user[from]] == from
            && !is_past(one, other)
            && !is_past(other, one)
    }

    pub fn is_same(&self, one: usize, other: usize) -> bool {
        self.of_user[one] == self.of_user[other]
    }

    /// Whether they were two persons.
    pub fn merge(&mut self, from: usize, into: usize) -> bool {
        let (from, into) = (self.of_user[from], self.of_user[into]);
        if from == into {
            return false;
        }
        let moved = std::mem::take(&mut self.persons[from]);
        let person = &mut self.persons[into];
        for (purpose, (granted, at)) in moved.consents {
            let holds = person
                .consents
                .get(purpose)
                .is_none_or(|&(was, before)| at > before || at == before && was && !granted);
            if holds {
                person.consents.insert(purpose, (granted, at));
            }
        }
        if let Some((place, at)) = moved.region {
            let holds = person.region.is_none_or(|(was, before)| {
                at > before || at == before && strictness(place) > strictness(was)
            });
            if holds {
                person.region = Some((place, at));
            }
        }
        for (id, event) in moved.events {
            person.events.entry(id).or_insert(event);
        }
        person.erased = person.erased.max(moved.erased);
        for user in &mut self.of_user {
            if *user == from {
                *user = into;
            }
        }
        true
    }
}

/// Of two regions of one moment that with more of it holds: the unknown one, then the first in the order of numbers.
fn strictness(place: Option<Place>) -> i32 {
    match place {
        None => 2,
        Some(Place::Free) => 1,
        Some(Place::Strict) => 0,
    }
}

impl Person {
    /// The region: what was recorded, or else what is said.
    fn place(&self, said: Option<Place>) -> Option<Place> {
        match self.region {
            Some((Some(place), _)) => Some(place),
            _ => said,
        }
    }

    /// Whether a purpose may be followed.
    pub fn granted(&self, purpose: &str, said: Option<Place>) -> bool {
        let (opt_out, allowed): (&[&str], bool) = match self.place(said) {
            Some(Place::Free) => (&["ads", "rel"], true),
            Some(Place::Strict) | None => (&[], purpose != "ads"),
        };
        let decided = self.consents.get(purpose).map(|&(granted, _)| granted);
        allowed && decided.unwrap_or(opt_out.contains(&purpose))
    }

    pub fn expected(&self, said: Option<Place>) -> Expected {
        let place = self.place(said);
        let is_free = place == Some(Place::Free);
        let mut candidates = BTreeSet::from(["plain".to_owned()]);
        candidates.extend(is_free.then(|| "local".to_owned()));
        candidates.extend(self.granted("ads", said).then(|| "ad".to_owned()));
        candidates.extend(self.granted("rel", said).then(|| "rec".to_owned()));
        let denied = PURPOSES
            .iter()
            .filter(|purpose| !self.granted(purpose, said));
        let count = |kind| self.events.values().filter(|&&(of, _)| of == kind).count() as i64;
        Expected {
            region: place.map_or("unknown", Place::as_str).to_owned(),
            candidates,
            denied: denied.map(|purpose| (*purpose).to_owned()).collect(),
            orders: if is_free { count(Kind::Order) } else { 0 },
            views: if self.granted("rel", said) {
                count(Kind::View)
            } else {
                0
            },
        }
    }

    pub fn events(&self) -> BTreeSet<&str> {
        self.events.keys().map(String::as_str).collect()
    }
}
