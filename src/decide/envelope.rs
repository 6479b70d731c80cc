//! The envelope of a decision: its latency budget over the stages, and what is done where a stage
//! cannot keep to it.
//!
//! | when | what |
//! | --- | --- |
//! | the user's row cannot be read by a quarter of the budget | what this session last saw of it serves |
//! | the rules are not done by two thirds | they are cancelled; their actions are out, the others go on |
//! | four fifths are gone before scoring | the first candidates alone go on |
//! | nearly all is gone, or nothing is left | the fallback |

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::blocked::Blocked;
use super::{Buffers, Reason, Request};
use crate::eligibility::breaker::{self, Probe};
use crate::eligibility::{Deadline, Round, RuleFault, RuleReport, timed_out};
use crate::govern::modes::Mode;
use crate::pg::admission::{self, Admitted, Full};
use crate::pg::attempt::Caught;
use crate::settings;

/// Percent of the budget by which features must be read, and rules be answered.
const FEATURES: u32 = 25;
const CANDIDATES: u32 = 65;

/// Percent of the budget from which on fewer candidates are scored, and from which on none.
const NARROW: u32 = 80;
const GIVE_UP: u32 = 95;

/// How many candidates are left of many; twice as many as slots where that is more.
const FEW: usize = 10;

/// Largest context, in bytes as jsonb, with which a rule that fails or is late does so by its own fault.
const ORDINARY_CONTEXT: usize = 8_192;

/// Where the features of the user come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowing {
    FromTheRow,
    /// From what this backend has last seen, since the row could not be had.
    LastKnown,
}

/// How the rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// By one statement, which fails if one of them does.
    Together,
    /// Each alone, after that has failed.
    Each,
    /// Not again: together they took too long.
    No,
}

/// How one decision goes about it: as it should, until something has failed or was late.
pub struct Envelope {
    began: Instant,
    /// None where it is not enforced.
    budget: Option<Duration>,
    /// It is decided, not only explained.
    pub takes: bool,
    pub knowing: Knowing,
    pub asking: Asking,
    /// Which rules are left out.
    pub round: Round,
    probe: Option<Probe>,
    pub features_until: Deadline,
    pub rules_until: Deadline,
    /// What the rules were given together, when they were late.
    given: Duration,
    /// How the rules have done, once all that are not left out have been asked.
    outcome: RefCell<Option<RuleReport>>,
}

impl Envelope {
    /// For a decision that began at that moment.
    pub fn open(request: &Request<'_>, began: Instant, takes: bool) -> Envelope {
        let surface = request.surface;
        let budget = settings::enforce_latency_budget().then_some(surface.latency_budget);
        let by = |percent: u32| Deadline::at(budget.map(|all| began + all * percent / 100));
        let is_asked = request.mode_limits.mode != Mode::Paused;
        let (round, probe) = match surface.rules.is_empty() {
            true => (Round::default(), None),
            false => breaker::round(&surface.rules, request.now, takes && is_asked),
        };
        Envelope {
            began,
            budget,
            takes,
            knowing: Knowing::FromTheRow,
            asking: match surface.rules.go_alone() {
                true => Asking::Each,
                false => Asking::Together,
            },
            round,
            probe,
            features_until: by(FEATURES),
            rules_until: by(CANDIDATES),
            given: Duration::ZERO,
            outcome: RefCell::default(),
        }
    }

    /// Whether another attempt, made otherwise, may do better than the one that failed.
    pub fn learn(&mut self, error: &Caught, request: &Request<'_>, buffers: &Buffers) -> bool {
        if buffers.in_features.get() && self.knowing == Knowing::FromTheRow {
            self.knowing = Knowing::LastKnown;
            return true;
        }
        if !buffers.in_rules.get() || self.asking != Asking::Together {
            return false;
        }
        if !error.timed_out {
            self.asking = Asking::Each;
            return true;
        }
        let rules = &request.surface.rules;
        rules.overran();
        self.asking = Asking::No;
        // Whether the one that was tried again did better is not known.
        self.probe = None;
        self.given = self.spent(Instant::now());
        let mut asked = (0..rules.len()).filter(|rule| !self.round.out.contains(rule));
        if let (Some(rule), None) = (asked.next(), asked.next()) {
            let late = RuleFault {
                rule,
                error: self.late(),
                slow: true,
            };
            self.answered(RuleReport {
                faults: vec![late],
                silent: self.round.probed.into_iter().collect(),
            });
        }
        true
    }

    /// All rules that are not left out have been asked.
    pub fn answered(&self, outcome: RuleReport) {
        self.outcome.replace(Some(outcome));
    }

    /// What is said of rules that were late together.
    pub fn late(&self) -> String {
        timed_out(self.given)
    }

    /// Before scoring: leaves the first candidates where time runs short, none where it is over.
    pub fn narrow(
        &self,
        now: Instant,
        laps: &[i32],
        request: &Request<'_>,
        buffers: &mut Buffers,
    ) -> Result<(), Reason> {
        let slow = match laps[1] > laps[2] {
            true => "features",
            false => "candidates",
        };
        if buffers.open.is_empty() && self.asking == Asking::No {
            return Err(Reason::Timeout("candidates"));
        }
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let spent = self.spent(now);
        if spent > budget * GIVE_UP / 100 {
            return Err(Reason::Timeout(slow));
        }
        let few = FEW.max(2 * request.surface.slots);
        if spent > budget * NARROW / 100 && buffers.open.len() > few {
            let rest = buffers.open.drain(few..);
            buffers
                .blocked_by
                .extend(rest.as_slice().iter().map(|_| Blocked::Narrowed.code()));
            buffers.blocked.extend(rest);
        }
        Ok(())
    }

    /// What counts of the time since it began.
    fn spent(&self, now: Instant) -> Duration {
        let all = now.saturating_duration_since(self.began);
        all.saturating_sub(self.rules_until.uncounted())
    }

    /// Tells the breakers how the rules have done.
    pub fn account(&mut self, request: &Request<'_>) {
        if self.takes
            && let Some(mut outcome) = self.outcome.take()
        {
            if request.context.size() > ORDINARY_CONTEXT {
                outcome.excuse();
            }
            let (rules, probe) = (&request.surface.rules, self.probe.take());
            breaker::account(rules, &self.round, probe, &outcome, request.now);
        }
    }

    /// What is left until nearly all of the time is gone; None where it is not limited.
    pub fn time_left(&self) -> Option<Duration> {
        let left = |all: Duration| (all * GIVE_UP / 100).saturating_sub(self.spent(Instant::now()));
        self.budget.map(left)
    }

    /// Whether nearly all of the time is gone.
    pub fn is_over(&self) -> bool {
        let over = |all: Duration| self.spent(Instant::now()) > all * GIVE_UP / 100;
        self.budget.is_some_and(over)
    }
}

thread_local! {
    static WARNED: Cell<bool> = const { Cell::new(false) };
}

/// Whether one more decision may be made now, and its place in the count of those at once.
pub fn admit() -> Result<Option<Admitted>, Full> {
    let Some(most) = settings::max_concurrent_decisions() else {
        return Ok(None);
    };
    if admission::is_possible() {
        return admission::enter(most).map(Some);
    }
    if !WARNED.replace(true) {
        pgrx::warning!(
            "pg_decide.max_concurrent_decisions has no effect, since pg_decide is not in shared_preload_libraries"
        );
    }
    Ok(None)
}
