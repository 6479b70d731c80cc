//! Caps in plain arithmetic: a list of exposures, and sums over those that are in a window.
//!
//! Where the documents leave open when something counts, an exposure may or must not be in a sum: each sum is a range, and
//! both ends of it are right.

use super::policy::{Policy, SECOND};

/// Reservations may be brought together in a grid, and be given back by this part of the first hold later.
const CELL: i64 = 8;

/// Clocks are read a moment before what they are read for.
const SLACK: i64 = SECOND / 1000;

/// How far before a decision an event about what it showed may be dated: clocks differ.
const TOLERANCE: i64 = 300 * SECOND;

/// One exposure in one cap, or a decision's or an event's chance of one.
#[derive(Clone)]
pub struct Entry {
    cap: usize,
    user: usize,
    /// Which decision and which slot of it; none for events that come alone.
    of: Option<(usize, usize)>,
    action: usize,
    /// As of when it counts, and the other answer.
    at: [i64; 2],
    /// How much, and the other answer.
    amount: [i64; 2],
    state: State,
}

#[derive(Clone)]
enum State {
    /// It counts for certain, or perhaps.
    Counted { certain: bool },
    /// It waits for its event.
    Held(Held),
}

#[derive(Clone)]
struct Held {
    /// Bounds of the hold, as it was changed meanwhile.
    hold: [i64; 2],
    cell: i64,
    /// When an event told of it; when one did perhaps; when one without a decision took it.
    told: Option<i64>,
    perhaps: Option<i64>,
    taken: bool,
    /// Runs of the job that looks reservations of budgets up.
    looks: Vec<i64>,
}

/// Sums over a window, in the smallest units: what is counted, and that with what is reserved; lower and upper ends.
#[derive(Clone, Copy, Default, Debug)]
pub struct Used {
    pub counted: [i64; 2],
    pub all: [i64; 2],
}

impl Used {
    /// What holds if one of two holds.
    pub fn or(self, other: Self) -> Self {
        let widest = |[a, b]: [i64; 2], [c, d]: [i64; 2]| [a.min(c), b.max(d)];
        Self {
            counted: widest(self.counted, other.counted),
            all: widest(self.all, other.all),
        }
    }
}

/// Whether a cap leaves something, by its arithmetic.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Room {
    Yes,
    Perhaps,
    /// Only soft caps are in the way.
    Soft,
    No,
}

/// One answer of decide(), as its trace has it.
#[derive(Clone)]
pub struct Decision {
    pub id: String,
    pub user: usize,
    /// What the policy showed, slot by slot.
    pub shown: Vec<usize>,
}

/// All exposures so far.
#[derive(Clone, Default)]
pub struct Model {
    pub entries: Vec<Entry>,
    pub decisions: Vec<Decision>,
    first_holds: Vec<i64>,
}

/// What an event says.
pub struct Event<'a> {
    pub user: usize,
    pub kind: &'a str,
    pub at: i64,
    pub received: i64,
    pub about: About,
    pub action: Option<usize>,
    pub surface: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum About {
    /// Nothing but itself.
    Alone,
    Decision(usize),
    /// A decision that was not made.
    Never,
}

impl Held {
    /// From when on it may be free, and from when on it must be: of budgets, when the job has looked.
    fn ends(&self, at: i64, per_user: bool) -> (i64, i64) {
        let surely = at + self.hold[1] + self.cell + SLACK;
        let freed = match per_user {
            true => surely,
            false => self.look_after(surely).unwrap_or(i64::MAX),
        };
        (at + self.hold[0] - SLACK, freed)
    }

    fn look_after(&self, moment: i64) -> Option<i64> {
        self.looks.iter().copied().find(|&look| look >= moment)
    }

    /// From when on a budget surely has what was told at a moment: by a first look after that, or by one at more than
    /// twice the age of the look before.
    fn surely_looked_up(&self, at: i64, told: i64) -> Option<i64> {
        let surely = at + self.hold[1] + self.cell + SLACK;
        let before = self.looks.iter().rfind(|&&look| look <= told);
        let due = match before {
            Some(&look) if look >= at + self.hold[0] - SLACK => {
                let age = (look - at).max(self.hold[1] + self.cell);
                (at + age * 5 / 2).max(told)
            }
            _ => surely.max(told),
        };
        self.look_after(due)
    }
}

