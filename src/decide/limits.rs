//! Between score and choice: what the caps leave room for, and afterwards: what was chosen is taken
//! from their counters.
//!
//! The row of the user is locked first; then whatever cap is near its end is looked at, counters that
//! other transactions are about to change included. So it is known before the draw what can be had, and
//! the probability is that of a choice among it. Where a counter is gone all the same when it is reached,
//! its candidates are out, and the choice is made again with the next seed. So that this does not depend on
//! what was chosen, what is near its end and was not chosen is looked at once more then.
//!
//! While there is plenty of all, nothing is locked: the row of the user is the one that the features were
//! read from, and what was looked at is changed if it still is the newest version and nobody has it. Else
//! another transaction was faster. A stripe is taken elsewhere then, for the same choice. If it was the row
//! of the user, that is locked, and the choice made again: whether this happens does not depend on what was
//! chosen, since the row is looked at again where nothing is written to it.
//!
//! Locks are taken in the order user, then counters; and nobody is waited for longer than [`PATIENCE`].

mod look;
mod stripes;
mod wait;

use std::time::{Duration, Instant};

use super::Desk;
use super::candidates::Blocked;
use super::request::Request;
use crate::math::choice::Choice;
use crate::math::ledger::{self, COUNTED};
use crate::pg::version::Grip;
use crate::policy::{Budget, Bundle, Cap, Level, Limits, Per, Stripe, UserRow};

/// Milliseconds that a decision waits for a lock: far from the second after which Postgres looks for
/// deadlocks.
const PATIENCE: u32 = 20;

/// How long it waits for what it has chosen while that passes from hand to hand among others.
const LONGEST: Duration = Duration::from_millis(100);

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
    /// Caps whose counters others were seen to hold all of, or could: what of them is held, nobody has.
    sharp: Vec<usize>,
    /// How many of the soft caps have given way.
    relaxed: usize,
    /// The row of the user, what counts there, and what it was before something was written.
    user: Option<Grip>,
    exposures: Vec<i64>,
    before: Option<Vec<i64>>,
    held: Vec<Held>,
    /// Another transaction was faster once: from then on what is looked at is locked.
    careful: bool,
    /// Milliseconds that it waits for a lock; at most [`PATIENCE`].
    patience: u32,
    /// Until when it waits for a row that passes from hand to hand; at most for [`LONGEST`].
    until: Instant,
    /// Those that it has waited for counters in vain: in all no longer than for one lock.
    waited: u32,
}

/// A stripe that this transaction has locked, or looked at.
struct Held {
    place: usize,
    stripe: Stripe,
    /// None once another transaction was faster.
    grip: Option<Grip>,
    /// What it was before something was taken.
    before: Option<Stripe>,
    /// It is not written yet.
    changed: bool,
}

impl Held {
    fn is_firm(&self) -> bool {
        self.grip.as_ref().is_some_and(Grip::is_firm)
    }
}

impl<'a> Limiting<'a> {
    /// Whether it has looked at that stripe, or holds it.
    fn has(&self, place: usize, stripe: i32) -> bool {
        let mut held = self.held.iter();
        held.any(|held| held.place == place && held.stripe.number == stripe)
    }

