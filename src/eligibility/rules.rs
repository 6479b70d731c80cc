//! Eligibility rules, evaluated with the rights of `pg_decide.rule_role`: those of a surface that read no table, or rows
//! by their unique keys alone, are kept expressions, all others one planned statement.
//!
//! A rule that mentions `action` is evaluated for all actions that it binds at once, as a set, so that
//! the executor may choose how to read the shop's tables; for a few actions it is evaluated one by
//! one, with the action's row as constants, which spares a join. The others are plain expressions.
//! Where the one statement fails, each rule is evaluated alone, and sets are halved until the actions
//! that make it fail are found: the others keep their verdicts.

mod rule;
mod statement;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

pub use rule::{BoundAction, Rule};

use super::deadline::{Deadline, timed_out};
use super::scope::{RuleInputs, rule_role};
use super::verdict::{OpenRules, RuleFault, Verdicts};
use crate::math::hash::fnv64a;
use crate::pg::attempt::attempt;
use crate::pg::confined::{confined, refusing};
use crate::pg::datum::{self, Arg};
use crate::pg::expression::DirectExpressions;
use crate::pg::plan::{Access, with_english_messages, with_server_planner};
use crate::pg::{Plan, array, identity, session};

/// How many actions may fail one by one within a decision; the rest of their sets then counts as
/// failed too, so that a broken rule cannot hold a decision up for long.
const MOST_FAILURES: usize = 50;

/// The rules of one surface.
#[derive(Serialize, Deserialize)]
pub struct Rules {
    bundle: i64,
    surface: String,
    inputs: RuleInputs,
    rules: Vec<Rule>,
    hashes: Vec<i64>,
    /// The transaction that published the bundle.
    #[serde(skip)]
    pub published_in: Cell<u32>,
    /// The actions of each set as text, once a transaction had a snapshot that does not see the bundle.
    #[serde(skip)]
    rows_of_sets: RefCell<Option<HashMap<i32, String>>>,
    #[serde(skip)]
    combined: RefCell<Option<CombinedStatement>>,
    /// By the index of the rule.
    #[serde(skip)]
    single: RefCell<HashMap<usize, RuleStatement>>,
    /// Whether rules are evaluated one by one, since together they have timed out.
    #[serde(skip)]
    one_by_one: Cell<bool>,
    /// Whether planning has failed: then its time is counted.
    #[serde(skip)]
    planning_failed: Cell<bool>,
}

/// What one rule is evaluated for, and until when.
struct SingleRule<'a> {
    request: &'a Request<'a>,
    role: pg_sys::Oid,
    until: &'a Deadline,
}

/// Why a rule has no verdict, and what its breaker is told.
struct Failure {
    error: String,
    late: bool,
    fault: Option<RuleFault>,
}

/// All rules: those that need no executor, with the statement that they are of; and the statement of the others.
struct CombinedStatement {
    direct: Option<(DirectExpressions, RuleStatement)>,
    rest: Option<RuleStatement>,
    /// The rules that are skipped.
    skipped: Vec<usize>,
    /// The role whose rights were checked.
    role: pg_sys::Oid,
}

/// A statement that evaluates rules.
struct RuleStatement {
    plan: Plan,
    /// What each element of the returned boolean[] is about.
    subjects: Vec<Subject>,
    /// Whether it calls user-defined functions, as it was planned last.
    calls_user_functions: Cell<bool>,
}

/// What a boolean is the verdict on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    /// A plain rule.
    Rule(usize),
    /// The action of that number, by its rule.
    Action(i32),
}

impl CombinedStatement {
    /// Whether it was made for these, and is valid still.
    fn is_for(&self, role: pg_sys::Oid, skipped: &[usize]) -> bool {
        let direct = self.direct.as_ref();
        let is_valid = direct.is_none_or(|(expressions, whole)| expressions.hold(&whole.plan));
        is_valid && self.role == role && self.skipped == skipped
    }

