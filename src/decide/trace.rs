//! Last stage: the row that records how the decision came about, in today's partition.

use std::cell::RefCell;

use pgrx::pg_sys::{
    self, FLOAT8ARRAYOID, INT2ARRAYOID, INT2OID, INT4ARRAYOID, INT8OID, TEXTARRAYOID, TEXTOID,
    TIMESTAMPTZOID, UUIDOID,
};

use super::{Decision, Desk};
use crate::math::model::Value;
use crate::pg::invalidation::{self, Watch};
use crate::pg::plan::Access;
use crate::pg::{Plan, Session, Statement, array, clock, datum};
use crate::policy::value_text;

/// The insert on a kept plan, and for which day and state of partitions it was made.
struct Today {
    day: i64,
    changes: u64,
    insert: Plan,
}

thread_local! {
    static TODAY: RefCell<Option<Today>> = const { RefCell::new(None) };
    static PARTITION: Statement = const { Statement::new(
        "SELECT 'decide.trace'::pg_catalog.regclass::pg_catalog.oid, \
                (SELECT c.relname::text FROM pg_catalog.pg_inherits AS i \
                   JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid \
                  WHERE i.inhparent = 'decide.trace'::pg_catalog.regclass AND NOT i.inhdetachpending \
                    AND c.relname = 'trace_' || pg_catalog.to_char($1 AT TIME ZONE 'UTC', 'YYYYMMDD'))",
        &[TIMESTAMPTZOID],
    ) };
}

const TYPES: [pg_sys::Oid; 21] = [
    UUIDOID,
    UUIDOID,
    TIMESTAMPTZOID,
    INT8OID,
    INT8OID,
    INT8OID,
    INT2OID,
    TEXTOID,
    TEXTOID,
    TEXTOID,
    TEXTOID,
    INT4ARRAYOID,
    INT4ARRAYOID,
    FLOAT8ARRAYOID,
    INT4ARRAYOID,
    FLOAT8ARRAYOID,
    FLOAT8ARRAYOID,
    TEXTARRAYOID,
    INT4ARRAYOID,
    INT2ARRAYOID,
    TEXTARRAYOID,
];

/// Writes the trace. Where the day has no partition the row goes into the default one: a missing
/// partition never fails a decision.
pub fn write(decision: &Decision<'_>, desk: &mut Desk) {
    let _session = Session::open();
    let request = &decision.request;
    let surface = request.surface;
    let filled = desk.slate.picks.len();
    let label = decision
        .policy
        .and_then(|p| p.model.as_ref())
        .map(|model| model.label.as_str());
    let reason = decision.reason.as_ref().map(ToString::to_string);

    let fallbacks = surface.slots - filled;
    let picked = desk
        .slate
        .picks
        .iter()
        .map(|&pick| surface.actions[desk.open[pick]].number);
    let actions: Vec<i32> = picked
        .chain(std::iter::repeat_n(surface.fallback.number, fallbacks))
        .collect();
    desk.slate.chosen.resize(surface.slots, 1.0);

    desk.numbers.clear();
    desk.numbers
        .extend(desk.open.iter().map(|&i| surface.actions[i].number));
    let candidates = datum::array(&desk.numbers);
    desk.numbers.clear();
    desk.numbers
        .extend(desk.blocked.iter().map(|&i| surface.actions[i].number));
    let blocked = (!desk.numbers.is_empty()).then(|| array::from_slice(&desk.numbers));
    let blocked_by = (!desk.blocked_by.is_empty()).then(|| array::from_slice(&desk.blocked_by));

    let args = [
        datum::uuid(request.decision_id),
        datum::uuid(request.user_key),
        datum::timestamp(request.now),
        datum::int8(request.context_hash),
        datum::int8(request.seed as i64),
        datum::int8(decision.bundle.number),
        datum::int2(filled as i16),
        datum::text(&surface.name),
        datum::optional_text(decision.policy.map(|policy| policy.name.as_str())),
        datum::optional_text(label),
        datum::optional_text(reason.as_deref()),
        datum::array(&decision.stage_us),
        datum::array(&actions),
        datum::array(&desk.slate.chosen),
        candidates,
        Some(array::from_rows(&desk.slate.probabilities, filled)),
        datum::array(&desk.features),
        texts(&request.fields),
        blocked,
        blocked_by,
        (!desk.errors.is_empty())
            .then(|| datum::texts(&desk.errors))
            .flatten(),
    ];
    TODAY.with_borrow_mut(|today| {
        let today = current(today, request.now);
        today.insert.run(Access::Write, &args, |_| {});
    });
}

/// The kept insert for the day of `now`.
fn current(today: &mut Option<Today>, now: i64) -> &Today {
    let day = now.div_euclid(clock::DAY);
    let changes = invalidation::changes_seen(Watch::Trace);
    let stale = today
        .as_ref()
        .is_none_or(|t| t.day != day || t.changes != changes);
    if stale {
        *today = None;
        let mut partition = None;
        PARTITION.with(|statement| {
            statement.read(&[datum::timestamp(now)], |row| {
                invalidation::watch(Watch::Trace, row.must(1));
                partition = row.get::<String>(2);
            })
        });
        let table = partition.as_deref().unwrap_or("trace");
        let changes = invalidation::changes_seen(Watch::Trace);
        *today = Some(Today {
            day,
            changes,
            insert: Plan::prepare(&insert(table), &TYPES),
        });
    }
    today.as_ref().expect("made above")
}

/// `table` is `trace` or the name of one of its partitions.
fn insert(table: &str) -> String {
    format!(
        "INSERT INTO decide.{table} (decision_id, user_key, decided_at, context_hash, seed, bundle, \
           filled, surface, policy, model_version, reason, stage_us, actions, chosen, candidates, \
           probabilities, features, context_values, blocked, blocked_by, errors) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
           $19, $20, $21)"
    )
}

/// The context values; nothing where the surface keeps none.
fn texts(fields: &[Value<'_>]) -> datum::Arg {
    let values: Vec<Option<String>> = fields.iter().map(value_text).collect();
    if values.is_empty() {
        None
    } else {
        datum::texts(&values)
    }
}
