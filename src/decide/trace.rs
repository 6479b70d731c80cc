//! Last stage: the row that records how the decision came about, in today's partition. The rows of several decisions
//! are added together.

use uuid::Uuid;

use super::columns::Columns;
use super::decision::Decision;
use crate::pg::append::{self, append};
use crate::pg::daily::TRACES;
use crate::pg::made;
use crate::pg::record::{Insert, Timestamp, insert_row};
use crate::policy::kept_text;

insert_row! {
    /// A row of decide.trace: its columns, in their order. `COMMENT ON COLUMN` says what each means.
    pub struct Trace<'a> {
        decision_id: Uuid,
        user_key: Uuid,
        decided_at: Timestamp,
        context_hash: i64,
        seed: i64,
        bundle: Option<i64>,
        filled: i16,
        first_slot: i16,
        surface: &'a str,
        policy: Option<&'a str>,
        model_version: Option<&'a str>,
        mode: &'a str,
        reason: Option<&'a str>,
        origin: Option<&'a str>,
        stage_us: &'a [i32],
        actions: &'a [i32],
        chosen: &'a [f64],
        candidates: &'a [i32],
        scores: Option<&'a [f32]>,
        choice: Option<&'a [f64]>,
        features: Option<&'a [f64]>,
        context_values: Option<&'a [Option<String>]>,
        blocked: Option<&'a [i32]>,
        blocked_by: Option<&'a [i32]>,
        errors: Option<&'a [Option<String>]>,
        missing: Option<&'a [i16]>,
        affinities: Option<&'a [f64]>,
        seen: Option<i64>,
        snapshot: Option<Timestamp>,
        dropped: Option<&'a [i32]>,
        relaxed: Option<&'a [i32]>,
        holds: Option<&'a [i64]>,
        switches: Option<i64>,
        duals: Option<&'a [f64]>,
        features_at: Option<Timestamp>,
        spreads: Option<&'a [f32]>,
        denied: Option<&'a [i32]>,
        made: Option<i16>,
        variants: Option<&'a [i32]>,
        region: Option<&'a str>,
    }
}

thread_local! {
    static INSERT: Insert = const { Insert::new("decide.trace", Trace::COLUMNS) };
}

/// How traces are written: each at once, or together at the next flush.
#[derive(Default)]
pub struct Traces {
    waiting: Option<append::Rows>,
}

impl Traces {
    /// Traces that wait for a flush.
    pub fn waiting() -> Traces {
        Traces {
            waiting: Some(append::Rows::default()),
        }
    }

    /// Writes those that wait, in the session in which they were made.
    pub fn flush(&mut self) {
        if let Some(rows) = &mut self.waiting {
            rows.flush();
        }
    }
}

/// Writes the trace. Where the day has no partition the row goes into the default one: a missing
/// partition never fails a decision.
pub fn write(decision: &Decision<'_>, columns: &mut Columns, traces: &mut Traces) {
    let request = &decision.request;
    let (bundle, surface) = (request.bundle, request.surface);
    let (features, draw) = (decision.features, decision.draw);
    let filled = draw.filled();
    let chosen_by = decision.policy().filter(|_| filled > 0);
    let scored = chosen_by.and_then(|policy| policy.model.as_ref());
    let label = decision
        .policy()
        .and_then(|p| p.model.as_ref())
        .map(|model| model.label.as_str());
    let reason = decision.reason.as_ref().map(ToString::to_string);
    let choice = chosen_by.map(|policy| request.choice(policy).to_numbers());
    let fields: Vec<Option<String>> = request.fields.iter().map(kept_text).collect();

    let errors = decision.errors();
    columns.fill(decision);
    let trace = Trace {
        decision_id: decision.id,
        user_key: request.user_key.get(),
        decided_at: Timestamp(draw.moment),
        context_hash: request.context_hash,
        seed: draw.seed as i64,
        bundle: Some(bundle.number),
        filled: filled as i16,
        first_slot: 1,
        surface: &surface.name,
        policy: decision.policy().map(|policy| policy.name.as_str()),
        model_version: label,
        mode: request.mode_limits.mode.as_str(),
        reason: reason.as_deref(),
        origin: None,
        stage_us: &decision.stage_us,
        actions: &columns.actions,
        chosen: &columns.chosen,
        candidates: &columns.candidates,
        scores: scored.map(|_| &draw.scores[..]),
        choice: choice.as_ref().map(|numbers| &numbers[..]),
        features: Some(&features.vector),
        context_values: some_of(&fields),
        blocked: some_of(&columns.blocked),
        blocked_by: some_of(&columns.blocked_by),
        errors: some_of(&errors),
        missing: some_of(&columns.missing),
        affinities: some_of(&columns.affinities),
        seen: Some(features.events),
        snapshot: bundle.snapshot.map(Timestamp),
        dropped: some_of(&columns.dropped),
        relaxed: some_of(&draw.relaxed),
        holds: some_of(&columns.holds),
        switches: bundle.switches.number,
        duals: some_of(&columns.prices),
        features_at: (request.now != draw.moment).then_some(Timestamp(request.now)),
        spreads: scored.and_then(|_| some_of(&draw.spreads)),
        denied: some_of(&columns.denied),
        made: made::take(),
        variants: some_of(&columns.variants),
        region: request.region().map(|region| region.name.as_str()),
    };
    let row = trace.args();
    let day = TRACES.day(draw.moment);
    let added = day.is_some_and(|day| match &mut traces.waiting {
        Some(rows) => rows.push(day, Trace::COLUMNS, &row),
        None => append(day, Trace::COLUMNS, &row),
    });
    if !added {
        INSERT.with(|insert| insert.run(&row));
    }
}

/// What there is; null where there is nothing.
fn some_of<T>(values: &[T]) -> Option<&[T]> {
    (!values.is_empty()).then_some(values)
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::decide::trace::Trace;
    use crate::pg::record::assert_columns_of;

    #[pg_test]
    fn a_trace_lists_the_columns_of_its_table() {
        assert_columns_of("trace", Trace::COLUMNS);
    }
}
