//! Partitions of days, made ahead; and rows that are in the default ones, moved to the partitions of their days.
//!
//! 1. The days that have no partition are looked up.
//! 2. Those that are over and have many rows in the default partition are copied, some pages a step, while everybody
//!    goes on reading and writing. (Not while today is there as well: decisions would wait for step 3.)
//! 3. Partitions are attached: of each table all that have few rows together, the others one by one. Only this locks.

use std::collections::VecDeque;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{INT4OID, INT8OID, TEXTARRAYOID, TEXTOID};

use super::job::{Run, Step, Steps};
use crate::error::Error;
use crate::pg::attempt::attempt;
use crate::pg::{Row, Statement, datum};
use crate::settings;

thread_local! {
    static MISSING: Statement = const { Statement::new(include_str!("partitions/missing.sql"), &[INT4OID]) };
    static COPY: Statement = const { Statement::new(
        "SELECT decide.copy_day($1, $2::pg_catalog.date, $3)", &[TEXTOID, TEXTOID, INT8OID]) };
    static ATTACH: Statement = const { Statement::new(
        "SELECT decide.attach_days($1, $2::pg_catalog.date[])", &[TEXTOID, TEXTARRAYOID]) };
}

/// Days of one table whose partitions are made together.
struct Days {
    table: String,
    days: Vec<String>,
    /// The page of the default partition from which on rows are still to be copied (none: all are).
    page: Option<i64>,
}

/// What is left to do in a run.
#[derive(Default)]
struct Plan {
    to_copy: VecDeque<Days>,
    to_attach: VecDeque<Days>,
    /// What could not be copied, and tables that other transactions have locked: tried once more at the end, when an
    /// error ends the run.
    held: VecDeque<Days>,
}

pub fn start() -> Steps {
    let mut plan: Option<Plan> = None;
    Box::new(move || match &mut plan {
        Some(plan) => plan.step(),
        None => {
            plan = Some(Plan::new());
            Ok(Step::with_more(0))
        }
    })
}

impl Plan {
    fn new() -> Plan {
        let mut plan = Plan::default();
        let ahead = [datum::int4(settings::partitions_ahead())];
        MISSING.with(|statement| statement.write(&ahead, |row| plan.add(row)));
        plan
    }

    fn add(&mut self, row: Row<'_>) {
        let (table, day, by_copy): (String, String, bool) = (row.must(1), row.must(2), row.must(3));
        if by_copy {
            self.to_copy.push_back(Days {
                table,
                days: vec![day],
                page: Some(0),
            });
            return;
        }
        match self.to_attach.iter_mut().find(|days| days.table == table) {
            Some(days) => days.days.push(day),
            None => self.to_attach.push_back(Days {
                table,
                days: vec![day],
                page: None,
            }),
        }
    }

    fn step(&mut self) -> Result<Step, Error> {
        if let Some(mut days) = self.to_copy.pop_front() {
            match attempt(|| days.copy()) {
                Err(_) => self.held.push_back(days),
                Ok(()) => self.go_on_with(days),
            }
            return Ok(Step::with_more(0));
        }
        let Some(days) = self.to_attach.pop_front() else {
            return Ok(match self.held.pop_front() {
                None => Step::last(0),
                Some(mut days) if days.page.is_some() => {
                    days.copy();
                    self.go_on_with(days);
                    Step::with_more(0)
                }
                Some(days) => Step::with_more(days.attach().into()),
            });
        };
        // A lock on one table does not keep the others from their partitions.
        match attempt(|| days.attach()) {
            Ok(made) => Ok(Step::with_more(made.into())),
            Err(error) if error.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => {
                self.held.push_back(days);
                Ok(Step::with_more(0))
            }
            Err(error) => error.raise(),
        }
    }

    fn go_on_with(&mut self, days: Days) {
        match days.page {
            Some(_) => self.to_copy.push_front(days),
            None => self.to_attach.push_back(days),
        }
    }
}

impl Days {
    fn copy(&mut self) {
        let args = [
            datum::text(&self.table),
            datum::text(&self.days[0]),
            self.page.and_then(datum::int8),
        ];
        let mut next = None;
        COPY.with(|statement| statement.write(&args, |row| next = row.get(1)));
        self.page = next;
    }

    fn attach(&self) -> i32 {
        let days: Vec<Option<&str>> = self.days.iter().map(|day| Some(day.as_str())).collect();
        let args = [datum::text(&self.table), datum::texts(&days)];
        let mut made = 0;
        ATTACH.with(|statement| statement.write(&args, |row| made = row.must(1)));
        made
    }
}

pub fn report(run: &Run) -> String {
    let ahead = settings::partitions_ahead();
    format!("{} partitions made, up to {ahead} days ahead", run.rows)
}
