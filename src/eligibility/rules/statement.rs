//! The statements that evaluate rules.

use std::collections::{HashMap, HashSet};
use std::thread::LocalKey;

use pgrx::pg_sys::{self, INT8OID, TEXTOID};

use super::super::scope::TYPES;
use super::rule::{Rule, SingleAction};
use super::{CombinedStatement, RuleStatement, Rules, Subject};
use crate::pg::attempt::attempt;
use crate::pg::datum::Arg;
use crate::pg::expression::DirectExpressions;
use crate::pg::plan::{on_latest_snapshot, with_exact_floats};
use crate::pg::{Plan, Row, Statement, datum, session};

/// The actions of a set that a rule is evaluated for.
#[derive(Clone, Copy)]
enum ActionRange {
    All,
    /// Those between the last two parameters.
    Given,
}

thread_local! {
    static ROWS: Statement = const { Statement::new(
        "SELECT a.rule, pg_catalog.array_agg(a ORDER BY a.number)::text FROM decide.bundle_action AS a \
          WHERE a.bundle = $1 AND a.surface = $2 GROUP BY a.rule", &[INT8OID, TEXTOID]) };
}

/// Reads actions of a bundle, whichever snapshot the caller has, with their numbers as exact as they are.
fn read_exactly(statement: &'static LocalKey<Statement>, args: &[Arg], each: impl FnMut(Row<'_>)) {
    with_exact_floats(|| {
        on_latest_snapshot(|| statement.with(|statement| statement.read(args, each)))
    });
}

impl Rules {
    /// Where a constant of an action makes planning fail, no action is evaluated one by one: the
    /// rule may never read that constant. Rules that need no executor are taken out of the statement.
    /// To be called as the role.
    pub(super) fn prepare_combined(
        &self,
        role: pg_sys::Oid,
        skipped: &[usize],
    ) -> CombinedStatement {
        let rules: Vec<usize> = (0..self.rules.len())
            .filter(|rule| !skipped.contains(rule))
            .collect();
        let few = self.few(&rules);
        let unrolled = match few.is_empty() {
            true => None,
            false => attempt(|| self.prepare(&rules, &few))
                .inspect_err(|error| {
                    if error.timed_out {
                        error.raise()
                    }
                })
                .ok(),
        };
        let (whole, few) = match unrolled {
            Some(whole) => (whole, few),
            None => (self.prepare(&rules, &[]), Vec::new()),
        };
        let skipped = skipped.to_vec();
        match DirectExpressions::of(&whole.plan, &TYPES) {
            None => CombinedStatement {
                direct: None,
                rest: Some(whole),
                skipped,
                role,
            },
            Some(direct) => CombinedStatement {
                rest: self.prepare_rest(&rules, few, &whole.subjects, &direct),
                direct: Some((direct, whole)),
                skipped,
                role,
            },
        }
    }

    /// The statement of what is not among the direct expressions, if there is any.
    fn prepare_rest(
        &self,
        rules: &[usize],
        few: Vec<SingleAction>,
        subjects: &[Subject],
        direct: &DirectExpressions,
    ) -> Option<RuleStatement> {
        let subjects = subjects.iter().enumerate();
        let left: HashSet<Subject> = subjects
            .filter(|(element, _)| !direct.has(*element))
            .map(|(_, &subject)| subject)
            .collect();
        let was_few: HashSet<i32> = few.iter().map(|one| one.set).collect();
        let few: Vec<SingleAction> = few
            .into_iter()
            .filter(|one| left.contains(&Subject::Action(one.number)))
            .collect();
        let is_left = |&rule: &usize| match self.rules[rule].set {
            None => left.contains(&Subject::Rule(rule)),
            Some(set) => !was_few.contains(&set) || few.iter().any(|one| one.set == set),
        };
        let rules: Vec<usize> = rules.iter().copied().filter(is_left).collect();
        (!rules.is_empty()).then(|| self.prepare(&rules, &few))
    }

