//! The functions of the aggregates that estimate what another policy would have earned.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::{refuse, refuse_change};
use crate::error::Error;
use crate::math::estimate::{self, Estimate, Moments, Overflow, RowError};
use crate::pg::aggregate::{self, Answer, Step};
use crate::pg::datum::{self, Arg};

/// The state: moments, and the parameter of the aggregate, the same for all rows.
#[derive(Clone, Copy)]
struct State<const K: usize> {
    moments: Moments<K>,
    parameter: f64,
}

/// Whether the last argument of an aggregate is a parameter, by its name.
type Parameter = Option<&'static str>;

/// Adds a row to the state; one with a null is left out.
#[inline]
fn add<const N: usize, const K: usize>(
    call: FunctionCallInfo,
    parameter: Parameter,
    row: impl Fn([f64; N]) -> Result<[f64; K], RowError>,
) -> Answer {
    let mut step = Step::running(call);
    if let Some(values) = step.float8s::<N>() {
        match row(values) {
            Ok(row) => {
                let given = parameter.map_or(0.0, |_| values[N - 1]);
                let state = step.state(|| State {
                    moments: Moments::new(),
                    parameter: given,
                });
                if state.parameter != given {
                    refuse_change(parameter.unwrap_or_default());
                }
                state.moments.push(row);
            }
            Err(error) => refuse(error),
        }
    }
    step.kept()
}

#[pg_extern(sql = false)]
fn add_weighted(call: FunctionCallInfo) -> Answer {
    add(call, None, estimate::weighted)
}

#[pg_extern(sql = false)]
fn add_clipped(call: FunctionCallInfo) -> Answer {
    add(call, Some("most_weight"), estimate::clipped)
}

#[pg_extern(sql = false)]
fn add_modelled(call: FunctionCallInfo) -> Answer {
    add(call, None, estimate::modelled)
}

#[pg_extern(sql = false)]
fn add_doubly_robust(call: FunctionCallInfo) -> Answer {
    add(call, None, estimate::doubly_robust)
}

#[pg_extern(sql = false)]
fn add_split(call: FunctionCallInfo) -> Answer {
    add(call, None, estimate::split)
}

#[pg_extern(sql = false)]
fn add_switched(call: FunctionCallInfo) -> Answer {
    add(call, Some("threshold"), estimate::switched)
}

#[pg_extern(sql = false)]
fn add_shrunk(call: FunctionCallInfo) -> Answer {
    add(call, Some("lambda"), estimate::shrunk)
}

/// Adds the rows of another state.
fn merge<const K: usize>(call: FunctionCallInfo) -> Answer {
    let mut step = Step::running(call);
    if let Some(other) = step.state_of::<State<K>>(1).copied() {
        let state = step.state(|| State {
            moments: Moments::new(),
            parameter: other.parameter,
        });
        if state.parameter != other.parameter {
            refuse_change("the last argument");
        }
        state.moments.merge(&other.moments);
    }
    step.kept()
}

