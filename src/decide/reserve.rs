//! Between score and choice: what the caps leave room for; afterwards: what was chosen is taken from their
//! counters. [`Reservation`] goes through these states, in this order:
//!
//! 1. **Opened** ([`Reservation::open`]). The row of the user is the version that the features were read from, or
//!    is locked. Of each budget that others may have all rows of (it has few, is near its end, is paced, or one of
//!    its rows was found in use lately) as much as this decision can need is claimed ([`claims`]). Whoever has to be waited for is
//!    waited for here. Then the moment is settled, and with it the capacity of each cap.
//! 2. **Drawn** ([`Reservation::constrain`], [`Reservation::draw`]): among the candidates that each cap has
//!    capacity for.
//! 3. **Taken** ([`Reservation::take`]): the row of the user is written, then the rows of counters. Claims that
//!    are not needed are given back unchanged. Or else it is opened again, for another draw.
//!
//! # Why the logged probabilities are exact
//!
//! The rule: *whether a candidate can be had is known before the draw, and what is drawn can be had*. Let C be
//! the candidates left open by `constrain`, a function of what was read, claimed and waited for so far, and let the
//! draw be a function of C, the scores and a seed that nothing before depends on. Then P(a | C) is what the trace
//! says, as long as every draw becomes the answer, or as long as whether it does not depends on C alone. It does:
//!
//! - A cap of the user: the row is checked to be the newest version, or locked, whatever was drawn, also if nothing
//!   is written to it. If another transaction was faster the reservation is opened again: an event of equal
//!   probability for each outcome of the draw. In a transaction that sees one snapshot throughout, the same event
//!   is a serialization failure, and the client's retry is independent of the draw as well.
//! - A budget that was claimed: its rows cannot be changed by others until the claim is given back, and the capacity
//!   is that of the claimed rows alone. So what is drawn is taken without a wait, by the same arithmetic.
//! - A budget of many rows, far from its end, of which this session has found its own row free 64 times in a row: a
//!   free row is looked for after the draw, and one waited for if there is none (at most for [`LONGEST`]). Only where
//!   all rows were taken since its last decision by transactions that stay open is the draw lost, once. The first row
//!   that is found in use ends that: from then on the budget is claimed again.
//!
//! # The moment
//!
//! The moment of a decision is that of its exposures, and the trace says it. It is taken anew after every wait, and
//! where a row has an entry that is newer: so the entries of a row never go back in time, and whoever is late
//! counts in the window of the day, not in one that others have cleared. The user's features and rules are as of the
//! moment before, which the trace keeps as well where it is another.
//!
//! Locks are taken in the order user, then counters in the order of caps; nobody is waited for while the row of
//! another user is wanted.

mod claims;
mod stripes;
mod wait;

use std::time::{Duration, Instant};

use super::Buffers;
use super::blocked::Blocked;
use super::request::Request;
use crate::caps::{Cap, Limits, Per, Stripe};
use crate::math::choice::Choice;
use crate::math::ledger::{self, COUNTED};
use crate::pg::claim::Claim;
use crate::pg::clock;
use crate::pg::version::RowLock;
use crate::policy::{Bundle, UserRow};
use claims::Standing;

/// Milliseconds that a decision waits for others before the draw, in all: far from the second after which Postgres
/// looks for deadlocks.
const LOCK_WAIT: u32 = 20;

/// How long it waits for what it has drawn, while that passes from hand to hand among others.
const LONGEST: Duration = Duration::from_millis(100);

/// How often a decision draws at most.
pub const MOST_DRAWS: u32 = 8;

/// What is left of a cap, for one decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capacity {
    /// More than a decision can take.
    Plenty,
    Units(i64),
    /// So many units, and others have more in their hands.
    Contested(i64),
    /// The row of the user is in the hands of others.
    Busy,
    /// Of a cap per user, for a user that nobody knows.
    UnknownUser,
}

impl Capacity {
    fn units(self) -> i64 {
        match self {
            Capacity::Plenty => i64::MAX,
            Capacity::Units(units) | Capacity::Contested(units) => units,
            Capacity::Busy | Capacity::UnknownUser => 0,
        }
    }

    fn allows(self, amount: i64) -> bool {
        self.units() >= amount
    }
}

/// Why caps per user leave nothing, if they do.
type Known = Result<(), Capacity>;