    /// The statement of one rule, for a range of actions.
    pub(super) fn prepare_single(&self, rule: usize) -> RuleStatement {
        let (statement, subjects) = self.statement(&[rule], &[], ActionRange::Given);
        let plan = Plan::prepare(&statement, &TYPES);
        RuleStatement::new(plan, subjects)
    }

    /// The statement of these rules, planned.
    fn prepare(&self, rules: &[usize], few: &[SingleAction]) -> RuleStatement {
        let (statement, subjects) = self.statement(rules, few, ActionRange::All);
        let plan = Plan::prepare(&statement, &TYPES);
        plan.make_ready();
        RuleStatement::new(plan, subjects)
    }

    /// The actions of sets so small that they are evaluated one by one.
    fn few(&self, rules: &[usize]) -> Vec<SingleAction> {
        let few = rules.iter().flat_map(|&rule| &self.rules[rule].few);
        few.cloned().collect()
    }

    /// Writes the actions into the statements where the caller's snapshot does not see those of the bundle, which was
    /// published after it was taken.
    pub(super) fn provide_actions(&self) {
        let is_set = |rule: &Rule| rule.set.is_some();
        if self.rows_of_sets.borrow().is_some()
            || !self.rules.iter().any(is_set)
            || session::sees(self.published_in.get())
        {
            return;
        }
        let mut rows = HashMap::new();
        let args = [datum::int8(self.bundle), datum::text(&self.surface)];
        read_exactly(&ROWS, &args, |row| {
            rows.insert(row.must::<i32>(1), row.must::<String>(2));
        });
        self.rows_of_sets.replace(Some(rows));
        self.combined.take();
        self.single.take();
    }

    /// The FROM item that the actions of a set are read from.
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
    fn set_query(&self, set: i32, text: &str, range: ActionRange) -> String {
        let range = match range {
            ActionRange::All => "",
            ActionRange::Given => "AND action.number BETWEEN $4 AND $5",
        };
        let (bundle, surface) = (self.bundle, self.surface.replace('\'', "''"));
        let actions = self.actions_of(set);
        format!(
            "SELECT action.number FROM {actions} AS action \
              WHERE action.bundle = {bundle} AND action.surface = '{surface}' \
                AND action.rule = {set} {range} AND (\n{text}\n)"
        )
    }

    /// SingleAction row: the booleans of plain rules and of the few as an array, and the numbers of the other actions
    /// for which their rules hold. And the subjects of the booleans.
    fn statement(
        &self,
        rules: &[usize],
        few: &[SingleAction],
        range: ActionRange,
    ) -> (String, Vec<Subject>) {
        let (mut booleans, mut subjects, mut sets) = (Vec::new(), Vec::new(), Vec::new());
        let (mut texts, mut lateral) = (Vec::new(), Vec::new());
        for &number in rules {
            let rule = &self.rules[number];
            texts.push(rule.text.as_str());
            let boolean = format!("COALESCE((\n{}\n), false)", rule.text);
            match rule.set {
                None => {
                    booleans.push(boolean);
                    subjects.push(Subject::Rule(number));
                }
                Some(set) if few.iter().any(|one| one.set == set) => {
                    for one in few.iter().filter(|one| one.set == set) {
                        lateral.push(format!(
                            "LATERAL (SELECT {boolean} AS holds FROM ({}) AS action) AS one_{}",
                            one.row, one.number
                        ));
                        booleans.push(format!("one_{}.holds", one.number));
                        subjects.push(Subject::Action(one.number));
                    }
                }
                Some(set) => sets.push(self.set_query(set, &rule.text, range)),
            }
        }
        let sets = match sets.is_empty() {
            true => "NULL::pg_catalog.int4[]".to_owned(),
            false => format!("ARRAY({})", sets.join(" UNION ALL ")),
        };
        let rows = self.inputs.read_by(texts.into_iter());
        let rows: Vec<&str> = rows
            .into_iter()
            .chain(lateral.iter().map(String::as_str))
            .collect();
        let from = if rows.is_empty() { "" } else { " FROM " };
        let statement = format!(
            "SELECT ARRAY[{}]::pg_catalog.bool[], {sets}{from}{}",
            booleans.join(", "),
            rows.join(", ")
        );
        (statement, subjects)
    }
}
