//! The statements by which rules are asked.

use pgrx::pg_sys::{INT4OID, INT8OID, TEXTOID};

use super::{Rule, Rules, TYPES, Together};
use crate::pg::attempt::attempt;
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
    /// rule may never look at that constant.
    pub(super) fn prepare_together(&self, out: &[usize]) -> Together {
        let few = self.few(out);
        let numbers = few.iter().map(|one| one.number).collect();
        let prepare = |few: &[One]| {
            let parts = self.rules.iter().enumerate();
            let parts = parts.map(|(i, rule)| match out.contains(&i) {
                true => Part::Out(rule),
                false => Part::Whole(rule),
            });
            Plan::prepare(&self.statement(parts, few), &TYPES)
        };
        let unrolled = match few.is_empty() {
            true => None,
            false => attempt(|| prepare(&few))
                .inspect_err(|error| {
                    if error.timed_out {
                        error.raise()
                    }
                })
                .ok(),
        };
        let (plan, few) = match unrolled {
            Some(plan) => (plan, numbers),
            None => (prepare(&[]), Vec::new()),
        };
        Together {
            plan,
            out: out.to_vec(),
            few,
        }
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
        let mut rows = vec![self.rows.clone()];
        for part in parts {
            let (rule, between) = match part {
                Part::Whole(rule) => (rule, false),
                Part::Between(rule) => (rule, true),
                Part::Out(rule) => {
                    plain.extend(rule.set.is_none().then(|| "false".to_owned()));
                    continue;
                }
            };
            let truth = format!("COALESCE((\n{}\n), false)", rule.text);
            match rule.set {
                None => plain.push(truth),
                Some(set) if few.iter().any(|one| one.set == set) => {
                    for one in few.iter().filter(|one| one.set == set) {
                        rows.push(format!(
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
        format!(
            "SELECT ARRAY[{}]::pg_catalog.bool[], {sets} FROM {}",
            plain.join(", "),
            rows.join(", ")
        )
    }
}
