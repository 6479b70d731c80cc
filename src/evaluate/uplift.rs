//! The functions of the aggregates that measure uplift.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::{refuse, refuse_change};
use crate::error::{Error, printable};
use crate::math::uplift::{self, Row, Strategy};
use crate::pg::aggregate::{self, Answer, List, MOST_BYTES, Step};
use crate::pg::datum::{self, Arg};
use crate::pg::session::check_interrupts;

/// The state: every row in the order of arrival, and the parameters of the aggregate, the same for all rows.
#[derive(Clone, Copy)]
struct State {
    rows: List<Row>,
    parameters: Parameters,
}

/// The arguments after outcome, treated and score, where an aggregate has them.
#[derive(Clone, Copy, PartialEq)]
struct Parameters {
    /// How many rows, or which share of them (`k`); bins; points.
    number: f64,
    strategy: Strategy,
}

/// Of aggregates without.
const NONE: Parameters = Parameters {
    number: 0.0,
    strategy: Strategy::Overall,
};

/// The most bins, and the most points of a curve.
const MOST_BINS: i32 = 1_000;
const MOST_POINTS: usize = 1_000_000;

/// Bytes of the parameters, and of a row, that are sent to another process.
const HEAD: usize = 9;
const SENT: usize = 17;

/// Adds a row to the state; one with a null is left out.
#[inline]
fn add(call: FunctionCallInfo, name: &str, read: impl Fn(&Step) -> Option<Parameters>) -> Answer {
    let mut step = Step::running(call);
    let row = (step.float8(1), step.bool(2), step.float8(3), read(&step));
    if let (Some(outcome), Some(treated), Some(score), Some(parameters)) = row {
        for (argument, value) in [("outcome", outcome), ("score", score)] {
            if !value.is_finite() {
                refuse(format!("{argument} must be a finite number, not {value}"));
            }
        }
        let fresh = match step.state_of::<State>(0) {
            Some(_) => None,
            None => Some(step.list()),
        };
        let state = step.state(|| State {
            rows: fresh.expect("a list, where there is no state"),
            parameters,
        });
        if state.parameters != parameters {
            refuse_change(name);
        }
        state.rows.push(Row {
            // a negative zero is the same score as zero
            score: score + 0.0,
            outcome,
            treated,
        });
    }
    step.kept()
}

#[pg_extern(sql = false)]
fn add_uplift(call: FunctionCallInfo) -> Answer {
    add(call, "", |_| Some(NONE))
}

#[pg_extern(sql = false)]
fn add_uplift_at(call: FunctionCallInfo) -> Answer {
    add(call, "k and strategy", |step| {
        let (k, strategy) = (step.float8(4)?, strategy(step, 5)?);
        let whole = k >= 1.0 && k.fract() == 0.0 && k.is_finite();
        if !(whole || k > 0.0 && k < 1.0) {
            refuse(format!(
                "k must be a share between 0 and 1, or a whole number of rows, not {k}"
            ));
        }
        Some(Parameters {
            number: k,
            strategy,
        })
    })
}

#[pg_extern(sql = false)]
fn add_uplift_points(call: FunctionCallInfo) -> Answer {
    add(call, "points", |step| {
        let points = step.int4(4)?;
        if points < 2 || points as usize > MOST_POINTS {
            refuse(format!(
                "points must be between 2 and {MOST_POINTS}, not {points}"
            ));
        }
        Some(Parameters {
            number: f64::from(points),
            ..NONE
        })
    })
}

#[pg_extern(sql = false)]
fn add_uplift_bins(call: FunctionCallInfo) -> Answer {
    add(call, "bins and strategy", |step| {
        let (bins, strategy) = (step.int4(4)?, strategy(step, 5)?);
        if !(1..=MOST_BINS).contains(&bins) {
            refuse(format!(
                "bins must be between 1 and {MOST_BINS}, not {bins}"
            ));
        }
        Some(Parameters {
            number: f64::from(bins),
            strategy,
        })
    })
}

