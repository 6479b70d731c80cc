//! Eligibility rules: all of a surface as one planned statement, run with the rights of
//! `pg_decide.rule_role`.
//!
//! A rule that mentions `action` is asked of all actions that it binds at once, as a set, so that
//! the executor may choose how to look at the shop's tables; of a few actions it is asked one by
//! one, with the action's row as constants, which spares a join. The others are plain expressions.
//! Where the one statement fails, each rule is asked alone, and sets are halved until the actions
//! that make it fail are found: the rest keeps its verdict.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt::Write;

use pgrx::pg_sys::{self, FLOAT8ARRAYOID, INT4OID, INT8OID, JSONBOID, TEXTOID, UUIDOID};

use super::bundle::Action;
use crate::pg::attempt::{Caught, attempt};
use crate::pg::datum::{self, Arg};
use crate::pg::plan::{Access, pinned, untranslated};
use crate::pg::{Plan, Statement, array, identity, rule_text};
use crate::settings;

/// The parameters of a rule's statement: user, context, features, and first and last number of the
/// actions asked about. Bundle and surface are written into it, so that the planner knows how many
/// actions a set has.
const TYPES: [pg_sys::Oid; 5] = [UUIDOID, JSONBOID, FLOAT8ARRAYOID, INT4OID, INT4OID];

/// How many actions may fail one by one within a decision; the rest of their sets then counts as
/// failed too, so that a broken rule cannot hold a decision up for long.
const MOST_FAILURES: usize = 50;

/// Up to how many actions of a set are asked about one by one.
const FEW: usize = 3;

/// The rules of one surface.
pub struct Rules {
    bundle: i64,
    surface: String,
    /// The rows `request` and `features` of the statement.
    rows: String,
    rules: Vec<Rule>,
    together: OnceCell<Together>,
    alone: RefCell<HashMap<usize, Plan>>,
}

/// The statement of all rules.
struct Together {
    plan: Plan,
    /// Numbers of the actions that it asks about one by one, behind the plain rules.
    few: Vec<i32>,
}

pub struct Rule {
    pub text: String,
    /// Its number in `decide.bundle_action`, if it looks at the action.
    pub set: Option<i32>,
}

/// An action with its row as a query of constants.
struct One {
    set: i32,
    number: i32,
    row: String,
}

thread_local! {
    static CONSTANTS: Statement = const { Statement::new(
        "SELECT a.number, pg_catalog.format('SELECT %L::bigint AS bundle, %L::text AS surface, %L::int AS rule, \
             %L::int AS number, %L::text AS action, %L::text AS campaign, %L::text[] AS surfaces, \
             %L::jsonb AS attributes, %L::float8 AS cost', \
             a.bundle, a.surface, a.rule, a.number, a.action, a.campaign, a.surfaces, a.attributes, a.cost) \
           FROM decide.bundle_action AS a \
          WHERE a.bundle = $1 AND a.surface = $2 AND a.rule = $3 ORDER BY a.number LIMIT $4",
        &[INT8OID, TEXTOID, INT4OID, INT8OID]) };
}

/// What the rules say of one request.
#[derive(Default)]
pub struct Verdicts {
    /// Per rule, for those that do not look at the action.
    plain: Vec<Result<bool, String>>,
    /// Numbers of the actions for which their rule holds, sorted.
    holds: Vec<i32>,
    failed: HashMap<i32, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    No,
    Failed(String),
}

impl Verdicts {
    /// What rule `rule` says of `action`.
    pub fn of(&self, rule: usize, action: &Action) -> Verdict {
        if !self.failed.is_empty()
            && let Some(error) = self.failed.get(&action.number)
        {
            return Verdict::Failed(error.clone());
        }
        let holds = match self.plain.get(rule) {
            Some(Err(error)) => return Verdict::Failed(error.clone()),
            Some(Ok(holds)) => *holds,
            None => self.holds.binary_search(&action.number).is_ok(),
        };
        if holds { Verdict::Holds } else { Verdict::No }
    }
}

