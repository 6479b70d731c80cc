//! Last stage: the row that records how the decision came about, in today's partition.

use super::columns::Columns;
use super::decision::Decision;
use crate::pg::append::append;
use crate::pg::daily::{TRACES, trace_columns};
use crate::pg::{Statement, array, datum};
use crate::policy::value_text;

thread_local! {
    static INSERT: Statement = const { Statement::new(
        concat!("INSERT INTO decide.trace (", trace_columns!(), ") \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
           $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)"),
        TRACES.types) };
}

/// Writes the trace. Where the day has no partition the row goes into the default one: a missing
/// partition never fails a decision. Needs an open session.
pub fn write(decision: &Decision<'_>, columns: &mut Columns) {
    let request = &decision.request;
    let (bundle, surface) = (request.bundle, request.surface);
    let (features, draw) = (decision.features, decision.draw);
    let filled = draw.filled();
    let chosen_by = decision.policy.filter(|_| filled > 0);
    let scored = chosen_by.and_then(|policy| policy.model.as_ref());
    let label = decision
        .policy
        .and_then(|p| p.model.as_ref())
        .map(|model| model.label.as_str());
    let reason = decision.reason.as_ref().map(ToString::to_string);

    let errors = decision.errors();
    columns.fill(decision);

    let choice = chosen_by.map(|policy| request.choice(policy).to_numbers());
    let fields: Vec<Option<String>> = request.fields.iter().map(value_text).collect();
    let row = [
        datum::uuid(decision.id),
        datum::uuid(request.user_key),
        datum::timestamp(draw.moment),
        datum::int8(request.context_hash),
        datum::int8(draw.seed as i64),
        datum::int8(bundle.number),
        datum::int2(filled as i16),
        datum::int2(1),
        datum::text(&surface.name),
        datum::optional_text(decision.policy.map(|policy| policy.name.as_str())),
        datum::optional_text(label),
        datum::text(request.mode_limits.mode.as_str()),
        datum::optional_text(reason.as_deref()),
        None,
        datum::array(&decision.stage_us),
        datum::array(&columns.actions),
        datum::array(&columns.chosen),
        datum::array(&columns.candidates),
        scored.and_then(|_| datum::array(&draw.scores)),
        choice.as_ref().and_then(|choice| datum::array(choice)),
        datum::array(&features.vector),
        texts(&fields),
        some_of(&columns.blocked),
        some_of(&columns.blocked_by),
        (!errors.is_empty())
            .then(|| datum::texts(&errors))
            .flatten(),
        some_of(&columns.missing),
        some_of(&columns.affinities),
        datum::int8(features.events),
        bundle.snapshot.and_then(datum::timestamp),
        some_of(&columns.dropped),
        some_of(&draw.relaxed),
        some_of(&columns.holds),
        bundle.switches.number.and_then(datum::int8),
        some_of(&columns.duals),
        (request.now != draw.moment)
            .then(|| datum::timestamp(request.now))
            .flatten(),
    ];
    let day = TRACES.day(draw.moment);
    let added = day.is_some_and(|day| append(day, &row));
    if !added {
        INSERT.with(|statement| statement.write(&row, |_| {}));
    }
}

/// An array of what there is; nothing where there is nothing.
fn some_of<T: array::Element>(values: &[T]) -> datum::Arg<'_> {
    (!values.is_empty()).then(|| array::from_slice(values))
}

/// An array of the context values; nothing where the surface keeps none.
fn texts(values: &[Option<String>]) -> datum::Arg<'_> {
    (!values.is_empty()).then(|| datum::texts(values)).flatten()
}
