//! Tables in daily partitions: which partition has a day, and whether rows may be added to it
//! without the executor.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys::{
    self, FLOAT4ARRAYOID, FLOAT8ARRAYOID, INT2ARRAYOID, INT2OID, INT4ARRAYOID, INT8ARRAYOID,
    INT8OID, OIDARRAYOID, TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, UUIDOID,
};

use super::invalidation::{self, Watch};
use super::plan::on_latest_snapshot;
use super::{Statement, clock, datum};

/// A table of the schema decide that is partitioned by day (UTC).
pub struct Daily {
    pub table: &'static str,
    /// Its columns, with commas between them, in their order.
    pub columns: &'static str,
    pub types: &'static [pg_sys::Oid],
    /// Those of them that always have a value.
    pub filled: &'static [&'static str],
    pub watch: Watch,
}

/// The columns of decide.trace, in their order.
macro_rules! trace_columns {
    () => {
        "decision_id, user_key, decided_at, context_hash, seed, bundle, filled, first_slot, surface, policy, \
         model_version, mode, reason, origin, stage_us, actions, chosen, candidates, scores, choice, \
         features, context_values, blocked, blocked_by, errors, missing, affinities, seen, snapshot, dropped, \
         relaxed, holds, switches, duals, features_at"
    };
}
pub(crate) use trace_columns;

/// The traces of decisions.
pub const TRACES: Daily = Daily {
    table: "trace",
    columns: trace_columns!(),
    types: &[
        UUIDOID,
        UUIDOID,
        TIMESTAMPTZOID,
        INT8OID,
        INT8OID,
        INT8OID,
        INT2OID,
        INT2OID,
        TEXTOID,
        TEXTOID,
        TEXTOID,
        TEXTOID,
        TEXTOID,
        TEXTOID,
        INT4ARRAYOID,
        INT4ARRAYOID,
        FLOAT8ARRAYOID,
        INT4ARRAYOID,
        FLOAT4ARRAYOID,
        FLOAT8ARRAYOID,
        FLOAT8ARRAYOID,
        TEXTARRAYOID,
        INT4ARRAYOID,
        INT4ARRAYOID,
        TEXTARRAYOID,
        INT2ARRAYOID,
        FLOAT8ARRAYOID,
        INT8OID,
        TIMESTAMPTZOID,
        INT4ARRAYOID,
        INT4ARRAYOID,
        INT8ARRAYOID,
        INT8OID,
        FLOAT8ARRAYOID,
        TIMESTAMPTZOID,
    ],
    filled: &[
        "decision_id",
        "user_key",
        "decided_at",
        "context_hash",
        "seed",
        "filled",
        "first_slot",
        "surface",
        "mode",
        "stage_us",
        "actions",
        "chosen",
        "candidates",
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
    changes: u64,
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
    days: HashMap<i64, Option<Day>>,
}

/// Most days that a backend remembers of a table.
const MOST: usize = 1000;

thread_local! {
    static KNOWN: RefCell<HashMap<&'static str, Known>> = RefCell::default();
    static PARTITION: Statement = const { Statement::new(include_str!("daily.sql"),
        &[TEXTOID, TIMESTAMPTZOID, TEXTARRAYOID, OIDARRAYOID, TEXTARRAYOID]) };
}

impl Daily {
    /// The partition of the day of `at`, if there is one that is plain. Costs nothing while the
    /// partitions stay as they are.
    pub fn day(&self, at: i64) -> Option<Day> {
        let day = at.div_euclid(clock::DAY);
        let changes = invalidation::changes_seen(self.watch);
        let known = KNOWN.with_borrow(|known| {
            let known = known.get(self.table)?;
            (known.changes == changes).then(|| known.days.get(&day).copied())?
        });
        known.unwrap_or_else(|| {
            // Whatever changes from here on is looked up again.
            let found = on_latest_snapshot(|| self.look_up(at, changes));
            self.remember(day, found, changes);
            found
        })
    }

    fn remember(&self, day: i64, found: Option<Day>, changes: u64) {
        KNOWN.with_borrow_mut(|known| {
            let known = known.entry(self.table).or_default();
            if known.changes != changes || known.days.len() >= MOST {
                known.days.clear();
                known.changes = changes;
            }
            known.days.insert(day, found);
        });
    }

    fn look_up(&self, at: i64, changes: u64) -> Option<Day> {
        let mut found = None;
        let columns: Vec<Option<&str>> = self.columns.split(',').map(|c| Some(c.trim())).collect();
        let filled: Vec<Option<&str>> = self.filled.iter().copied().map(Some).collect();
        let args = [
            datum::text(self.table),
            datum::timestamp(at),
            datum::texts(&columns),
            datum::oids(self.types),
            datum::texts(&filled),
        ];
        PARTITION.with(|statement| {
            statement.read(&args, |row| {
                invalidation::watch(self.watch, row.must(1));
                let partition: Option<pg_sys::Oid> = row.get(2);
                if let Some(partition) = partition {
                    invalidation::watch(self.watch, partition);
                }
                found = partition.zip(row.get(3));
            })
        });
        found.map(|(partition, primary_key)| Day {
            partition,
            primary_key,
            watch: self.watch,
            changes,
        })
    }
}