impl Entry {
    /// Adds what this is at a moment.
    fn add(&self, used: &mut Used, per_user: bool, policy: &Policy, t: i64) {
        let window = &policy.caps[self.cap].window;
        let inside = self.at.map(|at| window.has(at, t));
        let merged = match (per_user, &self.state) {
            (false, State::Held(_)) => window.merged(),
            _ => 0,
        };
        let stays = self.at.iter().any(|at| window.has(at + merged, t));
        let (surely, possibly) = (inside[0] && inside[1], inside[0] || inside[1] || stays);
        let least = if surely {
            self.amount[0].min(self.amount[1])
        } else {
            0
        };
        let most = if possibly {
            self.amount[0].max(self.amount[1])
        } else {
            0
        };
        // Whether it is in each end of each sum.
        let (counted, all) = match &self.state {
            State::Counted { certain } => ([*certain, true], [*certain, true]),
            State::Held(held) => held.is_in(self.at[0], per_user, t),
        };
        used.counted[0] += least * i64::from(counted[0]);
        used.counted[1] += most * i64::from(counted[1]);
        used.all[0] += least * i64::from(all[0]);
        used.all[1] += most * i64::from(all[1]);
    }
}

impl Held {
    fn is_in(&self, at: i64, per_user: bool, t: i64) -> ([bool; 2], [bool; 2]) {
        let (may_end, must_end) = self.ends(at, per_user);
        let waits = [t < may_end, t < must_end];
        let told = self.told.is_some();
        let perhaps = told || self.perhaps.is_some();
        if per_user {
            // What took it perhaps may count in another window.
            let remains = waits[0] && self.perhaps.is_none();
            return ([told, perhaps], [told || remains, perhaps || waits[1]]);
        }
        let counted = self
            .told
            .and_then(|told| self.surely_looked_up(at, told))
            .is_some_and(|look| look <= t);
        let in_time = self.told.is_some_and(|told| told < may_end);
        (
            [counted, perhaps],
            [counted || in_time || waits[0], perhaps || waits[1]],
        )
    }
}

impl Model {
    pub fn new(policy: &Policy) -> Self {
        Self {
            first_holds: policy.caps.iter().map(|cap| cap.hold).collect(),
            ..Self::default()
        }
    }

    /// What is used of a cap, by a user if it is one per user.
    pub fn used(&self, policy: &Policy, cap: usize, user: usize, t: i64) -> Used {
        let per_user = policy.caps[cap].per_user;
        let mut used = Used::default();
        self.entries
            .iter()
            .filter(|entry| entry.cap == cap && (!per_user || entry.user == user))
            .for_each(|entry| entry.add(&mut used, per_user, policy, t));
        used
    }

    /// Whether an action can be had by a user on a surface.
    pub fn room(&self, policy: &Policy, action: usize, user: usize, surface: &str, t: i64) -> Room {
        let mut room = Room::Yes;
        for (place, cap) in policy.caps.iter().enumerate() {
            if !cap.bears_on(action, &policy.actions[action])
                || cap.surface.is_some_and(|of| of != surface)
            {
                continue;
            }
            let (amount, limit) = (cap.amount(&policy.actions[action]), cap.limit());
            let used = self.used(policy, place, user, t);
            let own = match amount {
                // What takes nothing can be had even of what is overdrawn; whether of nothing at all is left open.
                0 if limit > 0 => Room::Yes,
                0 => Room::Perhaps,
                _ if used.all[1] + amount <= limit => Room::Yes,
                _ if used.all[0] + amount <= limit => Room::Perhaps,
                _ if cap.hard => Room::No,
                _ => Room::Soft,
            };
            room = match (room, own) {
                (Room::No, _) | (_, Room::No) => Room::No,
                (Room::Perhaps, _) | (_, Room::Perhaps) => Room::Perhaps,
                (Room::Soft, _) | (_, Room::Soft) => Room::Soft,
                _ => Room::Yes,
            };
        }
        room
    }

    /// A slot of a decision shows an action.
    pub fn show(
        &mut self,
        policy: &Policy,
        of: (usize, usize),
        action: usize,
        user: usize,
        surface: &str,
        t: i64,
    ) {
        for (place, cap) in policy.caps.iter().enumerate() {
            if !cap.bears_on(action, &policy.actions[action])
                || cap.surface.is_some_and(|of| of != surface)
            {
                continue;
            }
            let state = match cap.counts {
                "decision" => State::Counted { certain: true },
                _ => State::Held(Held {
                    hold: [cap.hold; 2],
                    cell: self.first_holds[place].max(cap.hold) / CELL,
                    told: None,
                    perhaps: None,
                    taken: false,
                    looks: Vec::new(),
                }),
            };
            self.entries.push(Entry {
                cap: place,
                user,
                of: Some(of),
                action,
                at: [t; 2],
                amount: [cap.amount(&policy.actions[action]); 2],
                state,
            });
        }
    }

