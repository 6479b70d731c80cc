//! The statements by which rules are asked.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::thread::LocalKey;

use pgrx::pg_sys::{self, INT4OID, INT8OID, TEXTOID};

use super::{Inquiry, Place, Rule, Rules, TYPES, Together};
use crate::pg::attempt::attempt;
use crate::pg::datum::Arg;
use crate::pg::expression::Truths;
use crate::pg::plan::{exact, on_latest_snapshot};
use crate::pg::{Plan, Row, Statement, datum, session};

/// Up to how many actions of a set are asked about one by one.
const FEW: usize = 3;

/// Of which actions a rule that looks at them is asked.
#[derive(Clone, Copy)]
enum Range {
    All,
    /// Those between the last two parameters.
    Given,
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
    static ROWS: Statement = const { Statement::new(
        "SELECT a.rule, pg_catalog.array_agg(a ORDER BY a.number)::text FROM decide.bundle_action AS a \
          WHERE a.bundle = $1 AND a.surface = $2 GROUP BY a.rule", &[INT8OID, TEXTOID]) };
}

/// Reads actions of a bundle, whichever snapshot the caller has, with their numbers as exact as they are.
fn read_exactly(statement: &'static LocalKey<Statement>, args: &[Arg], each: impl FnMut(Row<'_>)) {
    exact(|| on_latest_snapshot(|| statement.with(|statement| statement.read(args, each))));
}

impl Rules {
    /// Where a constant of an action makes planning fail, no action is asked about one by one: the
    /// rule may never look at that constant. Rules that read nothing are taken out of the statement.
    /// To be called as the role.
    pub(super) fn prepare_together(&self, role: pg_sys::Oid, out: &[usize]) -> Together {
        let asked: Vec<usize> = (0..self.rules.len())
            .filter(|rule| !out.contains(rule))
            .collect();
        let few = self.few(&asked);
        let unrolled = match few.is_empty() {
            true => None,
            false => attempt(|| self.prepare(&asked, &few))
                .inspect_err(|error| {
                    if error.timed_out {
                        error.raise()
                    }
                })
                .ok(),
        };
        let (whole, few) = match unrolled {
            Some(whole) => (whole, few),
            None => (self.prepare(&asked, &[]), Vec::new()),
        };
        let out = out.to_vec();
        match Truths::of(&whole.plan, &TYPES) {
            None => Together {
                truths: None,
                rest: Some(whole),
                out,
                role,
            },
            Some(truths) => Together {
                rest: self.prepare_rest(&asked, few, &whole.places, &truths),
                truths: Some((truths, whole.places)),
                out,
                role,
            },
        }
    }

    /// The statement of what is not among the truths of that of all, if there is any.
    fn prepare_rest(
        &self,
        asked: &[usize],
        few: Vec<One>,
        places: &[Place],
        truths: &Truths,
    ) -> Option<Inquiry> {
        let places = places.iter().enumerate();
        let left: HashSet<Place> = places
            .filter(|(element, _)| !truths.has(*element))
            .map(|(_, &place)| place)
            .collect();
        let was_few: HashSet<i32> = few.iter().map(|one| one.set).collect();
        let few: Vec<One> = few
            .into_iter()
            .filter(|one| left.contains(&Place::Action(one.number)))
            .collect();
        let is_left = |&rule: &usize| match self.rules[rule].set {
            None => left.contains(&Place::Rule(rule)),
            Some(set) => !was_few.contains(&set) || few.iter().any(|one| one.set == set),
        };
        let asked: Vec<usize> = asked.iter().copied().filter(is_left).collect();
        (!asked.is_empty()).then(|| self.prepare(&asked, &few))
    }

    /// The statement of one rule, for a range of actions.
    pub(super) fn prepare_alone(&self, rule: usize) -> Inquiry {
        let (statement, places) = self.statement(&[rule], &[], Range::Given);
        let plan = Plan::prepare(&statement, &TYPES);
        Inquiry {
            plan,
            places,
            calls_added: Cell::new(true),
        }
    }

