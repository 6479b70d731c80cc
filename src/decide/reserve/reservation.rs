//! What a reservation knows and holds, and the moment that it is of.

use std::time::{Duration, Instant};

use super::counter::{CapState, HeldRow};
use super::kept::Kept;
use crate::caps::{Cap, Limits};
use crate::decide::request::Request;
use crate::math::ledger;
use crate::pg::clock;
use crate::pg::version::RowLock;

/// Milliseconds that a decision waits for others before the draw, in all: far from the second after which Postgres
/// looks for deadlocks.
const LOCK_WAIT_MS: u32 = 20;

/// How long a decision waits for a row of what it has drawn, while transactions of others take turns with it.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Where a reservation is in its life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Opened,
    Drawn,
    Taken,
    Released,
}

impl State {
    fn may_become(self, next: State) -> bool {
        match self {
            State::Opened => matches!(next, State::Drawn | State::Released),
            State::Drawn => matches!(next, State::Opened | State::Taken),
            State::Taken | State::Released => false,
        }
    }

    fn is_last(self) -> bool {
        matches!(self, State::Taken | State::Released)
    }
}

/// What a decision has found out about its caps, and holds of their counters.
pub struct Reservation<'a> {
    state: State,
    pub(super) request: &'a Request<'a>,
    pub(super) limits: &'a Limits,
    /// Indexes of the actions of the surface that are eligible, ascending.
    pub(super) eligible: &'a [usize],
    /// Whether counters are taken from; else they are only read.
    pub(super) decides: bool,
    /// When the exposures are.
    pub(super) moment: i64,
    /// Others were waited for since the moment was taken, or have counted since.
    pub(super) is_moment_stale: bool,
    /// The caps that were looked at, ascending.
    pub(super) states: Vec<CapState>,
    /// So many budgets are needed that they cannot all be claimed.
    pub(super) has_many_budgets: bool,
    /// How many of the soft caps have given way.
    pub(super) relaxed: usize,
    /// The row of the user, the exposures in it, and those before something was written.
    pub(super) user: Option<RowLock>,
    pub(super) exposures: Vec<i64>,
    pub(super) exposures_before: Option<Vec<i64>>,
    /// The exposures are written at the end of the call.
    pub(super) user_changed: bool,
    /// What the decisions of the call keep for each other.
    pub(super) kept: &'a mut Kept,
    pub(super) held: Vec<HeldRow>,
    /// What was drawn could not be taken once: from then on every budget is claimed before the draw.
    pub(super) must_claim_all: bool,
    /// Milliseconds that it may wait before the draw, at most [`LOCK_WAIT_MS`], and that it has waited.
    pub(super) lock_wait_ms: u32,
    pub(super) waited_ms: u32,
    /// Until when it waits for what was drawn, at most for [`LONGEST_WAIT`].
    pub(super) wait_until: Instant,
}

impl<'a> Reservation<'a> {
    /// One that has found out nothing yet.
    pub(super) fn new(
        request: &'a Request<'a>,
        decides: bool,
        time_left: Option<Duration>,
        eligible: &'a [usize],
        kept: &'a mut Kept,
    ) -> Reservation<'a> {
        let limits = request.terms().limits;
        let mut reservation = Reservation {
            state: State::Opened,
            request,
            limits,
            eligible,
            decides,
            moment: request.now,
            is_moment_stale: false,
            states: Vec::new(),
            has_many_budgets: false,
            relaxed: 0,
            user: None,
            exposures: Vec::new(),
            exposures_before: None,
            user_changed: false,
            kept,
            held: Vec::new(),
            must_claim_all: false,
            lock_wait_ms: LOCK_WAIT_MS,
            waited_ms: 0,
            wait_until: Instant::now(),
        };
        reservation.set_time_left(time_left);
        reservation
    }

    /// Goes on to another state of the life cycle.
    pub(super) fn enter(&mut self, next: State) {
        debug_assert!(
            self.state.may_become(next),
            "a reservation that is {:?} cannot become {next:?}",
            self.state
        );
        debug_assert!(
            !next.is_last() || self.held.iter().all(|row| !self.must_write(row)),
            "a reservation that becomes {next:?} has a row that is not written"
        );
        self.state = next;
    }

    /// To be called by what is done in one state only.
    pub(super) fn must_be(&self, state: State) {
        debug_assert_eq!(self.state, state, "the state of a reservation");
    }

    /// Whether a row is to be written before the decision ends.
    pub(super) fn must_write(&self, row: &HeldRow) -> bool {
        row.changed && !self.kept.defers(row.row_lock.as_ref())
    }

    /// The moment of the decision.
    pub fn moment(&self) -> i64 {
        self.moment
    }

    pub(super) fn set_time_left(&mut self, time_left: Option<Duration>) {
        let time_left = time_left.map_or(LONGEST_WAIT, |left| left.min(LONGEST_WAIT));
        self.wait_until = Instant::now() + time_left;
        self.lock_wait_ms = (time_left.as_millis() as u32).clamp(1, LOCK_WAIT_MS);
    }

    /// A cap of the surface, by its index among them.
    pub(super) fn cap(&self, index: usize) -> &'a Cap {
        &self.request.bundle.caps[self.limits.caps[index]]
    }

    /// Takes the moment anew if others were waited for, or if a row of a counter has an entry that is newer; whether
    /// it did.
    pub(super) fn renew_moment(&mut self) -> bool {
        let ledgers = self.held.iter().map(|row| &row.stripe.ledger[..]);
        let newest = ledgers.filter_map(ledger::newest).max();
        let is_behind = newest.is_some_and(|newest| newest > self.moment);
        let renews = self.decides && (self.is_moment_stale || is_behind);
        if renews {
            self.moment = clock::now().max(self.moment);
            self.is_moment_stale = false;
        }
        renews
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        // An error undoes what was written, wherever it comes from.
        debug_assert!(
            std::thread::panicking() || self.state.is_last(),
            "a reservation ends {:?}",
            self.state
        );
    }
}

#[cfg(test)]
mod tests {
    use super::State::{self, Drawn, Opened, Released, Taken};

    #[test]
    fn what_is_taken_was_drawn_and_stays_taken() {
        let all = [Opened, Drawn, Taken, Released];
        let next = |state: State| all.into_iter().filter(move |&next| state.may_become(next));
        assert!(next(Opened).eq([Drawn, Released]));
        assert!(next(Drawn).eq([Opened, Taken]));
        assert!(
            all.into_iter()
                .all(|state| state.is_last() == next(state).eq([]))
        );
    }
}
