//! Pacing tried on simulated traffic: the same arithmetic as decisions use, and no table.

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::cap::Pacing;
use crate::error::{Error, OrRaise, printable};
use crate::math::pacing::{Curve, Day, Shape};
use crate::pg::call::Call;
use crate::pg::{datum, session};

/// More requests than this are not simulated.
const MOST_REQUESTS: f64 = 3e6;
const MOST_STRIPES: i32 = 256;

/// simulate_pacing(pacing, budget, starts, ends, shape, demand, stripes, priced, cut_at, cut_to, points, seed).
#[pg_extern(sql = false)]
fn simulate_pacing(call: pg_sys::FunctionCallInfo) {
    let call = Call::running(call);
    let day = simulated_day(&call).or_raise();
    let mut rows = call.rows();
    for tick in day.run(session::check_interrupts) {
        rows.push([
            datum::timestamp(tick.at),
            datum::float8(tick.target),
            datum::int8(tick.delivered as i64),
            datum::int4(tick.traffic as i32),
            datum::int4(tick.refused as i32),
            datum::float8(tick.price),
            datum::float8(tick.value),
        ]);
    }
}

fn simulated_day(call: &Call) -> Result<Day, Error> {
    let pacing = call.text(0).ok_or(Error::Null("pacing"))?;
    let budget = call.int4(1).ok_or(Error::Null("budget"))?;
    let starts = call.timestamp(2).ok_or(Error::Null("starts"))?;
    let ends = call.timestamp(3).ok_or(Error::Null("ends"))?;
    let shape = call.text(4).ok_or(Error::Null("shape"))?;
    let demand = call.float8(5).ok_or(Error::Null("demand"))?;
    let stripes = call.int4(6).ok_or(Error::Null("stripes"))?;
    let curve = match Pacing::named(pacing) {
        Some(Pacing::Even) => Some(Curve::Even),
        Some(Pacing::Frontloaded) => Some(Curve::Frontloaded),
        Some(Pacing::Forecast) => call.float8s(10).and_then(|points| Curve::forecast(&points)),
        Some(Pacing::None) | None => {
            return Err(refused(
                format!("pacing \"{}\" cannot be simulated", printable(pacing)),
                "Say even, frontloaded or forecast.",
            ));
        }
    };
    let curve = curve.ok_or_else(|| {
        refused(
            "points are not those of a curve".into(),
            "Pass x, y, x, y, …: x rising from 0 to 1, y not falling; only for pacing forecast.",
        )
    })?;
    let shape = Shape::named(shape).ok_or_else(|| {
        refused(
            format!("shape \"{}\" does not exist", printable(shape)),
            "Shapes are: flat, bursty, daily, drought.",
        )
    })?;
    let cut = call.float8(8).zip(call.int4(9));
    let whole = |units: i32| u32::try_from(units).ok();
    let (Some(budget), Some(cut)) = (whole(budget), cut_of(cut)) else {
        return Err(refused(
            "a budget is below 0".into(),
            "Pass a number of exposures.",
        ));
    };
    if starts >= ends || starts == i64::MIN || ends == i64::MAX {
        return Err(refused(
            "the window has no length, or no end".into(),
            "Pass moments, starts before ends.",
        ));
    }
    if !(0.0..=MOST_REQUESTS).contains(&(demand * f64::from(budget))) {
        return Err(refused(
            format!("demand is {demand} for a budget of {budget}"),
            "Simulate 3 million requests at most: that is demand times budget.",
        ));
    }
    if !(1..=MOST_STRIPES).contains(&stripes) {
        return Err(refused(
            format!("there cannot be {stripes} stripes"),
            "Pass 1 to 256.",
        ));
    }
    Ok(Day {
        curve,
        starts,
        ends,
        budget,
        rows: stripes as usize,
        demand,
        shape,
        cut,
        priced: call.bool(7).unwrap_or(false),
        seed: call.int8(11).unwrap_or(0) as u64,
    })
}

/// None if it is to less than nothing.
fn cut_of(cut: Option<(f64, i32)>) -> Option<Option<(f64, u32)>> {
    match cut {
        None => Some(None),
        Some((at, to)) => Some(Some((at, u32::try_from(to).ok()?))),
    }
}

fn refused(what: String, todo: &'static str) -> Error {
    Error::Simulation(what, todo)
}