    /// Locks the row of the user if there is a cap per user, or takes it as the desk has it while there is
    /// plenty of all; and looks at what is near its end. Needs an open session that lasts until the counters
    /// are written.
    pub fn begin(
        request: &'a Request<'a>,
        bundle: &'a Bundle,
        takes: bool,
        time_left: Option<Duration>,
        desk: &Desk,
    ) -> Limiting<'a> {
        let limits = &request.surface.limits;
        let mut limiting = Limiting {
            request,
            bundle,
            limits,
            takes,
            rooms: Vec::with_capacity(limits.caps.len()),
            sharp: Vec::new(),
            relaxed: 0,
            user: None,
            exposures: Vec::new(),
            before: None,
            held: Vec::new(),
            careful: false,
            patience: PATIENCE,
            until: Instant::now(),
            waited: 0,
        };
        limiting.hurry(time_left);
        let known = match desk.state.version.filter(|_| limiting.has_plenty()) {
            Some(version) if limits.of_users && takes => {
                limiting.exposures.extend(&desk.state.exposures);
                limiting.user = Some(Grip::Loose(version));
                Ok(())
            }
            _ => limiting.know_user(),
        };
        limiting.find_rooms(known);
        limiting
    }

    /// So much time is left.
    pub fn hurry(&mut self, time_left: Option<Duration>) {
        let time_left = time_left.map_or(LONGEST, |left| left.min(LONGEST));
        self.until = Instant::now() + time_left;
        self.patience = (time_left.as_millis() as u32).clamp(1, PATIENCE);
    }

    /// Locks the row of the user, or reads it where nothing is taken; else why its caps leave nothing.
    fn know_user(&mut self) -> Result<(), i64> {
        let key = self.request.user_key;
        if !self.request.knows_user() {
            return Err(UNKNOWN);
        }
        if !self.limits.of_users {
            return Ok(());
        }
        let mut row = UserRow::default();
        if self.takes {
            let locked = row.lock_within(key, self.patience);
            self.user = locked.map(Grip::Firm);
        } else {
            row.read(key);
        }
        self.exposures = row.exposures;
        match self.takes && self.user.is_none() {
            true => Err(BUSY),
            false => Ok(()),
        }
    }

    fn find_rooms(&mut self, known: Result<(), i64>) {
        self.rooms.clear();
        self.sharp.clear();
        for &i in &self.limits.caps {
            let room = self.room(&self.bundle.caps[i], known);
            self.rooms.push(room);
        }
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
                let block = ledger::block(&self.exposures, cap.slot.into());
                let used = ledger::used(block, &cap.terms(self.request.now));
                limit.saturating_sub(used).max(0)
            }
            Per::All => match self.level(cap) {
                Level::UsedUp => 0,
                Level::Plenty => PLENTY,
                Level::Little => self.look(cap),
            },
        }
    }

    /// How full a budget is; little is left where pacing or the mode of the surface has a say.
    fn level(&self, cap: &Cap) -> Level {
        let now = self.request.now;
        let tightened = self.request.leeway.limit(cap.limit) != cap.limit;
        match Budget(cap).level(cap.level_window(cap.window(now).0), now) {
            Level::Plenty if tightened || cap.is_paced() => Level::Little,
            level => level,
        }
    }

    /// Whether no counter has to be looked at before the choice.
    fn has_plenty(&self) -> bool {
        let caps = self.limits.caps.iter().map(|&i| &self.bundle.caps[i]);
        let mut budgets = caps.filter(|cap| cap.per == Per::All);
        budgets.all(|cap| self.level(cap) != Level::Little)
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
        let mut is_gone = vec![false; if slots > 1 { desk.open.len() } else { 0 }];
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
                is_gone[picked] = true;
                for (candidate, &i) in desk.open.iter().enumerate() {
                    let mut needs = self.limits.of_action[i].iter();
                    if !is_gone[candidate] && needs.any(|&(place, amount)| rooms[place] < amount) {
                        is_gone[candidate] = true;
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

    /// Writes the counters of what is shown; false where another transaction was faster, so that the choice
    /// must be made again.
    pub fn write(&mut self, desk: &mut Desk) -> bool {
        if !self.takes {
            return true;
        }
        loop {
            if !self.write_user(desk) {
                self.look_again(desk);
                return false;
            }
            if self.write_stripes() {
                self.mark_little();
                return true;
            }
            // What was chosen stays so, if there is another stripe for it.
            self.give_back();
            if !self.reserve(desk) {
                return false;
            }
        }
    }

    /// Puts back whatever was written: nothing is shown.
    pub fn write_nothing(&mut self, desk: &mut Desk) {
        desk.choose_nothing();
        self.give_back();
        if self.before.is_none() {
            self.user = None;
        }
        self.write(desk);
    }

    /// False where the row of the user is not any more what the choice was made by, whatever was chosen: so
    /// whether the choice is made again does not depend on it.
    fn write_user(&mut self, desk: &Desk) -> bool {
        let Some(grip) = self.user.take() else {
            return true;
        };
        let mut exposures = self.exposures.clone();
        let was_written = self.before.is_some();
        let changed = self.count(desk, &mut exposures);
        if !changed && !was_written {
            let holds = grip.holds();
            self.user = Some(grip).filter(|_| holds);
            return holds;
        }
        self.user = UserRow::write_exposures(&exposures, grip);
        self.before = Some(std::mem::replace(&mut self.exposures, exposures));
        self.user.is_some()
    }

    /// Counts what is shown; whether that is anything.
    fn count(&self, desk: &Desk, exposures: &mut Vec<i64>) -> bool {
        let now = self.request.now;
        let mut changed = false;
        for &pick in &desk.slate.picks {
            let i = desk.open[pick];
            for &(place, amount) in &self.limits.of_action[i] {
                let cap = self.cap(place);
                if cap.per != Per::User || amount == 0 {
                    continue;
                }
                let state = match cap.counts {
                    None => COUNTED,
                    Some(_) => self.request.surface.actions[i].number.into(),
                };
                let slot = cap.slot.into();
                let mut block = ledger::block(exposures, slot).to_vec();
                ledger::take(&mut block, (now, amount, state), &cap.terms(now));
                ledger::put(exposures, slot, &block);
                changed = true;
            }
        }
        changed
    }

    /// From here on counts again what counted before the choice, and locks what it looks at.
    fn give_back(&mut self) {
        self.careful = true;
        self.give_back_stripes();
        if let Some(before) = &self.before {
            self.exposures.clone_from(before);
        }
    }

    /// Looks at all there is once more, the row of the user locked.
    fn look_again(&mut self, desk: &mut Desk) {
        self.give_back();
        desk.relaxed.clear();
        self.relaxed = 0;
        self.before = None;
        let known = self.know_user();
        self.find_rooms(known);
    }
}
