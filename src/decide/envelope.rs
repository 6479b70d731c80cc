//! The envelope of a decision: its latency budget over the stages, and what is done where a stage
//! cannot keep to it.
//!
//! | when | what |
//! | --- | --- |
//! | the user's row cannot be read within a quarter of the budget | what this session last saw of it is used |
//! | the rules are not done within two thirds | they are cancelled; their actions are blocked, the others go on |
//! | four fifths are used up before scoring | only the first candidates are scored |
//! | nearly all is used up, or no candidate is left | the fallback is shown |

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::reason::Reason;
use super::request::Request;
use super::stage::{Stage, Stopwatch};
use crate::eligibility::breaker::{self, Probe};
use crate::eligibility::{Deadline, OpenRules, RuleFault, RuleReport, timed_out};
use crate::govern::modes::Mode;
use crate::pg::admission::{self, Admitted, Full};
use crate::pg::attempt::{Caught, attempt};
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
pub enum FeatureSource {
    UserRow,
    /// What this backend has last seen, since the row could not be read.
    LastKnown,
}

/// How the rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// By one statement, which fails if one of them does.
    Together,
    /// Each alone, after that has failed.
    Each,
    /// Not at all: together they took too long.
    NotAgain,
}

/// What a decision relies on and can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    UserRow,
    Rules,
}

/// How one decision is made: in full at first, degraded once something has failed or was late.
pub struct Envelope {
    began: Instant,
    /// None where it is not enforced.
    budget: Option<Duration>,
    /// It is decided, not only explained.
    pub decides: bool,
    pub feature_source: FeatureSource,
    pub asking: Asking,
    /// Which rules are left out.
    pub open_rules: OpenRules,
    probe: Option<Probe>,
    pub features_until: Deadline,
    pub rules_until: Deadline,
    /// The time that the rules were given together, when they were late.
    rules_given: Duration,
    /// How the rules have done, once all that are not left out have been asked.
    rule_report: RefCell<Option<RuleReport>>,
    /// What is being relied on: an error now is an error of that.
    relied_on: Cell<Option<Dependency>>,
}

impl Envelope {
    /// For a decision that began at that moment.
    pub fn open(request: &Request<'_>, began: Instant, decides: bool) -> Envelope {
        let surface = request.surface;
        let budget = settings::enforce_latency_budget().then_some(surface.latency_budget);
        let by = |percent: u32| Deadline::at(budget.map(|all| began + all * percent / 100));
        let is_asked = request.mode_limits.mode != Mode::Paused;
        let (open_rules, probe) = match surface.rules.is_empty() {
            true => (OpenRules::default(), None),
            false => breaker::open_rules(&surface.rules, request.now, decides && is_asked),
        };
        Envelope {
            began,
            budget,
            decides,
            feature_source: FeatureSource::UserRow,
            asking: match surface.rules.is_one_by_one() {
                true => Asking::Each,
                false => Asking::Together,
            },
            open_rules,
            probe,
            features_until: by(FEATURES),
            rules_until: by(CANDIDATES),
            rules_given: Duration::ZERO,
            rule_report: RefCell::default(),
            relied_on: Cell::default(),
        }
    }

    /// Runs the stages that may fail, in a subtransaction each time: again, degraded, where something that can be done
    /// without has failed. Breakers are told how the rules have done.
    pub fn attempt<T>(
        &mut self,
        request: &Request<'_>,
        mut stages: impl FnMut(&Envelope) -> T,
    ) -> Result<T, Caught> {
        let result = loop {
            let result = attempt(|| stages(self));
            match &result {
                Err(error) if self.degrade(error, request) => {}
                _ => break result,
            }
        };
        self.report_to_breakers(request);
        result
    }

    /// Runs work that relies on something that a decision can do without.
    pub fn depend_on<T>(&self, dependency: Dependency, work: impl FnOnce() -> T) -> T {
        self.relied_on.set(Some(dependency));
        let result = work();
        self.relied_on.set(None);
        result
    }

    /// Does without what has failed; false where that was done already, or where something else has failed.
    fn degrade(&mut self, error: &Caught, request: &Request<'_>) -> bool {
        match self.relied_on.take() {
            Some(Dependency::UserRow) if self.feature_source == FeatureSource::UserRow => {
                self.feature_source = FeatureSource::LastKnown;
            }
            Some(Dependency::Rules) if self.asking == Asking::Together => match error.timed_out {
                true => self.give_up_rules(request),
                false => self.asking = Asking::Each,
            },
            _ => return false,
        }
        true
    }

    /// The rules were late together.
    fn give_up_rules(&mut self, request: &Request<'_>) {
        let rules = &request.surface.rules;
        rules.note_timeout();
        self.asking = Asking::NotAgain;
        // Whether the one that was tried again did better is not known.
        self.probe = None;
        self.rules_given = self.spent(Instant::now());
        let mut asked = (0..rules.len()).filter(|rule| !self.open_rules.rules.contains(rule));
        if let (Some(rule), None) = (asked.next(), asked.next()) {
            let late = RuleFault {
                rule,
                error: self.late(),
                slow: true,
            };
            self.report(RuleReport {
                faults: vec![late],
                inconclusive: self.open_rules.probed.into_iter().collect(),
            });
        }
    }

    /// All rules that are not left out have been asked.
    pub fn report(&self, report: RuleReport) {
        self.rule_report.replace(Some(report));
    }

    /// What is said of rules that were late together.
    pub fn late(&self) -> String {
        timed_out(self.rules_given)
    }

    /// How many of the eligible candidates may be scored: the first ones where time runs short. The stage that took
    /// the time where it is over.
    pub fn candidates_to_score(
        &self,
        eligible: usize,
        slots: usize,
        watch: &Stopwatch,
    ) -> Result<usize, Reason> {
        if eligible == 0 && self.asking == Asking::NotAgain {
            return Err(Reason::Timeout(Stage::Candidates));
        }
        let Some(budget) = self.budget else {
            return Ok(eligible);
        };
        let spent = self.spent(watch.last());
        if spent > budget * GIVE_UP / 100 {
            let features = watch.micros(Stage::Features) > watch.micros(Stage::Candidates);
            return Err(Reason::Timeout(match features {
                true => Stage::Features,
                false => Stage::Candidates,
            }));
        }
        Ok(match spent > budget * NARROW / 100 {
            true => eligible.min(FEW.max(2 * slots)),
            false => eligible,
        })
    }

    /// The time since it began, as far as it is counted.
    fn spent(&self, now: Instant) -> Duration {
        let all = now.saturating_duration_since(self.began);
        all.saturating_sub(self.rules_until.uncounted())
    }

    /// Tells the breakers how the rules have done.
    fn report_to_breakers(&mut self, request: &Request<'_>) {
        if self.decides
            && let Some(mut report) = self.rule_report.take()
        {
            if request.context.size() > ORDINARY_CONTEXT {
                report.discard_faults();
            }
            let (rules, probe) = (&request.surface.rules, self.probe.take());
            breaker::record(rules, &self.open_rules, probe, &report, request.now);
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
