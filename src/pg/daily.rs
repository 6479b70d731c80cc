//! Tables in daily partitions: which partition has a day, and whether rows may be added to it
//! without the executor.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys::{self, OIDARRAYOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, UUIDOID};

use super::altered;
use super::catalog::relation;
use super::invalidation::{self, Watch};
use super::plain_partition;
use super::plan::on_latest_snapshot;
use super::{Statement, clock, datum};

/// A table of the schema decide that is partitioned by day (UTC).
pub struct Daily {
    pub table: &'static str,
    /// Its primary key: the first columns, and their types.
    pub key: [(&'static str, pg_sys::Oid); 3],
    pub watch: Watch,
}

/// The traces of decisions.
pub const TRACES: Daily = Daily {
    table: "trace",
    key: [
        ("decision_id", UUIDOID),
        ("user_key", UUIDOID),
        ("decided_at", TIMESTAMPTZOID),
    ],
    watch: Watch::Trace,
};

/// A day's partition that takes rows without the executor.
#[derive(Clone, Copy)]
pub struct Day {
    pub partition: pg_sys::Oid,
    pub primary_key: pg_sys::Oid,
    /// As of when that is known.
    watch: Watch,
    pub(super) changes: u64,
}

impl Day {
    /// Whether nothing was altered since: to be asked once the partition is locked.
    pub(super) fn still_holds(&self) -> bool {
        invalidation::changes_seen(self.watch) == self.changes
    }
}

/// What is known of a table's days, as of a count of changes.
#[derive(Default)]
struct Known {
    changes: u64,
    days: HashMap<i64, Found>,
}

/// What is known of a day.
#[derive(Clone)]
enum Found {
    /// It has no partition.
    Nothing,
    Plain(Day),
    /// Rows are added to its partition and found in it with the executor alone, and why.
    Altered(pg_sys::Oid, Rc<str>),
}

/// Most days that a backend remembers of a table.
const MOST: usize = 1000;

thread_local! {
    static KNOWN: RefCell<HashMap<&'static str, Known>> = RefCell::default();
    static PARTITION: Statement = const { Statement::new(include_str!("daily.sql"),
        &[TEXTOID, TIMESTAMPTZOID, TEXTARRAYOID, OIDARRAYOID]) };
}

impl Daily {
    /// The partition of the day of `at`, if there is one that is plain. Costs nothing while the
    /// partitions stay as they are.
    pub fn day(&self, at: i64) -> Option<Day> {
        let day = at.div_euclid(clock::DAY);
        let changes = invalidation::changes_seen(self.watch);
        let known = KNOWN.with_borrow(|known| {
            let known = known.get(self.table)?;
            (known.changes == changes).then(|| known.days.get(&day).cloned())?
        });
        let found = known.unwrap_or_else(|| {
            // Whatever changes from here on is looked up again.
            let found = on_latest_snapshot(|| self.look_up(at, changes));
            self.remember(day, found.clone(), changes);
            found
        });
        match found {
            Found::Plain(day) => Some(day),
            Found::Nothing => None,
            Found::Altered(partition, fault) => {
                altered::note(partition, &fault);
                None
            }
        }
    }

    fn remember(&self, day: i64, found: Found, changes: u64) {
        KNOWN.with_borrow_mut(|known| {
            let known = known.entry(self.table).or_default();
            if known.changes != changes || known.days.len() >= MOST {
                known.days.clear();
                known.changes = changes;
            }
            known.days.insert(day, found);
        });
    }

    fn look_up(&self, at: i64, changes: u64) -> Found {
        match self.find_plain(at, changes) {
            Some(day) => Found::Plain(day),
            None => self.look_up_by_statement(at, changes),
        }
    }

    fn find_plain(&self, at: i64, changes: u64) -> Option<Day> {
        let (year, month, day) = clock::date_of(at)?;
        let table = relation(self.table)?;
        let partition = relation(&format!("{}_{year:04}{month:02}{day:02}", self.table))?;
        invalidation::watch(self.watch, table);
        invalidation::watch(self.watch, partition);
        let begins = at - at.rem_euclid(clock::DAY);
        let primary_key =
            plain_partition::primary_key_of_plain(partition, table, begins, &self.key)?;
        // What was changed before it was locked is looked up again.
        (invalidation::changes(self.watch) == changes).then_some(Day {
            partition,
            primary_key,
            watch: self.watch,
            changes,
        })
    }

    fn look_up_by_statement(&self, at: i64, changes: u64) -> Found {
        let mut found = Found::Nothing;
        let names = self.key.map(|(name, _)| Some(name));
        let types = self.key.map(|(_, of_type)| of_type);
        let args = [
            datum::text(self.table),
            datum::timestamp(at),
            datum::texts(&names),
            datum::oids(&types),
        ];
        PARTITION.with(|statement| {
            statement.read(&args, |row| {
                invalidation::watch(self.watch, row.must(1));
                let Some(partition) = row.get(2) else { return };
                invalidation::watch(self.watch, partition);
                found = match row.get::<String>(4) {
                    Some(fault) => Found::Altered(partition, fault.into()),
                    None => Found::Plain(Day {
                        partition,
                        primary_key: row.must(3),
                        watch: self.watch,
                        changes,
                    }),
                };
            })
        });
        found
    }
}