/// The state as bytes, for another process.
fn send<const K: usize>(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let Some(state) = step.state_of::<State<K>>(0) else {
        return Answer::NULL;
    };
    let mut words = state.moments.words();
    words.push(state.parameter.to_bits());
    aggregate::bytea(8 * words.len(), |bytes| {
        for (place, word) in bytes.chunks_mut(8).zip(&words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    })
}

/// The state that the bytes are of.
fn receive<const K: usize>(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let words = step.bytes(0, |bytes| {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        rest.is_empty().then_some(words)
    });
    let state = words.flatten().and_then(|words| {
        let (parameter, moments) = words.split_last()?;
        Some(State::<K> {
            moments: Moments::from_words(moments)?,
            parameter: f64::from_bits(*parameter),
        })
    });
    match state {
        Some(state) => aggregate::handed(state),
        None => refuse("the bytes are not the state of an estimator"),
    }
}

macro_rules! of_columns {
    ($columns:literal, $merge:ident, $send:ident, $receive:ident) => {
        #[pg_extern(sql = false)]
        fn $merge(call: FunctionCallInfo) -> Answer {
            merge::<$columns>(call)
        }

        #[pg_extern(sql = false)]
        fn $send(call: FunctionCallInfo) -> Answer {
            send::<$columns>(call)
        }

        #[pg_extern(sql = false)]
        fn $receive(call: FunctionCallInfo) -> Answer {
            receive::<$columns>(call)
        }
    };
}

of_columns!(1, merge_moments_1, send_moments_1, receive_moments_1);
of_columns!(2, merge_moments_2, send_moments_2, receive_moments_2);
of_columns!(3, merge_moments_3, send_moments_3, receive_moments_3);

/// The estimate of a state as a row of `decide.estimate`; null without rows.
fn answer<const K: usize>(
    call: FunctionCallInfo,
    of: fn(&Moments<K>) -> Option<Result<Estimate, Overflow>>,
) -> Answer {
    let step = Step::running(call);
    let found = step
        .state_of::<State<K>>(0)
        .and_then(|state| of(&state.moments));
    let estimate = match found {
        None => return Answer::NULL,
        Some(Ok(estimate)) => estimate,
        Some(Err(Overflow)) => Error::OutOfRange.raise(),
    };
    step.composite(columns(&estimate))
}

/// The columns of decide.estimate.
pub(super) fn columns(estimate: &Estimate) -> [Arg<'_>; 9] {
    let (low, high) = estimate.interval().unzip();
    let weights = estimate.weights;
    let number = |value: Option<f64>| value.and_then(datum::float8);
    [
        number(estimate.value),
        number(estimate.standard_error),
        number(low),
        number(high),
        datum::int8(estimate.rows as i64),
        number(weights.map(|weights| weights.effective)),
        number(weights.map(|weights| weights.largest)),
        number(weights.map(|weights| weights.mean)),
        datum::optional_text(estimate.warning.as_deref()),
    ]
}

#[pg_extern(sql = false)]
fn estimate_mean(call: FunctionCallInfo) -> Answer {
    answer(call, estimate::mean)
}

#[pg_extern(sql = false)]
fn estimate_mean_clipped(call: FunctionCallInfo) -> Answer {
    answer(call, estimate::mean_clipped)
}

#[pg_extern(sql = false)]
fn estimate_mean_limited(call: FunctionCallInfo) -> Answer {
    answer(call, estimate::mean_limited)
}

#[pg_extern(sql = false)]
fn estimate_mean_modelled(call: FunctionCallInfo) -> Answer {
    answer(call, estimate::mean_modelled)
}

#[pg_extern(sql = false)]
fn estimate_ratio(call: FunctionCallInfo) -> Answer {
    answer(call, estimate::ratio)
}

#[pg_extern(sql = false)]
fn estimate_ratio_doubly_robust(call: FunctionCallInfo) -> Answer {
    answer(call, estimate::ratio_doubly_robust)
}

/// interval(value, std_error, level): the normal interval.
#[pg_extern(sql = false)]
fn normal_interval(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let [Some(value), Some(error), Some(level)] = [0, 1, 2].map(|number| step.float8(number))
    else {
        return Answer::NULL;
    };
    let bounds = estimate::normal(value, error, known_level(level));
    bounds_of(&step, bounds)
}

/// bernstein(value, std_error, n, range, level): the empirical Bernstein interval; null of fewer than two rows.
#[pg_extern(sql = false)]
fn bernstein_interval(call: FunctionCallInfo) -> Answer {
    let step = Step::running(call);
    let numbers = [0, 1, 3, 4].map(|number| step.float8(number));
    let ([Some(value), Some(error), Some(range), Some(level)], Some(rows)) =
        (numbers, step.int8(2))
    else {
        return Answer::NULL;
    };
    if !(range >= 0.0 && range.is_finite()) {
        refuse(format!(
            "range must be a finite number from 0 up, not {range}"
        ));
    }
    let rows = u64::try_from(rows).unwrap_or(0);
    let bounds = estimate::bernstein(value, error, rows, range, known_level(level));
    bounds_of(&step, bounds)
}

fn known_level(level: f64) -> f64 {
    if !(level > 0.0 && level < 1.0) {
        refuse(format!("level must be above 0 and below 1, not {level}"));
    }
    level
}

fn bounds_of(step: &Step, bounds: Option<(f64, f64)>) -> Answer {
    match bounds {
        Some((low, high)) => step.composite([datum::float8(low), datum::float8(high)]),
        None => Answer::NULL,
    }
}