/// What a rule may look at.
pub struct Request<'a> {
    pub user_key: Arg,
    pub context: Arg,
    pub features: &'a [f64],
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
            rows: rows(features),
            rules,
            together: OnceCell::new(),
            alone: RefCell::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Asks all rules by one statement, which fails if one of them does: then `ask_each` is the
    /// careful way. `actions` are those of the surface. Needs an open session.
    pub fn ask(&self, request: &Request<'_>, actions: &[Action]) -> Verdicts {
        let role = match rule_role() {
            Ok(role) => role,
            Err(reason) => return all_failed(&reason, actions),
        };
        let _acting = identity::act_as(role);
        let together = self.together.get_or_init(|| self.prepare_together());
        let args = self.args(request, i32::MIN, i32::MAX);
        self.run(&together.plan, &together.few, &args)
    }

    /// Asks each rule alone, and halves sets until the actions that make them fail are found. Never
    /// fails: what does is in the verdicts. Needs an open session.
    pub fn ask_each(&self, request: &Request<'_>, actions: &[Action]) -> Verdicts {
        let role = match rule_role() {
            Ok(role) => role,
            Err(reason) => return all_failed(&reason, actions),
        };
        let mut verdicts = Verdicts::default();
        for (i, rule) in self.rules.iter().enumerate() {
            if rule.set.is_none() {
                let asked = self.ask_alone(i, request, role, i32::MIN, i32::MAX);
                verdicts.plain.push(match asked {
                    Ok(one) => one.plain.into_iter().next().unwrap_or(Ok(false)),
                    Err(error) => Err(error.describe()),
                });
            } else {
                let mut numbers: Vec<i32> = actions
                    .iter()
                    .filter(|a| a.rule == Some(i))
                    .map(|a| a.number)
                    .collect();
                numbers.sort_unstable();
                self.halve(i, request, role, &numbers, &mut verdicts);
            }
        }
        verdicts.holds.sort_unstable();
        verdicts
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

    /// Where a constant of an action makes planning fail, no action is asked about one by one: the
    /// rule may never look at that constant.
    fn prepare_together(&self) -> Together {
        let few = self.few();
        let numbers = few.iter().map(|one| one.number).collect();
        let parts = || self.rules.iter().map(|rule| (rule, false));
        let unrolled = (!few.is_empty())
            .then(|| attempt(|| Plan::prepare(&self.statement(parts(), &few), &TYPES)).ok())
            .flatten();
        match unrolled {
            Some(plan) => Together { plan, few: numbers },
            None => Together {
                plan: Plan::prepare(&self.statement(parts(), &[]), &TYPES),
                few: Vec::new(),
            },
        }
    }

    /// The actions of sets so small that they are asked about one by one.
    fn few(&self) -> Vec<One> {
        let mut few = Vec::new();
        for set in self.rules.iter().filter_map(|rule| rule.set) {
            let mut actions = Vec::new();
            let args = [
                datum::int8(self.bundle),
                datum::text(&self.surface),
                datum::int4(set),
                datum::int8(FEW as i64 + 1),
            ];
            CONSTANTS.with(|statement| {
                statement.read(&args, |row| {
                    actions.push(One {
                        set,
                        number: row.must(1),
                        row: row.must(2),
                    })
                })
            });
            if actions.len() <= FEW {
                few.append(&mut actions);
            }
        }
        few
    }

    fn run(&self, plan: &Plan, few: &[i32], args: &[Arg]) -> Verdicts {
        let mut verdicts = Verdicts::default();
        plan.run(Access::Read, args, |row| {
            let mut plain: Vec<bool> = row.must(1);
            let ones = plain.split_off(plain.len() - few.len());
            let holding = few.iter().zip(ones).filter(|(_, holds)| *holds);
            verdicts.holds.extend(holding.map(|(number, _)| number));
            verdicts.plain = plain.into_iter().map(Ok).collect();
            if let Some(numbers) = row.datum(2) {
                array::read_into(numbers, &mut verdicts.holds);
            }
            verdicts.holds.sort_unstable();
        });
        verdicts
    }

    fn halve(
        &self,
        rule: usize,
        request: &Request<'_>,
        role: pg_sys::Oid,
        numbers: &[i32],
        verdicts: &mut Verdicts,
    ) {
        let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
            return;
        };
        if verdicts.failed.len() >= MOST_FAILURES {
            let reason = "not asked, since its rule has failed for many actions already";
            let rest = numbers.iter().map(|&number| (number, reason.to_owned()));
            return verdicts.failed.extend(rest);
        }
        match self.ask_alone(rule, request, role, first, last) {
            Ok(part) => verdicts.holds.extend(part.holds),
            Err(error) if numbers.len() == 1 => {
                verdicts.failed.insert(first, error.describe());
            }
            Err(_) => {
                let (low, high) = numbers.split_at(numbers.len() / 2);
                self.halve(rule, request, role, low, verdicts);
                self.halve(rule, request, role, high, verdicts);
            }
        }
    }

    fn ask_alone(
        &self,
        rule: usize,
        request: &Request<'_>,
        role: pg_sys::Oid,
        first: i32,
        last: i32,
    ) -> Result<Verdicts, Caught> {
        let args = self.args(request, first, last);
        attempt(|| {
            let _acting = identity::act_as(role);
            let mut plans = self.alone.borrow_mut();
            let plan = plans.entry(rule).or_insert_with(|| {
                let part = std::iter::once((&self.rules[rule], true));
                Plan::prepare(&self.statement(part, &[]), &TYPES)
            });
            untranslated(|| self.run(plan, &[], &args))
        })
    }

    /// The numbers of the actions of a set for which its rule holds.
    fn set_query(&self, set: i32, text: &str, between: bool) -> String {
        let range = if between {
            "AND action.number BETWEEN $4 AND $5"
        } else {
            ""
        };
        let (bundle, surface) = (self.bundle, self.surface.replace('\'', "''"));
        format!(
            "SELECT action.number FROM decide.bundle_action AS action \
              WHERE action.bundle = {bundle} AND action.surface = '{surface}' \
                AND action.rule = {set} {range} AND (\n{text}\n)"
        )
    }

    /// One row: the plain rules and then those of the few as an array of truths, and the numbers of
    /// the other actions that pass.
    fn statement<'a>(&self, parts: impl Iterator<Item = (&'a Rule, bool)>, few: &[One]) -> String {
        let (mut plain, mut ones, mut sets) = (Vec::new(), Vec::new(), Vec::new());
        for (rule, between) in parts {
            let truth = format!("COALESCE((\n{}\n), false)", rule.text);
            match rule.set {
                None => plain.push(truth),
                Some(set) if few.iter().any(|one| one.set == set) => {
                    let here = few.iter().filter(|one| one.set == set);
                    ones.extend(
                        here.map(|one| format!("(SELECT {truth} FROM ({}) AS action)", one.row)),
                    );
                }
                Some(set) => sets.push(self.set_query(set, &rule.text, between)),
            }
        }
        plain.append(&mut ones);
        let sets = match sets.is_empty() {
            true => "NULL::pg_catalog.int4[]".to_owned(),
            false => format!("ARRAY({})", sets.join(" UNION ALL ")),
        };
        format!(
            "SELECT ARRAY[{}]::pg_catalog.bool[], {sets} FROM {}",
            plain.join(", "),
            self.rows
        )
    }
}

