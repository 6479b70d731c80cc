//! The statements by which rules are asked.

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID};

use super::{Rest, Rule, Rules, TYPES, Together};
use crate::pg::attempt::attempt;
use crate::pg::expression::Truths;
use crate::pg::{Plan, Statement, datum};

/// Up to how many actions of a set are asked about one by one.
const FEW: usize = 3;

/// A rule in a statement.
pub(super) enum Part<'a> {
    Whole(&'a Rule),
    /// For a range of actions.
    Between(&'a Rule),
    /// Not there: it holds a place and answers no.
    Out(&'a Rule),
}

/// An action with its row as a query of constants.
pub(super) struct One {
    set: i32,
    number: i32,
    row: String,
}

impl Rest {
    fn of(plan: Plan, few: &[One]) -> Rest {
        let few = few.iter().map(|one| one.number).collect();
        Rest { plan, few }
    }
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

impl Rules {
    /// Where a constant of an action makes planning fail, no action is asked about one by one: the
    /// rule may never look at that constant. Rules that read nothing are taken out of the statement.
    pub(super) fn prepare_together(&self, out: &[usize]) -> Together {
        let is_out = |rule| out.contains(&rule);
        let mut few = self.few(out);
        let unrolled = match few.is_empty() {
            true => None,
            false => attempt(|| self.prepare(is_out, &few))
                .inspect_err(|error| {
                    if error.timed_out {
                        error.raise()
                    }
                })
                .ok(),
        };
        let whole = unrolled.unwrap_or_else(|| {
            few.clear();
            self.prepare(is_out, &few)
        });
        let truths = Truths::of(&whole, &TYPES);
        let numbers = few.iter().map(|one| one.number).collect();
        let rest = match &truths {
            None => Some(Rest::of(whole, &few)),
            Some(truths) => self.prepare_rest(truths, is_out, few),
        };
        Together {
            truths,
            few: numbers,
            rest,
            out: out.to_vec(),
        }
    }

    /// The statement of all rules but those that are out, planned.
    fn prepare(&self, is_out: impl Fn(usize) -> bool, few: &[One]) -> Plan {
        let parts = self.rules.iter().enumerate();
        let parts = parts.map(|(i, rule)| match is_out(i) {
            true => Part::Out(rule),
            false => Part::Whole(rule),
        });
        let plan = Plan::prepare(&self.statement(parts, few), &TYPES);
        plan.make_ready();
        plan
    }

    /// The statement of what is not among the truths, if there is any.
    fn prepare_rest(
        &self,
        truths: &Truths,
        is_out: impl Fn(usize) -> bool,
        few: Vec<One>,
    ) -> Option<Rest> {
        let plain = self.rules.iter().filter(|rule| rule.set.is_none()).count();
        let (done, left): (Vec<_>, Vec<_>) = few
            .into_iter()
            .enumerate()
            .partition(|(i, _)| truths.has(plain + i));
        let left: Vec<One> = left.into_iter().map(|(_, one)| one).collect();
        let is_done = |rule: usize| match self.rules[rule].set {
            None => truths.has(rule),
            Some(set) => {
                let of_set = |one: &One| one.set == set;
                done.iter().any(|(_, one)| of_set(one)) && !left.iter().any(of_set)
            }
        };
        let is_out = |rule| is_out(rule) || is_done(rule);
        let nothing_left = (0..self.rules.len()).all(is_out);
        (!nothing_left).then(|| Rest::of(self.prepare(is_out, &left), &left))
    }

    /// The actions of sets so small that they are asked about one by one.
    fn few(&self, out: &[usize]) -> Vec<One> {
        let mut few = Vec::new();
        let asked = self.rules.iter().enumerate();
        let asked = asked.filter(|(i, _)| !out.contains(i));
        for set in asked.filter_map(|(_, rule)| rule.set) {
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
    pub(super) fn statement<'a>(
        &self,
        parts: impl Iterator<Item = Part<'a>>,
        few: &[One],
    ) -> String {
        let (mut plain, mut ones, mut sets) = (Vec::new(), Vec::new(), Vec::new());
        let (mut texts, mut lateral) = (Vec::new(), Vec::new());
        for part in parts {
            let (rule, between) = match part {
                Part::Whole(rule) => (rule, false),
                Part::Between(rule) => (rule, true),
                Part::Out(rule) => {
                    plain.extend(rule.set.is_none().then(|| "false".to_owned()));
                    continue;
                }
            };
            texts.push(rule.text.as_str());
            let truth = format!("COALESCE((\n{}\n), false)", rule.text);
            match rule.set {
                None => plain.push(truth),
                Some(set) if few.iter().any(|one| one.set == set) => {
                    for one in few.iter().filter(|one| one.set == set) {
                        lateral.push(format!(
                            "LATERAL (SELECT {truth} AS holds FROM ({}) AS action) AS one_{}",
                            one.row, one.number
                        ));
                        ones.push(format!("one_{}.holds", one.number));
                    }
                }
                Some(set) => sets.push(self.set_query(set, &rule.text, between)),
            }
        }
        plain.append(&mut ones);
        let sets = match sets.is_empty() {
            true => "NULL::pg_catalog.int4[]".to_owned(),
            false => format!("ARRAY({})", sets.join(" UNION ALL ")),
        };
        let rows = self.rows.named_by(texts.into_iter());
        let rows: Vec<&str> = rows
            .into_iter()
            .chain(lateral.iter().map(String::as_str))
            .collect();
        let from = if rows.is_empty() { "" } else { " FROM " };
        format!(
            "SELECT ARRAY[{}]::pg_catalog.bool[], {sets}{from}{}",
            plain.join(", "),
            rows.join(", ")
        )
    }
}
