//! Eligibility rules, asked with the rights of `pg_decide.rule_role`: those of a surface that read nothing
//! are kept expressions, all others one planned statement.
//!
//! A rule that mentions `action` is asked of all actions that it binds at once, as a set, so that
//! the executor may choose how to look at the shop's tables; of a few actions it is asked one by
//! one, with the action's row as constants, which spares a join. The others are plain expressions.
//! Where the one statement fails, each rule is asked alone, and sets are halved until the actions
//! that make it fail are found: the rest keeps its verdict.

mod statement;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use pgrx::pg_sys::{self, FLOAT8ARRAYOID, INT4OID, JSONBOID, UUIDOID};

use super::asking::{Deadline, Round, RuleFault, Verdicts, timed_out};
use super::bundle::Action;
use super::rule_check::Rows;
use crate::math::hash::fnv64a;
use crate::pg::attempt::attempt;
use crate::pg::confined::confined;
use crate::pg::datum::{self, Arg};
use crate::pg::expression::Truths;
use crate::pg::plan::{Access, as_server, untranslated};
use crate::pg::{Plan, array, identity, session};
use crate::settings;

/// The parameters of a rule's statement: user, context, features, and first and last number of the
/// actions asked about. Bundle and surface are written into it, so that the planner knows how many
/// actions a set has.
pub(super) const TYPES: [pg_sys::Oid; 5] = [UUIDOID, JSONBOID, FLOAT8ARRAYOID, INT4OID, INT4OID];

/// How many actions may fail one by one within a decision; the rest of their sets then counts as
/// failed too, so that a broken rule cannot hold a decision up for long.
const MOST_FAILURES: usize = 50;

/// The rules of one surface.
pub struct Rules {
    bundle: i64,
    surface: String,
    /// `request` and `features`.
    rows: Rows,
    rules: Vec<Rule>,
    hashes: Vec<i64>,
    /// The transaction that published the bundle.
    pub published_by: Cell<u32>,
    /// The actions of each set as text, where snapshots that do not see the bundle were met.
    rows_of_sets: RefCell<Option<HashMap<i32, String>>>,
    together: RefCell<Option<Together>>,
    alone: RefCell<HashMap<usize, Inquiry>>,
    alone_by_now: Cell<bool>,
    /// Planning has failed.
    impatient: Cell<bool>,
}

/// What a rule is asked alone, and its time for that.
struct Alone<'a> {
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

/// All rules: those that need no executor, and the statement of the others.
struct Together {
    truths: Option<(Truths, Vec<Place>)>,
    rest: Option<Inquiry>,
    /// The rules that are left out.
    out: Vec<usize>,
    /// Whose rights were asked for.
    role: pg_sys::Oid,
}

/// A statement that asks rules.
struct Inquiry {
    plan: Plan,
    /// What the elements of its array are about.
    places: Vec<Place>,
    /// Whether it calls functions that somebody has added, as it was planned last.
    calls_added: Cell<bool>,
}

/// What a truth is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// A plain rule.
    Rule(usize),
    /// The rule of that action.
    Action(i32),
}

impl Together {
    /// Whether it was made for that, and all is as it was then.
    fn serves(&self, role: pg_sys::Oid, out: &[usize]) -> bool {
        let holds = self.truths.as_ref().is_none_or(|(truths, _)| truths.hold());
        holds && self.role == role && self.out == out
    }

    fn is_ready(&self) -> bool {
        self.rest.as_ref().is_none_or(Inquiry::is_ready)
    }

    /// Takes in what it answers.
    fn run(&self, args: &[Arg], verdicts: &mut Verdicts) {
        if let Some((truths, places)) = &self.truths {
            truths.evaluate(args, |element, holds| verdicts.put(places[element], holds));
        }
        if let Some(rest) = &self.rest {
            rest.run(args, verdicts);
        }
    }
}

impl Inquiry {
    fn is_ready(&self) -> bool {
        self.plan.is_ready()
    }

    /// Plans it. What functions do meanwhile, which the server may call to estimate, is undone.
    fn make_ready(&self) {
        confined(|| self.plan.make_ready());
        self.calls_added.set(self.plan.calls_added());
    }

    /// Runs `work`, which runs it: whatever functions that somebody has added do, nothing of it stays.
    fn confine(&self, work: impl FnOnce()) {
        match self.calls_added.get() {
            true => confined(work),
            false => work(),
        }
    }

    /// Takes in what it answers: truths, and the numbers of the other actions for which their rules hold.
    fn run(&self, args: &[Arg], verdicts: &mut Verdicts) {
        self.plan.run(Access::Read, args, |row| {
            let truths: Vec<bool> = row.must(1);
            for (&place, holds) in self.places.iter().zip(truths) {
                verdicts.put(place, holds);
            }
            if let Some(numbers) = row.datum(2) {
                array::read_into(numbers, &mut verdicts.holds);
            }
        });
    }
}