/// An argument that names a strategy.
fn strategy(step: &Step, number: usize) -> Option<Strategy> {
    step.bytes(number, |name| match Strategy::named(name) {
        Some(strategy) => strategy,
        None => {
            let name = printable(&String::from_utf8_lossy(name));
            refuse(format!(
                "strategy must be overall or by_group, not \"{name}\""
            ))
        }
    })
}

/// Adds the rows of another state.
#[pg_extern(sql = false)]
fn merge_uplift(call: FunctionCallInfo) -> Answer {
    let mut step = Step::running(call);
    if let Some(other) = step.state_of::<State>(1).copied() {
        let fresh = match step.state_of::<State>(0) {
            Some(_) => None,
            None => Some(step.list()),
        };
        let state = step.state(|| State {
            rows: fresh.expect("a list, where there is no state"),
            parameters: other.parameters,
        });
        if state.parameters != other.parameters {
            refuse_change("a parameter");
        }
        state.rows.extend(other.rows.as_slice());
    }
    step.kept()
}

/// The state as bytes, for another process: parameters, and the rows.
#[pg_extern(sql = false)]
fn send_uplift(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let Some(state) = step.state_of::<State>(0) else {
        return Answer::NULL;
    };
    let rows = state.rows.as_slice();
    let size = HEAD + SENT * rows.len();
    if size > MOST_BYTES {
        let what = format!("{} rows are too many for one parallel worker", rows.len());
        Error::Evaluation(what, "SET max_parallel_workers_per_gather = 0.").raise();
    }
    aggregate::bytea(size, |bytes| {
        let (head, places) = bytes.split_at_mut(HEAD);
        head[..8].copy_from_slice(&state.parameters.number.to_le_bytes());
        head[8] = u8::from(state.parameters.strategy == Strategy::ByGroup);
        for (place, row) in places.chunks_mut(SENT).zip(rows) {
            place[..8].copy_from_slice(&row.score.to_le_bytes());
            place[8..16].copy_from_slice(&row.outcome.to_le_bytes());
            place[16] = u8::from(row.treated);
        }
    })
}

/// The state that the bytes are of.
#[pg_extern(sql = false)]
fn receive_uplift(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let number = |bytes: &[u8]| bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
    let state = step.bytes(0, |bytes| {
        let (head, sent) = bytes.split_at_checked(HEAD)?;
        let (sent, rest) = sent.as_chunks::<SENT>();
        let mut rows = aggregate::list_here();
        for row in sent {
            rows.push(Row {
                score: number(&row[..8]),
                outcome: number(&row[8..16]),
                treated: row[16] != 0,
            });
        }
        let strategy = if head[8] == 0 {
            Strategy::Overall
        } else {
            Strategy::ByGroup
        };
        let parameters = Parameters {
            number: number(&head[..8]),
            strategy,
        };
        rest.is_empty().then_some(State { rows, parameters })
    });
    match state.flatten() {
        Some(state) => aggregate::handed(state),
        None => refuse("the bytes are not the state of an aggregate of uplift"),
    }
}

/// Hands out the rows by score, the highest first; None without a state.
fn sorted<R>(step: &Step, work: impl FnOnce(&[Row], Parameters) -> R) -> Option<R> {
    let state = step.state_of::<State>(0)?;
    Some(state.rows.with_copy(|rows, spare| {
        uplift::sort(rows, spare, check_interrupts);
        work(rows, state.parameters)
    }))
}

/// A number of the sorted rows; null without rows, or where it does not exist.
fn number(
    call: FunctionCallInfo,
    of: impl FnOnce(&[Row], Parameters) -> Option<f64>,
) -> Option<f64> {
    Some(finite(sorted(&Step::running(call), of)??))
}

/// Refuses a result of outcomes that are too large.
fn finite(value: f64) -> f64 {
    match value.is_finite() {
        true => value,
        false => Error::OutOfRange.raise(),
    }
}

/// The same as a value of a column.
fn column(value: f64) -> Arg<'static> {
    datum::float8(finite(value))
}