    fn is_ready(&self) -> bool {
        self.rest.as_ref().is_none_or(RuleStatement::is_ready)
    }

    /// Takes in what it answers.
    fn run(&self, args: &[Arg<'_>], verdicts: &mut Verdicts) {
        if let Some((expressions, whole)) = &self.direct {
            expressions.evaluate(&whole.plan, args, |element, holds| {
                verdicts.put(whole.subjects[element], holds)
            });
        }
        if let Some(rest) = &self.rest {
            rest.run(args, verdicts);
        }
    }
}

impl RuleStatement {
    fn new(plan: Plan, subjects: Vec<Subject>) -> RuleStatement {
        RuleStatement {
            plan,
            subjects,
            calls_user_functions: Cell::new(true),
        }
    }

    fn is_ready(&self) -> bool {
        self.plan.is_ready()
    }

    /// Plans it. The planner may call functions to estimate; what they do is undone.
    fn make_ready(&self) {
        confined(|| self.plan.make_ready());
        self.calls_user_functions
            .set(self.plan.calls_user_functions());
    }

    /// Runs `work`, which runs the statement: what user-defined functions do in it is undone.
    fn confine(&self, work: impl FnOnce()) {
        match self.calls_user_functions.get() {
            true => confined(work),
            false => refusing(work),
        }
    }

