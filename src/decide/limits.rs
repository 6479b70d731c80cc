//! Between score and choice: what the caps leave room for, and afterwards: what was chosen is taken
//! from their counters.
//!
//! The row of the user is locked first; then whatever cap is near its end is looked at, counters that
//! other transactions are about to change included. So it is known before the draw what can be had, and
//! the probability is that of a choice among it. Where a counter is gone all the same when it is
//! reached, its candidates are out, and the choice is made again with the next seed.
//!
//! Locks are taken in the order user, then counters; and none is waited for longer than [`PATIENCE`].

mod look;
mod stripes;

use super::Desk;
use super::candidates::Blocked;
use super::request::Request;
use crate::math::choice::Choice;
use crate::math::ledger::{self, COUNTED};
use crate::pg::locked::Locked;
use crate::policy::{Budget, Bundle, Cap, Level, Limits, Per, Stripe, UserRow};

/// Milliseconds that a decision waits for a lock: far from the second after which Postgres looks for
/// deadlocks.
pub const PATIENCE: u32 = 20;

/// The same where it would only be for a choice to come, of which others are known to hold all.
const MOMENT: u32 = 2;

/// How many rows of a counter it waits for, one after another: one of them may be held for long.
const TRIED: usize = 3;

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
    fn room(&mut self, cap: &Cap, known: Result<(), i64>) -> i64 {
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
