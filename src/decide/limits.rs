//! Between score and choice: what the caps leave room for, and afterwards: what was chosen is taken
//! from their counters.
//!
//! The row of the user is locked first; then whatever cap is near its end is looked at, counters that
//! other transactions are about to change included. So it is known before the draw what can be had, and
//! the probability is that of a choice among it. Where a counter is gone all the same when it is
//! reached, its candidates are out, and the choice is made again with the next seed.
//!
//! Locks are taken in the order user, then counters; and none is waited for longer than [`PATIENCE`].

use super::Desk;
use super::candidates::Blocked;
use super::request::Request;
use crate::math::choice::Choice;
use crate::math::ledger::{self, COUNTED};
use crate::pg::locked::{Locked, Missed};
use crate::pg::lookup::Seen;
use crate::policy::{Budget, Bundle, Cap, Level, Limits, Per, Stripe, UserRow};

/// Milliseconds that a decision waits for a lock: far from the second after which Postgres looks for
/// deadlocks.
pub const PATIENCE: u32 = 20;

/// Room where nobody has to look.
const PLENTY: i64 = i64::MAX;

/// Room of a cap whose counters cannot be had, and of one of a user that nobody knows.
const BUSY: i64 = -1;
const UNKNOWN: i64 = -2;

/// What a decision has found out about its caps, and holds of their counters.
pub struct Limiting<'a> {
    request: &'a Request<'a>,
    bundle: &'a Bundle,
    limits: &'a Limits,
    /// Whether counters are taken from; else it is only looked.
    takes: bool,
    /// Per cap of the surface: what is left of it.
    rooms: Vec<i64>,
    /// How many of the soft caps have given way.
    relaxed: usize,
    user: Option<Locked>,
    row: UserRow,
    held: Vec<Held>,
    /// Milliseconds that it waits for a lock; at most [`PATIENCE`].
    pub patience: u32,
}

/// A stripe that this transaction has locked.
struct Held {
    place: usize,
    stripe: Stripe,
    locked: Option<Locked>,
    changed: bool,
}

