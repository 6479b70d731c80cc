//! The decisions that policies are judged on, read in one pass with the rights of who asks.

use pgrx::pg_sys::{Oid, TEXTOID};

use super::cohorts::MOST_NAME;
use crate::error::{Error, printable};
use crate::pg::plan::{Cursor, with_standard_strings};
use crate::pg::record::{SelectRow, of_row};
use crate::pg::{Plan, Session, Statement, clock, datum, identity, rule_text, session};

thread_local! {
    static FIELD: Statement = const { Statement::new(
        "SELECT 1 FROM decide.bundle_surface AS b WHERE b.surface = $1 AND b.context_fields @> ARRAY[$2] LIMIT 1", &[TEXTOID, TEXTOID]) };
}

/// Which decisions, and by what they are judged.
pub struct Log<'a> {
    pub surface: &'a str,
    /// The type of the outcomes whose values add up to the reward.
    pub outcome: &'a str,
    /// Microseconds since 2000.
    pub from: i64,
    pub to: i64,
    /// A context field of the surface, or an expression over decide.kept_trace; None: all are one cohort.
    pub cohort: Option<&'a str>,
    /// How long after a decision its outcomes count, in microseconds. Younger decisions are left out.
    pub within: Option<i64>,
}

/// How many decisions are read at once.
const BATCH: i64 = 500;

/// How often a message says how far the reading has come, in microseconds.
const NEWS_EVERY: i64 = 10_000_000;

impl Log<'_> {
    /// Hands on every decision; memory does not grow with their number. The query runs as `caller`, and nothing else does: what is of the
    /// caller's own (the expression, and the functions that it calls) is evaluated there, and comes out as values.
    pub fn each<T: SelectRow>(
        &self,
        caller: Oid,
        mut each: impl FnMut(&T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _session = Session::open();
        let query = self.query::<T>(&self.cohort(caller)?);
        let args = [datum::text(self.surface), datum::text(self.outcome)];
        let mut cursor = {
            let _acting = identity::act_as(caller);
            Cursor::open(Plan::prepare(&query, &[TEXTOID, TEXTOID]), &args)
        };
        let (mut read, mut next_news) = (0u64, clock::now() + NEWS_EVERY);
        loop {
            // what a batch has allocated goes with it
            let _batch = Session::open();
            session::check_interrupts();
            let mut batch: Vec<T> = Vec::with_capacity(BATCH as usize);
            {
                let _acting = identity::act_as(caller);
                cursor.fetch(BATCH, |row| batch.push(of_row(&row)));
            }
            if batch.is_empty() {
                return Ok(());
            }
            for decision in &batch {
                each(decision)?;
            }
            read += batch.len() as u64;
            if clock::now() > next_news {
                next_news = clock::now() + NEWS_EVERY;
                pgrx::notice!("{read} decisions of surface \"{}\" so far", self.surface);
            }
        }
    }

    fn query<T: SelectRow>(&self, cohort: &str) -> String {
        let columns = T::COLUMNS.iter().map(|column| match column.name {
            "cohort" => format!("{cohort} AS cohort"),
            name @ ("numbers" | "rewards") => format!("o.{name}"),
            name => format!("t.{name}"),
        });
        let columns: Vec<String> = columns.collect();
        let (from, to) = (moment(self.from), moment(self.to));
        let (within, is_old_enough) = match self.within {
            None => ("NULL".to_owned(), String::new()),
            Some(within) => {
                let within = format!("interval '{within} microseconds'");
                let old = format!(" AND t.decided_at <= pg_catalog.now() - {within}");
                (within, old)
            }
        };
        // The moments stand in the text, so that the planner knows how many rows there will be.
        format!(
            "SELECT {} FROM decide.kept_trace AS t \
               LEFT JOIN (SELECT r.decision_id AS of_decision, r.user_key AS of_user, pg_catalog.array_agg(r.number) AS numbers, pg_catalog.array_agg(r.reward) AS rewards \
                            FROM decide.rewards($2, {from}, {to}, {within}) AS r GROUP BY r.decision_id, r.user_key) AS o \
                      ON o.of_decision = t.decision_id AND o.of_user = t.user_key \
              WHERE t.surface = $1 AND t.decided_at >= {from} AND t.decided_at < {to}{is_old_enough} AND t.bundle IS NOT NULL",
            columns.join(", ")
        )
    }

    /// The expression of the cohort as a text.
    fn cohort(&self, caller: Oid) -> Result<String, Error> {
        let Some(cohort) = self.cohort else {
            return Ok("NULL::text".into());
        };
        let args = [datum::text(self.surface), datum::text(cohort)];
        if FIELD.with(|statement| statement.read(&args, |_| {})) > 0 {
            let field = cohort.replace('\'', "''");
            return Ok(format!(
                "pg_catalog.left(t.context_values[pg_catalog.array_position(t.context_fields, '{field}')], {})",
                MOST_NAME + 1
            ));
        }
        let refuse = |what: &str| {
            Err(Error::Evaluation(
                format!("cohort \"{}\" {what}", printable(cohort)),
                "Name a context field of the surface, or give one SQL expression over the columns of decide.kept_trace, with functions qualified by their schema.",
            ))
        };
        if !with_standard_strings(|| rule_text::is_one_expression(cohort)) {
            return refuse("is not one expression");
        }
        // One character more than a name may have, so that what is too long is found.
        let expression = format!("pg_catalog.left((\n{cohort}\n)::text, {})", MOST_NAME + 1);
        let _acting = identity::act_as(caller);
        let statement = format!("SELECT {expression} FROM decide.kept_trace AS t");
        match with_standard_strings(|| rule_text::analyse(&statement, &[])).aggregates {
            true => refuse("has an aggregate, a window function or a set"),
            false => Ok(expression),
        }
    }
}

fn moment(at: i64) -> String {
    match at {
        i64::MIN => "timestamptz '-infinity'".into(),
        i64::MAX => "timestamptz 'infinity'".into(),
        at => format!("(timestamptz '2000-01-01 00:00+00' + interval '{at} microseconds')"),
    }
}
