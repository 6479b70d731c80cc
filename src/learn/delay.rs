//! Delays of outcomes: the SQL functions behind decide.outcome_delay, and which delay corrects what is trained on.

use pgrx::pg_sys::{FunctionCallInfo, TEXTOID};
use pgrx::prelude::*;

use super::history::Span;
use crate::error::{Error, printable};
use crate::math::delay::{Conversions, Delay, Fit, Observed, conversions};
use crate::pg::call::Call;
use crate::pg::{Session, Statement, datum};

thread_local! {
    static VERSION: Statement = const { Statement::new(
        "SELECT pg_catalog.max(d.version) FROM decide.outcome_delay AS d WHERE d.outcome_type = $1 AND d.surface = $2",
        &[TEXTOID, TEXTOID]) };
}

/// The newest version of the delay of what is trained on.
pub fn version(span: &Span<'_>) -> Result<i32, Error> {
    let _session = Session::open();
    let mut version = None;
    let args = [datum::text(span.outcome), datum::text(span.surface)];
    VERSION.with(|statement| statement.read(&args, |row| version = row.get::<i32>(1)));
    version.ok_or_else(|| {
        let what = format!(
            "no delay is fitted for outcome \"{}\" on surface \"{}\"",
            printable(span.outcome),
            printable(span.surface)
        );
        let hint = "Name an outcome type, and run SELECT decide.run_job('outcome_delays') once 10 exposures have had an outcome.";
        Error::Training(what, hint)
    })
}

/// fit_delay(times, weights, happened): share, scale, shape and the logarithm of the likelihood.
#[pg_extern(sql = false)]
fn fit_delay(times: Vec<f64>, weights: Vec<f64>, happened: Vec<bool>) -> Option<Vec<f64>> {
    let rows = times.into_iter().zip(weights).zip(happened);
    let observed: Vec<Observed> = rows
        .map(|((time, weight), happened)| Observed {
            time,
            weight,
            happened,
        })
        .collect();
    let Conversions { share, fit } = conversions(&observed)?;
    Some(vec![
        share,
        fit.delay.scale,
        fit.delay.shape,
        fit.log_likelihood,
    ])
}

/// still_to_come(share, scale, shape, age, window).
#[pg_extern(sql = false)]
fn still_to_come(call: FunctionCallInfo) -> Option<f64> {
    let call = Call::running(call);
    let number = |index| call.float8(index);
    let fitted = fitted(number(0)?, number(1)?, number(2)?);
    Some(fitted.to_come(number(3)?, number(4)?))
}

/// seen_by_now(scale, shape, age, window).
#[pg_extern(sql = false)]
fn seen_by_now(call: FunctionCallInfo) -> Option<f64> {
    let call = Call::running(call);
    let number = |index| call.float8(index);
    Some(fitted(1.0, number(0)?, number(1)?).seen(number(2)?, number(3)?))
}

fn fitted(share: f64, scale: f64, shape: f64) -> Conversions {
    let delay = Delay { scale, shape };
    let log_likelihood = 0.0;
    Conversions {
        share,
        fit: Fit {
            delay,
            log_likelihood,
        },
    }
}