/// What a decision has found out about its caps, and has of their counters.
pub struct Reservation<'a> {
    request: &'a Request<'a>,
    bundle: &'a Bundle,
    limits: &'a Limits,
    /// Whether counters are taken from; else it is only looked.
    takes: bool,
    /// When the exposures are.
    moment: i64,
    /// The moment is old: others were waited for since it was taken, or have counted since.
    is_old: bool,
    /// Per cap of the surface: how its counter was found, and what is left of it.
    standings: Vec<Standing>,
    capacities: Vec<Capacity>,
    /// How many of the soft caps have given way.
    relaxed: usize,
    /// The row of the user, what counts there, and what did before something was written.
    user: Option<RowLock>,
    exposures: Vec<i64>,
    before: Option<Vec<i64>>,
    held: Vec<Held>,
    /// What was drawn could not be had once: from then on every budget is claimed before the draw.
    careful: bool,
    /// Milliseconds that it waits before the draw, and has waited; at most [`LOCK_WAIT`].
    lock_wait: u32,
    waited: u32,
    /// Until when it waits for what was drawn; at most for [`LONGEST`].
    until: Instant,
}

/// A row of a counter that this decision has looked at, claimed or changed.
struct Held {
    place: usize,
    stripe: Stripe,
    /// None once another transaction was faster.
    row_lock: Option<RowLock>,
    /// Given back when nothing more is to be changed.
    _claim: Option<Claim>,
    /// What it was before something was taken.
    before: Option<Stripe>,
    /// It is not written yet.
    changed: bool,
}

impl Held {
    /// Whether this transaction has changed it.
    fn is_held(&self) -> bool {
        self.row_lock.as_ref().is_some_and(RowLock::is_held)
    }
}