fn all_failed(reason: &str, actions: &[Action]) -> Verdicts {
    let ruled = actions.iter().filter(|action| action.rule.is_some());
    Verdicts {
        failed: ruled
            .map(|action| (action.number, reason.to_owned()))
            .collect(),
        ..Verdicts::default()
    }
}

/// The rows that a rule sees: `request(user_key, context)` and `features`, a column per feature.
fn rows(features: &[String]) -> String {
    rows_from(features, "$1", "$2", &|i| format!("($3)[{}]", i + 1))
}

/// The same rows with nothing in them: against these a rule is checked, so that it cannot name the
/// parameters of the statement.
fn empty_rows(features: &[String]) -> String {
    let (user_key, context) = ("NULL::pg_catalog.uuid", "NULL::pg_catalog.jsonb");
    rows_from(features, user_key, context, &|_| {
        "NULL::pg_catalog.float8".to_owned()
    })
}

fn rows_from(
    features: &[String],
    user_key: &str,
    context: &str,
    feature: &dyn Fn(usize) -> String,
) -> String {
    let mut columns = String::new();
    for (i, name) in features.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let quoted = name.replace('"', "\"\"");
        write!(columns, "{comma}{} AS \"{quoted}\"", feature(i)).expect("writing to memory");
    }
    format!(
        "(SELECT {user_key} AS user_key, {context} AS context) AS request, (SELECT {columns}) AS features"
    )
}

/// The role that rules run as, or why they cannot.
fn rule_role() -> Result<pg_sys::Oid, String> {
    let Some(name) = settings::rule_role() else {
        return Err("pg_decide.rule_role is not set".into());
    };
    match identity::role(&name) {
        None => Err(format!(
            "pg_decide.rule_role: role \"{name}\" does not exist"
        )),
        Some(role) if identity::is_superuser(role) => Err(format!(
            "pg_decide.rule_role: role \"{name}\" is a superuser"
        )),
        Some(role) => Ok(role),
    }
}

/// What is wrong with a rule, if anything: it must be one boolean expression that reads only, and
/// the rule role must have the rights that it takes. Needs an open session.
pub fn check(text: &str, features: &[String]) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is empty; use null for an action that is always eligible".into());
    }
    let role = rule_role()?;
    let lone = Rule {
        text: text.to_owned(),
        set: looks_at_action(text).then_some(0),
    };
    let rules = Rules::new(0, "", features, vec![lone]);
    let expression = |rows: &str| match looks_at_action(text) {
        true => format!("SELECT (\n{text}\n) FROM {rows}, decide.bundle_action AS action"),
        false => format!("SELECT (\n{text}\n) FROM {rows}"),
    };
    attempt(|| {
        if !pinned(|| rule_text::is_one_expression(text)) {
            return Err("it is not one expression".to_owned());
        }
        let _acting = identity::act_as(role);
        let analysis = pinned(|| rule_text::analyse(&expression(&empty_rows(features)), &[]));
        if analysis.result_type != pg_sys::BOOLOID {
            return Err("it is not boolean".to_owned());
        }
        if analysis.volatile {
            return Err("it calls something volatile, so a decision could not be explained".into());
        }
        if analysis.aggregates {
            return Err(
                "it has an aggregate, a window function or a set, so it is not one truth".into(),
            );
        }
        // Starting the statement, without a row, checks the rights.
        let probe = Plan::prepare(&format!("{} LIMIT 0", expression(&rules.rows)), &TYPES);
        let nothing = [None; TYPES.len()];
        probe.run(Access::Read, &nothing, |_| {});
        Ok(())
    })
    .unwrap_or_else(|error| Err(error.message))
}