/// Refuses outcomes that are neither 0 nor 1: no order of such rows is perfect.
fn binary(rows: &[Row]) {
    if let Some(row) = rows
        .iter()
        .find(|row| row.outcome != 0.0 && row.outcome != 1.0)
    {
        refuse(format!("outcome must be 0 or 1, not {}", row.outcome));
    }
}

#[pg_extern(sql = false)]
fn uplift_qini(call: FunctionCallInfo) -> Option<f64> {
    number(call, |rows, _| {
        binary(rows);
        uplift::qini(rows)
    })
}

#[pg_extern(sql = false)]
fn uplift_auuc(call: FunctionCallInfo) -> Option<f64> {
    number(call, |rows, _| {
        binary(rows);
        uplift::auuc(rows)
    })
}

#[pg_extern(sql = false)]
fn uplift_causalml_qini(call: FunctionCallInfo) -> Option<f64> {
    number(call, |rows, _| uplift::causalml_qini(rows))
}

#[pg_extern(sql = false)]
fn uplift_causalml_auuc(call: FunctionCallInfo) -> Option<f64> {
    number(call, |rows, _| uplift::causalml_auuc(rows))
}

#[pg_extern(sql = false)]
fn uplift_first(call: FunctionCallInfo) -> Option<f64> {
    number(call, |rows, given| {
        uplift::uplift_at(rows, given.number, given.strategy)
    })
}

/// Every point of the curve, or as many as were asked for, evenly spread over them, with the last.
#[pg_extern(sql = false)]
fn uplift_points(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let answer = sorted(&step, |rows, given| {
        let all = uplift::thresholds(rows).count();
        let most = match given.number {
            0.0 if all > MOST_POINTS => Error::Evaluation(
                format!("the curve has {all} points, and an array has at most {MOST_POINTS}"),
                "Pass how many points there should be, as the fourth argument.",
            )
            .raise(),
            0.0 => all,
            points => points as usize,
        };
        let count = most.min(all);
        let mut curve = uplift::thresholds(rows).enumerate();
        step.composites(count, |i| {
            // the last point of the i-th of equal parts
            let at = (i + 1) * all / count - 1;
            let mut next = || curve.find(|(number, _)| *number == at);
            let (_, (score, group)) = next().expect("a point of the curve");
            [
                datum::int8(group.rows() as i64),
                column(score),
                datum::int8(group.treated as i64),
                datum::int8(group.control as i64),
                column(group.gain()),
                column(group.qini()),
                group.difference().and_then(column),
            ]
        })
    });
    answer.unwrap_or(Answer::NULL)
}

/// The bins, the highest scores first.
#[pg_extern(sql = false)]
fn uplift_bins(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let found = sorted(&step, |rows, given| {
        uplift::bins(rows, given.number as usize, given.strategy)
    });
    let Some(bins) = found else {
        return Answer::NULL;
    };
    let number = |value: Option<f64>| -> Arg<'static> { value.and_then(column) };
    step.composites(bins.len(), |i| {
        let bin = &bins[i];
        let (low, high) = bin.interval().unzip();
        [
            datum::int4(i as i32 + 1),
            datum::int8(bin.group.treated as i64),
            datum::int8(bin.group.control as i64),
            number(bin.treated_mean()),
            number(bin.control_mean()),
            number(bin.group.difference()),
            number(bin.standard_error()),
            number(low),
            number(high),
            number(bin.score()),
        ]
    })
}

/// Whether bins have the uplift that their scores promise.
#[pg_extern(sql = false)]
fn uplift_fit(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let found = sorted(&step, |rows, given| {
        let bins = uplift::bins(rows, given.number as usize, given.strategy);
        uplift::calibration(&bins)
    });
    let Some(fit) = found.flatten() else {
        return Answer::NULL;
    };
    step.composite([
        datum::int4(fit.bins as i32),
        fit.slope.and_then(column),
        fit.intercept.and_then(column),
        column(fit.error),
        fit.relative_error.and_then(column),
        fit.kendall.and_then(column),
    ])
}