impl Verdicts {
    fn put(&mut self, place: Place, holds: bool) {
        match place {
            Place::Rule(rule) => self.plain[rule] = Ok(holds),
            Place::Action(number) if holds => self.holds.push(number),
            Place::Action(_) => {}
        }
    }
}

pub struct Rule {
    pub text: String,
    /// Its number in `decide.bundle_action`, if it looks at the action.
    pub set: Option<i32>,
}

/// What a rule may look at.
pub struct Request<'a> {
    pub user_key: Arg,
    pub context: Arg,
    pub features: &'a [f64],
    /// Nothing of the answer is kept: errors are told with their messages.
    pub in_full: bool,
}

/// Whether the rule has to be asked per action. A false alarm (`transaction`) costs speed only.
pub fn looks_at_action(text: &str) -> bool {
    text.to_ascii_lowercase().contains("action")
}

impl Rules {
    /// `rules` with the plain ones first.
    pub fn new(bundle: i64, surface: &str, features: &[String], rules: Vec<Rule>) -> Rules {
        Rules {
            bundle,
            surface: surface.to_owned(),
            rows: Rows::new(features),
            hashes: rules.iter().map(|rule| fnv64a(&rule.text) as i64).collect(),
            rules,
            published_by: Cell::default(),
            rows_of_sets: RefCell::default(),
            together: RefCell::default(),
            alone: RefCell::default(),
            alone_by_now: Cell::default(),
            impatient: Cell::default(),
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

    /// What their breakers are known by.
    pub fn hashes(&self) -> &[i64] {
        &self.hashes
    }

    /// Whether they are to be asked one by one, for one of them has held up all.
    pub fn go_alone(&self) -> bool {
        self.alone_by_now.get()
    }

    /// Asked together they were not done in time: from now on each is asked alone, until all are.
    pub fn overran(&self) {
        self.alone_by_now.set(true);
    }

    /// Asks all rules by one statement, which fails if one of them does or is late: then `ask_each` is
    /// the careful way. `actions` are those of the surface. Needs an open session.
    pub fn ask(
        &self,
        request: &Request<'_>,
        actions: &[Action],
        round: &Round,
        until: &Deadline,
    ) -> Verdicts {
        let role = match rule_role() {
            Ok(role) => role,
            Err(reason) => return Verdicts::all_failed(&reason, actions),
        };
        self.see_actions();
        let mut verdicts = self.nothing_yet();
        if let Some(rule) = round.probed {
            let until = until.share(2);
            let asked = Alone {
                request,
                role,
                until: &until,
            };
            self.ask_one(rule, &asked, actions, &mut verdicts);
        }
        let _acting = identity::act_quietly_as(role);
        let _reading = session::ReadOnly::begin();
        let mut together = self.together.borrow_mut();
        drop(together.take_if(|known| !known.serves(role, &round.out)));
        if !together.as_ref().is_some_and(Together::is_ready) {
            self.plan(until, || {
                let prepare = || confined(|| self.prepare_together(role, &round.out));
                let made = together.get_or_insert_with(prepare);
                if let Some(rest) = &made.rest {
                    rest.make_ready();
                }
            });
        }
        if let Some(together) = &*together {
            let args = self.args(request, i32::MIN, i32::MAX);
            let mut run = || {
                let timer = until.timer();
                match together.rest {
                    Some(_) => as_server(|| together.run(&args, &mut verdicts)),
                    None => together.run(&args, &mut verdicts),
                }
                if let Some(timer) = timer {
                    timer.end();
                }
            };
            match &together.rest {
                Some(rest) => rest.confine(run),
                None => run(),
            }
        }
        verdicts.holds.sort_unstable();
        verdicts
    }

    /// Asks each rule alone, with its part of the time, and halves sets until the actions that make
    /// them fail are found. Never fails: what does is in the verdicts. Needs an open session.
    pub fn ask_each(
        &self,
        request: &Request<'_>,
        actions: &[Action],
        round: &Round,
        until: &Deadline,
    ) -> Verdicts {
        let role = match rule_role() {
            Ok(role) => role,
            Err(reason) => return Verdicts::all_failed(&reason, actions),
        };
        self.see_actions();
        let mut verdicts = self.nothing_yet();
        for rule in (0..self.rules.len()).filter(|&rule| !round.leaves_out(rule)) {
            let part = until.share(self.rules.len() - rule);
            let part = if until.is_over() { until } else { &part };
            let asked = Alone {
                request,
                role,
                until: part,
            };
            self.ask_one(rule, &asked, actions, &mut verdicts);
        }
        verdicts.holds.sort_unstable();
        let late = verdicts.outcome.faults.iter().any(|fault| fault.slow);
        self.alone_by_now.set(late || until.is_over());
        verdicts
    }

    fn nothing_yet(&self) -> Verdicts {
        let plain = self.rules.iter().filter(|rule| rule.set.is_none());
        Verdicts {
            plain: plain.map(|_| Ok(false)).collect(),
            ..Verdicts::default()
        }
    }

    /// What one rule says, and its fault if it fails as a whole.
    fn ask_one(&self, rule: usize, asked: &Alone<'_>, actions: &[Action], verdicts: &mut Verdicts) {
        if self.rules[rule].set.is_none() {
            let all = (i32::MIN, i32::MAX);
            if let Err(failure) = self.ask_alone(rule, asked, all, verdicts) {
                verdicts.outcome.blame(rule, failure.fault);
                verdicts.plain[rule] = Err(failure.error);
            }
            return;
        }
        let mut numbers: Vec<i32> = actions
            .iter()
            .filter(|a| a.rule == Some(rule))
            .map(|a| a.number)
            .collect();
        numbers.sort_unstable();
        let mut last = None;
        self.halve(rule, asked, &numbers, verdicts, &mut last);
        let failed = |number: &i32| verdicts.failed.contains_key(number);
        if numbers.iter().all(failed) {
            verdicts.outcome.blame(rule, last.flatten());
        }
    }

    /// Plans what was not planned yet or no longer holds. That happens once a session and is not
    /// counted, unless it has already taken too long.
    fn plan(&self, until: &Deadline, work: impl FnOnce()) {
        if self.impatient.replace(true) {
            let _timer = until.timer();
            work();
        } else {
            until.pardon(work);
        }
        self.impatient.set(false);
    }

    fn args(&self, request: &Request<'_>, first: i32, last: i32) -> [Arg; 5] {
        [
            request.user_key,
            request.context,
            Some(array::from_slice(request.features)),
            datum::int4(first),
            datum::int4(last),
        ]
    }

    /// `last` is the fault of the last action that failed, if any did.
    fn halve(
        &self,
        rule: usize,
        asked: &Alone<'_>,
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
        match self.ask_alone(rule, asked, (first, end), verdicts) {
            Ok(()) => {}
            Err(failure) if numbers.len() == 1 || failure.late => {
                all_fail(verdicts, &failure.error);
                *last = Some(failure.fault);
            }
            Err(_) => {
                let (low, high) = numbers.split_at(numbers.len() / 2);
                self.halve(rule, asked, low, verdicts, last);
                self.halve(rule, asked, high, verdicts, last);
            }
        }
    }

    /// Takes in what one rule says, for a range of actions.
    fn ask_alone(
        &self,
        rule: usize,
        asked: &Alone<'_>,
        (first, last): (i32, i32),
        verdicts: &mut Verdicts,
    ) -> Result<(), Failure> {
        let text = &self.rules[rule].text;
        let time = asked.until.left();
        if asked.until.is_over() {
            return Err(Failure {
                error: "not asked, since no time was left".to_owned(),
                late: true,
                fault: None,
            });
        }
        let args = self.args(asked.request, first, last);
        let answer = attempt(|| {
            let _acting = identity::act_quietly_as(asked.role);
            let _reading = session::ReadOnly::begin();
            let mut plans = self.alone.borrow_mut();
            if !plans.get(&rule).is_some_and(Inquiry::is_ready) {
                self.plan(asked.until, || {
                    let prepare = || self.prepare_alone(rule);
                    let inquiry = plans.entry(rule).or_insert_with(prepare);
                    untranslated(|| inquiry.make_ready());
                });
            }
            if let Some(inquiry) = plans.get(&rule) {
                inquiry.confine(|| {
                    let timer = asked.until.timer();
                    as_server(|| untranslated(|| inquiry.run(&args, verdicts)));
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
                error: match asked.request.in_full && !caught.timed_out {
                    true => caught.in_full(),
                    false => error,
                },
            }
        })
    }
}

/// The role that rules run as, or why they cannot.
pub(super) fn rule_role() -> Result<pg_sys::Oid, String> {
    let Some(name) = settings::rule_role() else {
        return Err("pg_decide.rule_role is not set".into());
    };
    let fault = match identity::role(&name) {
        None => "does not exist",
        Some(role) if identity::is_superuser(role) => "is a superuser",
        Some(role) => return Ok(role),
    };
    let name = name.to_string_lossy();
    Err(format!("pg_decide.rule_role: role \"{name}\" {fault}"))
}