    /// Other holds are in force.
    pub fn publish(&mut self, policy: &Policy) {
        for entry in &mut self.entries {
            let hold = policy.caps[entry.cap].hold;
            if let State::Held(held) = &mut entry.state {
                held.hold = [held.hold[0].min(hold), held.hold[1].max(hold)];
            }
        }
    }

    /// The job looks reservations up, of the budgets that are in force.
    pub fn look_up(&mut self, policy: &Policy, t: i64) {
        for entry in &mut self.entries {
            let in_force = policy.caps[entry.cap].present;
            if let State::Held(held) = &mut entry.state
                && in_force
            {
                held.looks.push(t);
            }
        }
    }

    /// An event was accepted, with that policy in force.
    pub fn track(&mut self, policy: &Policy, event: &Event<'_>) {
        match event.about {
            About::Never => {}
            About::Alone => self.track_alone(policy, event),
            About::Decision(decision) => self.confirm(policy, event, decision),
        }
    }

    fn confirm(&mut self, policy: &Policy, event: &Event<'_>, place: usize) {
        let decision = &self.decisions[place];
        if decision.user != event.user {
            return;
        }
        let mut again = Vec::new();
        for entry in &mut self.entries {
            let about = entry.of.is_some_and(|(decision, _)| decision == place)
                && event.action.is_none_or(|action| entry.action == action);
            let cap = &policy.caps[entry.cap];
            let State::Held(held) = &mut entry.state else {
                continue;
            };
            if !about || cap.counts != event.kind {
                continue;
            }
            if held.taken {
                // An event without a decision took it: this one counts once more, or not.
                let mut once_more = entry.clone();
                once_more.state = State::Counted { certain: false };
                again.push(once_more);
            } else {
                held.told.get_or_insert(event.received);
            }
        }
        self.entries.extend(again);
    }

    fn track_alone(&mut self, policy: &Policy, event: &Event<'_>) {
        let Some(action) = event.action else { return };
        for (place, cap) in policy.caps.iter().enumerate() {
            if !cap.per_user || !cap.present || cap.counts != event.kind {
                continue;
            }
            let open = self.entries.iter_mut().find_map(|entry| {
                let of_it =
                    entry.cap == place && entry.user == event.user && entry.action == action;
                let State::Held(held) = &mut entry.state else {
                    return None;
                };
                let (may_end, must_end) = held.ends(entry.at[0], true);
                let waits = held.told.is_none() && !held.taken && event.received < must_end;
                let latest = event.at + TOLERANCE;
                let made = entry.at[0] <= latest + SLACK;
                let surely = event.received < may_end && entry.at[0] <= latest - SLACK;
                (of_it && waits && made).then_some((&mut entry.at, &mut entry.amount, held, surely))
            });
            let in_scope = cap.bears_on(action, &policy.actions[action])
                && policy.actions[action].present
                && cap
                    .surface
                    .is_none_or(|of| event.surface.is_none_or(|surface| surface == of));
            let certain = in_scope && (cap.surface.is_none() || event.surface.is_some());
            let amount = cap.amount(&policy.actions[action]);
            match open {
                // Whether an action that has left the scope takes what is reserved for it is left open.
                Some((at, amounts, held, surely))
                    if certain && surely && held.perhaps.is_none() =>
                {
                    held.told = Some(event.received);
                    held.taken = true;
                    at[1] = event.at;
                    amounts[1] = amount;
                }
                Some((_, _, held, _)) => {
                    held.perhaps.get_or_insert(event.received);
                    if in_scope {
                        self.alone(place, event, action, amount, false);
                    }
                }
                None if in_scope => self.alone(place, event, action, amount, certain),
                None => {}
            }
        }
    }

    fn alone(&mut self, cap: usize, event: &Event<'_>, action: usize, amount: i64, certain: bool) {
        self.entries.push(Entry {
            cap,
            user: event.user,
            of: None,
            action,
            at: [event.at; 2],
            amount: [amount; 2],
            state: State::Counted { certain },
        });
    }
}