impl<'a> Reservation<'a> {
    /// Takes the row of the user as the buffers has it, or locks it where it has none and there is a cap per user;
    /// claims what others may have all of. Needs an open session that lasts until the counters are written.
    pub fn open(
        request: &'a Request<'a>,
        bundle: &'a Bundle,
        takes: bool,
        time_left: Option<Duration>,
        buffers: &Buffers,
    ) -> Reservation<'a> {
        let limits = &request.surface.limits;
        let mut reservation = Reservation {
            request,
            bundle,
            limits,
            takes,
            moment: request.now,
            is_old: false,
            standings: Vec::with_capacity(limits.caps.len()),
            capacities: Vec::with_capacity(limits.caps.len()),
            relaxed: 0,
            user: None,
            exposures: Vec::new(),
            before: None,
            held: Vec::new(),
            careful: false,
            lock_wait: LOCK_WAIT,
            waited: 0,
            until: Instant::now(),
        };
        reservation.set_time_left(time_left);
        let known = match buffers.state.version {
            Some(version) if limits.of_users && takes && request.knows_user() => {
                reservation.exposures.extend(&buffers.state.exposures);
                reservation.user = Some(RowLock::Optimistic(version));
                Ok(())
            }
            _ => reservation.know_user(),
        };
        reservation.find_capacities(known);
        reservation
    }

    /// The moment of the decision.
    pub fn moment(&self) -> i64 {
        self.moment
    }

    fn set_time_left(&mut self, time_left: Option<Duration>) {
        let time_left = time_left.map_or(LONGEST, |left| left.min(LONGEST));
        self.until = Instant::now() + time_left;
        self.lock_wait = (time_left.as_millis() as u32).clamp(1, LOCK_WAIT);
    }

    /// Locks the row of the user, or reads it where nothing is taken; else why its caps leave nothing.
    fn know_user(&mut self) -> Known {
        let key = self.request.user_key;
        if !self.request.knows_user() {
            return Err(Capacity::UnknownUser);
        }
        if !self.limits.of_users {
            return Ok(());
        }
        let mut row = UserRow::default();
        if self.takes {
            let locked = row.lock_within(key, self.lock_wait);
            self.user = locked.map(RowLock::Held);
            self.is_old = true;
        } else {
            row.read(key);
        }
        self.exposures = row.exposures;
        match self.takes && self.user.is_none() {
            true => Err(Capacity::Busy),
            false => Ok(()),
        }
    }

    /// Claims, waits, settles the moment: then nothing of it changes until something is taken.
    fn find_capacities(&mut self, known: Known) {
        self.is_old |= self.is_behind_user();
        self.standings.clear();
        for place in 0..self.limits.caps.len() {
            let standing = self.find_standing(place);
            self.standings.push(standing);
        }
        self.settle_moment();
        self.capacities.clear();
        for place in 0..self.limits.caps.len() {
            let capacity = self.capacity(place, known);
            self.capacities.push(capacity);
        }
    }

    fn cap(&self, place: usize) -> &'a Cap {
        &self.bundle.caps[self.limits.caps[place]]
    }

    /// Takes the moment anew if others were waited for, or a row of a counter has an entry that is newer; whether
    /// it did.
    fn settle_moment(&mut self) -> bool {
        let rows = self.held.iter().map(|held| &held.stripe.ledger[..]);
        let newest = rows.filter_map(ledger::newest).max();
        let is_behind = newest.is_some_and(|newest| newest > self.moment);
        let anew = self.takes && (self.is_old || is_behind);
        if anew {
            self.moment = clock::now().max(self.moment);
            self.is_old = false;
        }
        anew
    }

    /// Whether the row of the user has an entry that is newer than the moment.
    fn is_behind_user(&self) -> bool {
        let of_bundle = self.limits.caps.iter().map(|&i| &self.bundle.caps[i]);
        let mut of_user = of_bundle.filter(|cap| cap.per.is_of_user());
        of_user.any(|cap| {
            let block = ledger::block(&self.exposures, cap.number.into());
            ledger::newest(block).is_some_and(|newest| newest > self.moment)
        })
    }

    /// What is left of a cap at the moment.
    fn capacity(&self, place: usize, known: Known) -> Capacity {
        let cap = self.cap(place);
        let limit = self.request.mode_limits.limit(cap.limit);
        match (cap.per, known) {
            (Per::Decision, _) => Capacity::Units(limit),
            (Per::User, Err(closed)) => closed,
            (Per::User, Ok(())) => {
                let block = ledger::block(&self.exposures, cap.number.into());
                let used = ledger::used(block, &cap.terms(self.moment));
                Capacity::Units(limit.saturating_sub(used).max(0))
            }
            (Per::All, _) => self.capacity_of_budget(place),
        }
    }

    /// Leaves those candidates open for which every cap has capacity, `buffers.allowed` being all there are.
    pub fn constrain(&self, buffers: &mut Buffers) {
        buffers.open.clear();
        let others = buffers.blocked_otherwise;
        buffers.blocked.truncate(others);
        buffers.blocked_by.truncate(others);
        let of_largest = self.capacities.iter().zip(&self.limits.largest);
        let moved = self.moment != self.request.now;
        if !moved && of_largest.clone().all(|(c, &largest)| c.allows(largest)) {
            buffers.open.extend_from_slice(&buffers.allowed);
            return;
        }
        for &i in &buffers.allowed {
            match self.blocked(i) {
                None => buffers.open.push(i),
                Some(blocked) => {
                    buffers.blocked.push(i);
                    buffers.blocked_by.push(blocked.code());
                }
            }
        }
    }

    /// Why an action that is allowed otherwise cannot be had.
    fn blocked(&self, i: usize) -> Option<Blocked> {
        // Its campaign may have ended while others were waited for.
        if self.moment >= self.request.surface.actions[i].ends {
            return Some(Blocked::Ended);
        }
        let mut needs = self.limits.of_action[i].iter();
        let &(place, _) = needs.find(|&&(place, amount)| !self.capacities[place].allows(amount))?;
        Some(match self.capacities[place] {
            Capacity::Contested(_) | Capacity::Busy => Blocked::Busy,
            Capacity::UnknownUser => Blocked::UnknownUser,
            Capacity::Units(_) | Capacity::Plenty => Blocked::Cap(self.cap(place).number),
        })
    }

    /// Draws an action for each slot; what one takes is not there for the next.
    pub fn draw(&self, choice: &Choice, buffers: &mut Buffers) {
        let mut slate = std::mem::take(&mut buffers.slate);
        let slots = self.request.surface.slots;
        let several = slots > 1;
        let units = self.capacities.iter().map(|capacity| capacity.units());
        let mut left: Vec<i64> = units.filter(|_| several).collect();
        buffers.dropped.clear();
        let mut is_gone = vec![false; if several { buffers.open.len() } else { 0 }];
        slate.choose_within(
            choice,
            &buffers.scores,
            slots,
            buffers.seed,
            |slot, picked, gone| {
                if slot + 1 == slots {
                    return;
                }
                for &(place, amount) in &self.limits.of_action[buffers.open[picked]] {
                    if self.capacities[place] != Capacity::Plenty {
                        left[place] = left[place].saturating_sub(amount);
                    }
                }
                is_gone[picked] = true;
                for (candidate, &i) in buffers.open.iter().enumerate() {
                    let mut needs = self.limits.of_action[i].iter();
                    if !is_gone[candidate] && needs.any(|&(place, amount)| left[place] < amount) {
                        is_gone[candidate] = true;
                        gone.push(candidate);
                        let number = self.request.surface.actions[i].number;
                        buffers.dropped.extend([slot as i32 + 2, number]);
                    }
                }
            },
        );
        buffers.slate = slate;
    }

    /// Lets the next soft cap give way; whether there was one.
    pub fn relax(&mut self, buffers: &mut Buffers) -> bool {
        let Some(&place) = self.limits.soft.get(self.relaxed) else {
            return false;
        };
        self.relaxed += 1;
        // The row of a user that cannot be had cannot be written either.
        if !matches!(
            self.capacities[place],
            Capacity::Busy | Capacity::UnknownUser
        ) {
            self.capacities[place] = Capacity::Plenty;
            buffers.relaxed.push(self.cap(place).number);
        }
        true
    }

    /// Takes what was drawn from the counters; false where it must be drawn again, from what can be had now.
    pub fn take(&mut self, time_left: Option<Duration>, buffers: &mut Buffers) -> bool {
        if !self.takes {
            return true;
        }
        self.set_time_left(time_left);
        if !self.write_user(buffers) {
            self.open_again(buffers, true);
            return false;
        }
        if !self.take_stripes(buffers) {
            self.careful = true;
            self.open_again(buffers, false);
            return false;
        }
        self.note_little();
        self.held.clear();
        true
    }

    /// Gives back whatever was written: nothing is shown.
    pub fn take_nothing(&mut self, buffers: &mut Buffers) {
        buffers.choose_nothing();
        self.give_back();
        if self.before.is_some() {
            self.write_user(buffers);
        }
        self.write_stripes();
        self.held.clear();
    }

    /// Finds out again what can be had: of the row of the user as well, if others were faster with it.
    fn open_again(&mut self, buffers: &mut Buffers, lost_user: bool) {
        self.give_back();
        buffers.relaxed.clear();
        self.relaxed = 0;
        let known = match lost_user {
            true => {
                self.before = None;
                self.know_user()
            }
            false => self.is_known(),
        };
        self.find_capacities(known);
    }

    /// Whether the row of the user is here, if it is wanted.
    fn is_known(&self) -> Known {
        match (self.request.knows_user(), self.limits.of_users, &self.user) {
            (false, ..) => Err(Capacity::UnknownUser),
            (true, true, None) => Err(Capacity::Busy),
            _ => Ok(()),
        }
    }

    /// What was taken counts no more: the next writing says so where it was written. What was only looked at or
    /// claimed is let go.
    fn give_back(&mut self) {
        self.give_back_stripes();
        if let Some(before) = &self.before {
            self.exposures.clone_from(before);
        }
    }

    /// False where the row of the user is not any more what the draw was made from, whatever was drawn: so
    /// whether it is drawn again does not depend on that.
    fn write_user(&mut self, buffers: &Buffers) -> bool {
        let Some(row_lock) = self.user.take() else {
            return true;
        };
        let mut exposures = self.exposures.clone();
        let was_written = self.before.is_some();
        let changed = self.count(buffers, &mut exposures);
        if !changed && !was_written {
            let holds = row_lock.holds();
            self.user = Some(row_lock).filter(|_| holds);
            return holds;
        }
        self.user = UserRow::write_exposures(&exposures, row_lock);
        if self.before.is_none() {
            self.before = Some(std::mem::take(&mut self.exposures));
        }
        self.exposures = exposures;
        self.user.is_some()
    }

    /// The same once more, as of a later moment.
    fn write_user_again(&mut self, buffers: &Buffers) -> bool {
        if let Some(before) = &self.before {
            self.exposures.clone_from(before);
        }
        self.before.is_none() || self.write_user(buffers)
    }

    /// Counts what is shown; whether that is anything.
    fn count(&self, buffers: &Buffers, exposures: &mut Vec<i64>) -> bool {
        let now = self.moment;
        let mut changed = false;
        for &pick in &buffers.slate.picks {
            let i = buffers.open[pick];
            for &(place, amount) in &self.limits.of_action[i] {
                let cap = self.cap(place);
                if !cap.per.is_of_user() {
                    continue;
                }
                let state = match cap.counts {
                    None => COUNTED,
                    Some(_) => self.request.surface.actions[i].number.into(),
                };
                let slot = cap.number.into();
                let mut block = ledger::block(exposures, slot).to_vec();
                ledger::take(&mut block, (now, amount, state), &cap.terms(now));
                ledger::put(exposures, slot, &block);
                changed = true;
            }
        }
        changed
    }
}