    /// The statement of these rules, planned.
    fn prepare(&self, asked: &[usize], few: &[One]) -> Inquiry {
        let (statement, places) = self.statement(asked, few, Range::All);
        let plan = Plan::prepare(&statement, &TYPES);
        plan.make_ready();
        Inquiry {
            plan,
            places,
            calls_added: Cell::new(true),
        }
    }

    /// The actions of sets so small that they are asked about one by one.
    fn few(&self, asked: &[usize]) -> Vec<One> {
        let mut few = Vec::new();
        for set in asked.iter().filter_map(|&rule| self.rules[rule].set) {
            let mut actions = Vec::new();
            let args = [
                datum::int8(self.bundle),
                datum::text(&self.surface),
                datum::int4(set),
                datum::int8(FEW as i64 + 1),
            ];
            read_exactly(&CONSTANTS, &args, |row| {
                actions.push(One {
                    set,
                    number: row.must(1),
                    row: row.must(2),
                })
            });
            if actions.len() <= FEW {
                few.append(&mut actions);
            }
        }
        few
    }

    /// Has the statements bring the actions along where the caller's snapshot does not see those of the bundle:
    /// it was published since. Needs an open session.
    pub(super) fn see_actions(&self) {
        let is_set = |rule: &Rule| rule.set.is_some();
        if self.rows_of_sets.borrow().is_some()
            || !self.rules.iter().any(is_set)
            || session::sees(self.published_by.get())
        {
            return;
        }
        let mut rows = HashMap::new();
        let args = [datum::int8(self.bundle), datum::text(&self.surface)];
        read_exactly(&ROWS, &args, |row| {
            rows.insert(row.must::<i32>(1), row.must::<String>(2));
        });
        self.rows_of_sets.replace(Some(rows));
        self.together.take();
        self.alone.take();
    }

    /// What the actions of a set are read from.
    fn actions_of(&self, set: i32) -> String {
        match &*self.rows_of_sets.borrow() {
            None => "decide.bundle_action".to_owned(),
            Some(rows) => {
                let rows = rows.get(&set).map_or("{}", String::as_str);
                let rows = rows.replace('\'', "''");
                format!("pg_catalog.unnest('{rows}'::decide.bundle_action[])")
            }
        }
    }

    /// The numbers of the actions of a set for which its rule holds.
    fn set_query(&self, set: i32, text: &str, range: Range) -> String {
        let range = match range {
            Range::All => "",
            Range::Given => "AND action.number BETWEEN $4 AND $5",
        };
        let (bundle, surface) = (self.bundle, self.surface.replace('\'', "''"));
        let actions = self.actions_of(set);
        format!(
            "SELECT action.number FROM {actions} AS action \
              WHERE action.bundle = {bundle} AND action.surface = '{surface}' \
                AND action.rule = {set} {range} AND (\n{text}\n)"
        )
    }

    /// One row: the truths of plain rules and of the few as an array, and the numbers of the other actions
    /// for which their rules hold. And what the truths are about.
    fn statement(&self, asked: &[usize], few: &[One], range: Range) -> (String, Vec<Place>) {
        let (mut truths, mut places, mut sets) = (Vec::new(), Vec::new(), Vec::new());
        let (mut texts, mut lateral) = (Vec::new(), Vec::new());
        for &number in asked {
            let rule = &self.rules[number];
            texts.push(rule.text.as_str());
            let truth = format!("COALESCE((\n{}\n), false)", rule.text);
            match rule.set {
                None => {
                    truths.push(truth);
                    places.push(Place::Rule(number));
                }
                Some(set) if few.iter().any(|one| one.set == set) => {
                    for one in few.iter().filter(|one| one.set == set) {
                        lateral.push(format!(
                            "LATERAL (SELECT {truth} AS holds FROM ({}) AS action) AS one_{}",
                            one.row, one.number
                        ));
                        truths.push(format!("one_{}.holds", one.number));
                        places.push(Place::Action(one.number));
                    }
                }
                Some(set) => sets.push(self.set_query(set, &rule.text, range)),
            }
        }
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
        let statement = format!(
            "SELECT ARRAY[{}]::pg_catalog.bool[], {sets}{from}{}",
            truths.join(", "),
            rows.join(", ")
        );
        (statement, places)
    }
}