    /// Takes in what it answers: booleans, and the numbers of the other actions for which their rules hold.
    fn run(&self, args: &[Arg<'_>], verdicts: &mut Verdicts) {
        self.plan.run(Access::Read, args, |row| {
            let booleans: Vec<bool> = row.must(1);
            for (&subject, holds) in self.subjects.iter().zip(booleans) {
                verdicts.put(subject, holds);
            }
            if let Some(numbers) = row.datum(2) {
                array::read_into(numbers, &mut verdicts.holds);
            }
        });
    }
}

impl Verdicts {
    fn put(&mut self, subject: Subject, holds: bool) {
        match subject {
            Subject::Rule(rule) => self.plain[rule] = Ok(holds),
            Subject::Action(number) if holds => self.holds.push(number),
            Subject::Action(_) => {}
        }
    }
}

/// What a rule may read.
pub struct Request<'a> {
    pub user_key: Arg<'a>,
    pub context: Arg<'a>,
    pub features: &'a [f64],
    /// Whether errors come with their messages, since nothing of the answer is kept.
    pub with_messages: bool,
}

impl Rules {
    /// The caller passes plain rules before rules that look at the action.
    pub fn new(bundle: i64, surface: &str, features: &[String], rules: Vec<Rule>) -> Rules {
        Rules {
            bundle,
            surface: surface.to_owned(),
            inputs: RuleInputs::new(features),
            hashes: rules.iter().map(|rule| fnv64a(&rule.text) as i64).collect(),
            rules,
            published_in: Cell::default(),
            rows_of_sets: RefCell::default(),
            combined: RefCell::default(),
            single: RefCell::default(),
            one_by_one: Cell::default(),
            planning_failed: Cell::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn text(&self, rule: usize) -> &str {
        &self.rules[rule].text
    }

    /// The hashes of their texts, by which breakers know them.
    pub fn hashes(&self) -> &[i64] {
        &self.hashes
    }

    /// Whether they are to be evaluated one by one, since together they have timed out.
    pub fn is_one_by_one(&self) -> bool {
        self.one_by_one.get()
    }

    /// Together they have timed out: from now on each is evaluated alone, until none times out.
    pub fn note_timeout(&self) {
        self.one_by_one.set(true);
    }

    /// Evaluates all rules by one statement, which fails if one of them fails or times out: then `evaluate_each`
    /// finds out which.
    pub fn evaluate(
        &self,
        request: &Request<'_>,
        skipped: &OpenRules,
        until: &Deadline,
    ) -> Verdicts {
        let (role, mut verdicts) = match self.begin() {
            Ok(begun) => begun,
            Err(reason) => return self.all_failed(&reason),
        };
        if let Some(rule) = skipped.probed {
            let until = until.share(2);
            let single = SingleRule {
                request,
                role,
                until: &until,
            };
            self.evaluate_rule(rule, &single, &mut verdicts);
        }
        let _acting = identity::act_quietly_as(role);
        let _reading = session::ReadOnly::begin();
        let mut combined = self.combined.borrow_mut();
        drop(combined.take_if(|statement| !statement.is_for(role, &skipped.rules)));
        if !combined.as_ref().is_some_and(CombinedStatement::is_ready) {
            self.plan(until, || {
                let prepare = || confined(|| self.prepare_combined(role, &skipped.rules));
                let statement = combined.get_or_insert_with(prepare);
                if let Some(rest) = &statement.rest {
                    rest.make_ready();
                }
            });
        }
        if let Some(statement) = &*combined {
            let args = self.args(request, i32::MIN, i32::MAX);
            let run = || {
                let timer = until.timer();
                match statement.rest {
                    Some(_) => with_server_planner(|| statement.run(&args, &mut verdicts)),
                    None => statement.run(&args, &mut verdicts),
                }
                if let Some(timer) = timer {
                    timer.end();
                }
            };
            match &statement.rest {
                Some(rest) => rest.confine(run),
                None => refusing(run),
            }
        }
        verdicts.holds.sort_unstable();
        verdicts
    }

    /// Evaluates each rule alone, with its part of the time, and halves sets until the actions that make
    /// them fail are found. Never fails itself: failures are in the verdicts.
    pub fn evaluate_each(
        &self,
        request: &Request<'_>,
        skipped: &OpenRules,
        until: &Deadline,
    ) -> Verdicts {
        let (role, mut verdicts) = match self.begin() {
            Ok(begun) => begun,
            Err(reason) => return self.all_failed(&reason),
        };
        for rule in (0..self.rules.len()).filter(|&rule| !skipped.skips(rule)) {
            let part = until.share(self.rules.len() - rule);
            let part = if until.is_over() { until } else { &part };
            let single = SingleRule {
                request,
                role,
                until: part,
            };
            self.evaluate_rule(rule, &single, &mut verdicts);
        }
        verdicts.holds.sort_unstable();
        let has_timed_out = verdicts.report.faults.iter().any(|fault| fault.slow);
        self.one_by_one.set(has_timed_out || until.is_over());
        verdicts
    }

    /// All rules have failed, for that reason.
    pub fn all_failed(&self, reason: &str) -> Verdicts {
        let bound = self.rules.iter().flat_map(|rule| &rule.actions);
        Verdicts::all_failed(reason, bound.copied())
    }

    /// The role that rules run as, and verdicts to be filled; or why no rule can run.
    fn begin(&self) -> Result<(pg_sys::Oid, Verdicts), String> {
        let role = rule_role()?;
        self.provide_actions();
        Ok((role, self.no_verdicts()))
    }

    fn no_verdicts(&self) -> Verdicts {
        let plain = self.rules.iter().filter(|rule| rule.set.is_none());
        Verdicts {
            plain: plain.map(|_| Ok(false)).collect(),
            ..Verdicts::default()
        }
    }

    /// The verdicts of one rule, and its fault if it fails as a whole.
    fn evaluate_rule(&self, rule: usize, single: &SingleRule<'_>, verdicts: &mut Verdicts) {
        if self.rules[rule].set.is_none() {
            let all = (i32::MIN, i32::MAX);
            if let Err(failure) = self.evaluate_range(rule, single, all, verdicts) {
                verdicts.report.add_failure(rule, failure.fault);
                verdicts.plain[rule] = Err(failure.error);
            }
            return;
        }
        let numbers = &self.rules[rule].actions;
        let mut last = None;
        self.evaluate_set(rule, single, numbers, verdicts, &mut last);
        let failed = |number: &i32| verdicts.failed.contains_key(number);
        if numbers.iter().all(failed) {
            verdicts.report.add_failure(rule, last.flatten());
        }
    }

    /// Plans a statement that is new or no longer valid. That happens once a session and its time is not
    /// counted, unless planning has failed before.
    fn plan(&self, until: &Deadline, work: impl FnOnce()) {
        // An error in `work` leaves the flag as it is.
        if self.planning_failed.replace(true) {
            let _timer = until.timer();
            work();
        } else {
            until.run_uncounted(work);
        }
        self.planning_failed.set(false);
    }

    fn args<'a>(&self, request: &Request<'a>, first: i32, last: i32) -> [Arg<'a>; 5] {
        [
            request.user_key,
            request.context,
            Some(array::from_slice(request.features)),
            datum::int4(first),
            datum::int4(last),
        ]
    }

    /// Evaluates a rule for a set of actions; if it fails, for each half of them. `last` is the fault of the last action
    /// that failed, if any did.
    fn evaluate_set(
        &self,
        rule: usize,
        single: &SingleRule<'_>,
        numbers: &[i32],
        verdicts: &mut Verdicts,
        last: &mut Option<Option<RuleFault>>,
    ) {
        let (Some(&first), Some(&end)) = (numbers.first(), numbers.last()) else {
            return;
        };
        let all_fail = |verdicts: &mut Verdicts, reason: &str| {
            let all = numbers.iter().map(|&number| (number, reason.to_owned()));
            verdicts.failed.extend(all);
        };
        if verdicts.failed.len() >= MOST_FAILURES {
            let reason = "not asked, since its rule has failed for many actions already";
            return all_fail(verdicts, reason);
        }
        match self.evaluate_range(rule, single, (first, end), verdicts) {
            Ok(()) => {}
            Err(failure) if numbers.len() == 1 || failure.late => {
                all_fail(verdicts, &failure.error);
                *last = Some(failure.fault);
            }
            Err(_) => {
                let (low, high) = numbers.split_at(numbers.len() / 2);
                self.evaluate_set(rule, single, low, verdicts, last);
                self.evaluate_set(rule, single, high, verdicts, last);
            }
        }
    }

    /// Takes in the verdicts of one rule, for a range of actions.
    fn evaluate_range(
        &self,
        rule: usize,
        single: &SingleRule<'_>,
        (first, last): (i32, i32),
        verdicts: &mut Verdicts,
    ) -> Result<(), Failure> {
        let text = &self.rules[rule].text;
        let time = single.until.left();
        if single.until.is_over() {
            return Err(Failure {
                error: "not asked, since no time was left".to_owned(),
                late: true,
                fault: None,
            });
        }
        let args = self.args(single.request, first, last);
        let answer = attempt(|| {
            let _acting = identity::act_quietly_as(single.role);
            let _reading = session::ReadOnly::begin();
            let mut plans = self.single.borrow_mut();
            if !plans.get(&rule).is_some_and(RuleStatement::is_ready) {
                self.plan(single.until, || {
                    let prepare = || confined(|| self.prepare_single(rule));
                    let statement = plans.entry(rule).or_insert_with(prepare);
                    with_english_messages(|| statement.make_ready());
                });
            }
            if let Some(statement) = plans.get(&rule) {
                statement.confine(|| {
                    let timer = single.until.timer();
                    with_server_planner(|| {
                        with_english_messages(|| statement.run(&args, verdicts))
                    });
                    if let Some(timer) = timer {
                        timer.end();
                    }
                });
            }
        });
        answer.map_err(|caught| {
            let error = match time.filter(|_| caught.timed_out) {
                Some(time) => timed_out(time),
                None => caught.describe(),
            };
            Failure {
                fault: RuleFault::of(rule, text, &caught, &error),
                late: caught.timed_out,
                error: match single.request.with_messages && !caught.timed_out {
                    true => caught.in_full(),
                    false => error,
                },
            }
        })
    }
}