impl<'a> Limiting<'a> {
    /// Locks the row of the user if there is a cap per user, and looks at what is near its end. Needs an
    /// open session that lasts until the counters are written.
    pub fn begin(
        request: &'a Request<'a>,
        bundle: &'a Bundle,
        takes: bool,
        patience: u32,
    ) -> Limiting<'a> {
        let limits = &request.surface.limits;
        let mut limiting = Limiting {
            request,
            bundle,
            limits,
            takes,
            rooms: Vec::with_capacity(limits.caps.len()),
            relaxed: 0,
            user: None,
            row: UserRow::default(),
            held: Vec::new(),
            patience,
        };
        let mut known = Ok(());
        if !request.knows_user() {
            known = Err(UNKNOWN);
        } else if limits.of_users && takes {
            limiting.user = limiting.row.lock_within(request.user_key, patience);
            known = limiting.user.as_ref().map(|_| ()).ok_or(BUSY);
        } else if limits.of_users {
            limiting.row.read(request.user_key);
        }
        for &i in &limits.caps {
            let room = limiting.room(&bundle.caps[i], known);
            limiting.rooms.push(room);
        }
        limiting
    }

    fn cap(&self, place: usize) -> &'a Cap {
        &self.bundle.caps[self.limits.caps[place]]
    }

    /// What is left of a cap, as far as anyone has to look.
    fn room(&self, cap: &Cap, known: Result<(), i64>) -> i64 {
        let limit = self.request.leeway.limit(cap.limit);
        match cap.per {
            Per::Decision => limit,
            Per::User => {
                if let Err(closed) = known {
                    return closed;
                }
                let block = ledger::block(&self.row.exposures, cap.slot.into());
                let used = ledger::used(block, &cap.terms(self.request.now));
                limit.saturating_sub(used).max(0)
            }
            Per::All => {
                let starts = cap.window(self.request.now).0;
                match Budget(cap).level(cap.level_window(starts), self.request.now) {
                    Level::UsedUp => 0,
                    Level::Plenty if limit == cap.limit && !cap.is_paced() => PLENTY,
                    _ => self.look(cap, cap.limit - limit),
                }
            }
        }
    }

    /// What the counters of a budget leave; for a decision, those included that others are about to write.
    /// Where others were found to hold all of them, those that they hold are none. Where pacing says so
    /// it is less; and so much of it is kept back.
    fn look(&self, cap: &Cap, kept_back: i64) -> i64 {
        let now = self.request.now;
        let terms = cap.terms(now);
        let sum_of = |stripes: &[Stripe], left: &dyn Fn(&Stripe) -> i64| -> i64 {
            stripes.iter().map(|stripe| left(stripe).max(0)).sum()
        };
        let room_of = |stripe: &Stripe| Budget(cap).room(stripe, now);
        let free_of = |stripe: &Stripe| stripe.free(&terms);
        let mut stripes = Budget(cap).stripes(
            match self.takes {
                true => Seen::Everything,
                false => Seen::Committed,
            },
            &terms,
        );
        let room = sum_of(&stripes, &room_of);
        let free = sum_of(&stripes, &free_of).saturating_sub(kept_back);
        let room_kept = room.min(free).max(0);
        let least = cap.amounts.values().copied().filter(|&n| n > 0).min();
        let Some(least) = least.filter(|_| self.takes) else {
            return room_kept;
        };
        if room >= least {
            if !Budget(cap).looks_out(now) {
                return room_kept;
            }
            stripes.retain(|stripe| !stripe.changing);
            let room = sum_of(&stripes, &room_of);
            if room < least {
                Budget(cap).look_out(now);
                return BUSY;
            }
            return room_kept.min(room);
        }
        let stripes = Budget(cap).stripes(Seen::Committed, &terms);
        if sum_of(&stripes, &room_of) >= least {
            return room_kept;
        }
        if cap.is_paced() && sum_of(&stripes, &free_of) >= least {
            Budget(cap).close_until(Budget(cap).opens_at(&stripes, least, now));
            return room_kept;
        }
        let (starts, ends) = cap.window(now);
        let frees = stripes
            .iter()
            .filter_map(|s| ledger::frees_at(&s.ledger, &terms));
        Budget(cap).mark(
            cap.level_window(starts),
            Level::UsedUp,
            frees.min().unwrap_or(ends),
        );
        room_kept
    }

    /// Leaves those candidates open for which every cap has room, `desk.allowed` being all there are.
    pub fn constrain(&self, desk: &mut Desk) {
        desk.open.clear();
        let others = desk.blocked_otherwise;
        desk.blocked.truncate(others);
        desk.blocked_by.truncate(others);
        let tight =
            (0..self.rooms.len()).any(|place| self.rooms[place] < self.limits.largest[place]);
        if !tight {
            desk.open.extend_from_slice(&desk.allowed);
            return;
        }
        for &i in &desk.allowed {
            let mut needs = self.limits.of_action[i].iter();
            match needs.find(|&&(place, amount)| self.rooms[place] < amount) {
                None => desk.open.push(i),
                Some(&(place, _)) => {
                    desk.blocked.push(i);
                    desk.blocked_by.push(match self.rooms[place] {
                        BUSY => Blocked::Busy.code(),
                        UNKNOWN => Blocked::UnknownUser.code(),
                        _ => Blocked::Cap(self.cap(place).slot).code(),
                    });
                }
            }
        }
    }

    /// Draws an action for each slot; what one takes is not there for the next.
    pub fn draw(&self, choice: &Choice, desk: &mut Desk) {
        let mut slate = std::mem::take(&mut desk.slate);
        let slots = self.request.surface.slots;
        let mut rooms = if slots > 1 {
            self.rooms.clone()
        } else {
            Vec::new()
        };
        desk.dropped.clear();
        slate.choose_within(
            choice,
            &desk.scores,
            slots,
            desk.seed,
            |slot, picked, gone| {
                if slot + 1 == slots {
                    return;
                }
                for &(place, amount) in &self.limits.of_action[desk.open[picked]] {
                    rooms[place] = rooms[place].saturating_sub(if rooms[place] == PLENTY {
                        0
                    } else {
                        amount
                    });
                }
                for (candidate, &i) in desk.open.iter().enumerate() {
                    let mut needs = self.limits.of_action[i].iter();
                    if candidate != picked && needs.any(|&(place, amount)| rooms[place] < amount) {
                        gone.push(candidate);
                        let number = self.request.surface.actions[i].number;
                        desk.dropped.extend([slot as i32 + 2, number]);
                    }
                }
            },
        );
        desk.slate = slate;
    }

    /// Lets the next soft cap give way; whether there was one.
    pub fn relax(&mut self, desk: &mut Desk) -> bool {
        let Some(&place) = self.limits.soft.get(self.relaxed) else {
            return false;
        };
        self.relaxed += 1;
        if self.rooms[place] >= 0 || self.cap(place).per != Per::User {
            self.rooms[place] = PLENTY;
            desk.relaxed.push(self.cap(place).slot);
        }
        true
    }

    /// Locks what the slate takes; false if something is not there any more, so that the choice must be
    /// made again.
    pub fn reserve(&mut self, desk: &mut Desk) -> bool {
        if !self.takes {
            return true;
        }
        desk.holds.clear();
        let picks: Vec<usize> = desk
            .slate
            .picks
            .iter()
            .map(|&pick| desk.open[pick])
            .collect();
        let mut taken: Vec<(usize, i64)> = Vec::new();
        for (slot, &i) in picks.iter().enumerate() {
            for &(place, amount) in &self.limits.of_action[i] {
                let cap = self.cap(place);
                if cap.per != Per::All {
                    continue;
                }
                let Some(which) = self.find_stripe(place, amount, &taken, desk) else {
                    return false;
                };
                taken.push((which, amount));
                if cap.counts.is_some() {
                    let number = self.held[which].stripe.number;
                    desk.holds.extend([slot as i32 + 1, cap.slot, number]);
                }
            }
        }
        for (which, amount) in taken {
            let cap = self.cap(self.held[which].place);
            Budget(cap).advance(&mut self.held[which].stripe, self.request.now);
            self.take(which, amount);
        }
        true
    }

    /// A stripe, by its place among those held, that has so much left beside what is taken from it
    /// already.
    fn find_stripe(
        &mut self,
        place: usize,
        amount: i64,
        taken: &[(usize, i64)],
        desk: &Desk,
    ) -> Option<usize> {
        let cap = self.cap(place);
        let now = self.request.now;
        let gives_way = self.limits.soft[..self.relaxed].contains(&place);
        let left = |held: &Held, which: usize| {
            let mine = taken.iter().filter(|(other, _)| *other == which);
            let mine: i64 = mine.map(|(_, amount)| amount).sum();
            Budget(cap).room(&held.stripe, now) - mine
        };
        let mut fitting = self.held.iter().enumerate();
        let fits = |(which, held): &(usize, &Held)| {
            held.place == place && (gives_way || left(held, *which) >= amount)
        };
        if let Some((which, _)) = fitting.find(fits) {
            return Some(which);
        }
        let stripes = cap.stripes.get();
        let first = (desk.seed % stripes.max(1) as u64) as i32;
        let mut waiting = Vec::new();
        for step in 0..stripes {
            let number = (first + step) % stripes;
            if self
                .held
                .iter()
                .any(|held| held.place == place && held.stripe.number == number)
            {
                continue;
            }
            let worth = || {
                gives_way
                    || Budget(cap)
                        .peek(number)
                        .is_some_and(|s| Budget(cap).room(&s, now) >= amount)
            };
            if (step > 0 || cap.is_small() || cap.is_paced()) && !worth() {
                continue;
            }
            match Budget(cap).lock(number) {
                Ok((stripe, locked)) => {
                    let room = Budget(cap).room(&stripe, now);
                    self.hold(place, stripe, locked);
                    if gives_way || room >= amount {
                        return Some(self.held.len() - 1);
                    }
                }
                Err(Missed::Taken) => waiting.push(number),
                Err(Missed::Absent) => {}
            }
        }
        // All that have room are in use: one of them will be free in a moment.
        if let Some(&number) = waiting.first()
            && let Ok((stripe, locked)) = Budget(cap).lock_within(number, self.patience)
        {
            let room = Budget(cap).room(&stripe, now);
            self.hold(place, stripe, locked);
            if gives_way || room >= amount {
                return Some(self.held.len() - 1);
            }
        }
        let gathered = self.gather(place, amount, taken);
        if gathered.is_none() {
            self.rooms[place] = if waiting.is_empty() {
                0
            } else {
                Budget(cap).look_out(self.request.now);
                BUSY
            };
        }
        gathered
    }

    fn hold(&mut self, place: usize, stripe: Stripe, locked: Locked) {
        self.held.push(Held {
            place,
            stripe,
            locked: Some(locked),
            changed: false,
        });
    }

    /// Brings what is left of several stripes into one, where none has enough by itself.
    fn gather(&mut self, place: usize, amount: i64, taken: &[(usize, i64)]) -> Option<usize> {
        let cap = self.cap(place);
        if amount <= 1 {
            return None;
        }
        let now = self.request.now;
        for number in 0..cap.stripes.get() {
            let held = self
                .held
                .iter()
                .any(|held| held.place == place && held.stripe.number == number);
            let some = || {
                Budget(cap)
                    .peek(number)
                    .is_some_and(|s| Budget(cap).room(&s, now) > 0)
            };
            if !held
                && some()
                && let Ok((stripe, locked)) = Budget(cap).lock(number)
            {
                self.hold(place, stripe, locked);
            }
        }
        let spare = |which: usize, held: &Held| {
            let mine = taken.iter().filter(|(other, _)| *other == which);
            let mine: i64 = mine.map(|(_, amount)| amount).sum();
            (Budget(cap).room(&held.stripe, now) - mine).max(0)
        };
        let of_cap: Vec<(usize, i64)> = self
            .held
            .iter()
            .enumerate()
            .filter(|(_, held)| held.place == place)
            .map(|(which, held)| (which, spare(which, held)))
            .collect();
        let total: i64 = of_cap.iter().map(|(_, spare)| spare).sum();
        let &(into, has) = of_cap.iter().max_by_key(|(_, spare)| *spare)?;
        if total < amount {
            return None;
        }
        // One that was in use a moment ago may have enough by itself.
        if has >= amount {
            return Some(into);
        }
        let mut needed = amount - has;
        for &(which, spare) in of_cap.iter().filter(|(which, _)| *which != into) {
            let moved = spare.min(needed);
            if moved > 0 {
                Budget(cap).advance(&mut self.held[which].stripe, now);
                self.held[which].stripe.quota -= moved;
                self.held[which].stripe.allowed -= moved as f64;
                self.held[which].changed = true;
                needed -= moved;
            }
        }
        Budget(cap).advance(&mut self.held[into].stripe, now);
        self.held[into].stripe.quota += amount - has;
        self.held[into].stripe.allowed += (amount - has) as f64;
        self.held[into].changed = true;
        Some(into)
    }

    /// Takes an exposure from a stripe, which is not written yet.
    fn take(&mut self, which: usize, amount: i64) {
        let cap = self.cap(self.held[which].place);
        let held = &mut self.held[which];
        let state = if cap.counts.is_some() { -1 } else { COUNTED };
        let terms = cap.terms(self.request.now);
        ledger::take(
            &mut held.stripe.ledger,
            (self.request.now, amount, state),
            &terms,
        );
        held.changed = true;
    }

    /// Writes the counters of what is shown.
    pub fn write(mut self, desk: &Desk) {
        if !self.takes {
            return;
        }
        self.write_user(desk);
        let now = self.request.now;
        for held in std::mem::take(&mut self.held) {
            let cap = self.cap(held.place);
            let Some(locked) = held.locked.filter(|_| held.changed) else {
                continue;
            };
            held.stripe.write(locked);
            let terms = cap.terms(now);
            let (starts, ends) = cap.window(now);
            if !cap.is_small() && held.stripe.free(&terms) < cap.little() {
                let starts = cap.level_window(starts);
                if Budget(cap).level(starts, now) == Level::Plenty {
                    Budget(cap).mark(starts, Level::Little, ends);
                }
            }
        }
    }

    fn write_user(&mut self, desk: &Desk) {
        let Some(locked) = self.user.take() else {
            return;
        };
        let now = self.request.now;
        let mut changed = false;
        for &pick in &desk.slate.picks {
            let i = desk.open[pick];
            for &(place, amount) in &self.limits.of_action[i] {
                let cap = self.cap(place);
                if cap.per != Per::User {
                    continue;
                }
                let state = match cap.counts {
                    None => COUNTED,
                    Some(_) => self.request.surface.actions[i].number.into(),
                };
                let slot = cap.slot.into();
                let mut block = ledger::block(&self.row.exposures, slot).to_vec();
                ledger::take(&mut block, (now, amount, state), &cap.terms(now));
                ledger::put(&mut self.row.exposures, slot, &block);
                changed = true;
            }
        }
        if changed {
            self.row.write_exposures(locked);
        }
    }
}
