//! What a feature keeps of its events, in a few cells of its user's row, and its value at a moment.
//!
//! A state is a slice of f64 of a width that depends on the aggregate alone. Its first cell is the time of the newest
//! event; a first cell that is not finite means that there was none, whatever the others hold. So [`NEVER`] in every
//! cell is the empty state of every aggregate, and the one value that fills gaps in a row. All other cells are finite:
//! a state survives being written as text and read back, bit for bit.
//!
//! | kind | cells after the first |
//! | --- | --- |
//! | `DecayedCount`, `DecayedSum` | the value, as of the newest event |
//! | `DecayedMean` | sum and count, as of the newest event |
//! | `Rate` | hits and trials, as of the newest event |
//! | `WindowCount`, `WindowSum` | a ring of buckets (see `window`) |
//! | `Recency` | none |
//! | `First` | the time of the earliest event, its amount |
//! | `Last` | the amount |
//! | `Distinct` | packed registers (see `distinct`) |
//!
//! # Independent of the order
//! The same events give the same state in any order and any batching, early or late: counts, windows of counts,
//! recency, first, last and distinct exactly; decayed values and sums to within 1e-9 of the sum of the absolute
//! contributions. (Only sums beyond the range of f64, which stay at its largest number, depend on the order.)
//!
//! Times are microseconds and exact within ±2⁵³ (285 years around the epoch); those beyond count as the nearest end.

pub(crate) mod cell;
mod distinct;
#[cfg(test)]
mod tests;
mod window;

use super::decay::Decayed;
use cell::{moment, number};
use serde::{Deserialize, Serialize};

/// What fills a cell to which nothing was ever written.
pub const NEVER: f64 = f64::NEG_INFINITY;

/// The most cells that a row may grow to (8 MiB).
pub const MAX_ROW: usize = 1 << 20;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// How many events, each fading.
    DecayedCount,
    /// The sum of their amounts, each fading.
    DecayedSum,
    /// The mean of their amounts, in which older ones have less weight. The mean itself does not fade.
    DecayedMean,
    /// Fading hits for each fading trial, as if there had been `prior_weight` hits before, at the rate `prior_rate`:
    /// (w + hits) / (w / prior_rate + trials). It may exceed 1, as when one trial has two hits. A weight that is not a
    /// finite number above 0, or a rate that is not, means no prior; without a prior there is no rate before the first
    /// trial, and the rate does not fade.
    Rate {
        /// w, in hits.
        prior_weight: f64,
        /// In hits for each trial.
        prior_rate: f64,
    },
    /// How many events in the window that ends now, by whole buckets.
    WindowCount {
        /// In microseconds.
        window: i64,
        /// In microseconds; see [`bucket_for`].
        bucket: i64,
    },
    /// The sum of their amounts in the window that ends now, by whole buckets.
    WindowSum {
        /// In microseconds.
        window: i64,
        /// In microseconds; see [`bucket_for`].
        bucket: i64,
    },
    /// Seconds since the newest event, 0 before it.
    Recency,
    /// The amount of the earliest event; of several at that moment the largest.
    First,
    /// The amount of the newest event; of several at that moment the largest.
    Last,
    /// How many different items, estimated: HyperLogLog with 256 registers, so with a standard error of about 6.5%;
    /// 4% up to a hundred.
    Distinct,
}

/// A kind and how long it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// What is kept.
    pub kind: Kind,
    /// In microseconds, for kinds that fade; infinity for never.
    pub half_life: f64,
    /// In microseconds: a state whose newest event is older has no value. None: no limit.
    pub ttl: Option<i64>,
}

/// Which part of a rate an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The numerator.
    Hit,
    /// The denominator.
    Trial,
}

/// What aggregates use of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// When, in microseconds.
    pub at: i64,
    /// How much. An event whose amount is not finite changes nothing, of any kind: give 1 where it does not matter.
    pub amount: f64,
    /// For rates.
    pub side: Side,
    /// For distinct: a hash of the item, such as [`super::hash::fnv64a`].
    pub item: u64,
}

impl Aggregate {
    /// How many cells a state has.
    pub fn cells(&self) -> usize {
        1 + match self.kind {
            Kind::Recency => 0,
            Kind::DecayedCount | Kind::DecayedSum | Kind::Last => 1,
            Kind::DecayedMean | Kind::Rate { .. } | Kind::First => 2,
            Kind::WindowCount { window, bucket } | Kind::WindowSum { window, bucket } => {
                window::Buckets::of(window, bucket).kept()
            }
            Kind::Distinct => distinct::CELLS,
        }
    }

    /// Makes it the empty state.
    pub fn clear(&self, cells: &mut [f64]) {
        cells
            .iter_mut()
            .take(self.cells())
            .for_each(|cell| *cell = NEVER);
    }

    /// Whether it is the empty state; one that is cut short counts as empty.
    pub fn is_empty(&self, cells: &[f64]) -> bool {
        self.newest(cells).is_none()
    }

    /// The time of the newest event.
    pub fn newest(&self, cells: &[f64]) -> Option<i64> {
        let cells = cells.get(..self.cells())?;
        cells[0].is_finite().then(|| moment(cells[0] as i64))
    }

    /// Adds an event. Cells that are too few stay as they are.
    pub fn add(&self, cells: &mut [f64], o: &Observation) {
        let Some(cells) = cells.get_mut(..self.cells()) else {
            return;
        };
        if !o.amount.is_finite() {
            return;
        }
        let (at, time) = (moment(o.at), moment(o.at) as f64);
        match self.kind {
            Kind::DecayedCount => self.merge(cells, &[time, 1.0]),
            Kind::DecayedSum | Kind::Last => self.merge(cells, &[time, o.amount]),
            Kind::DecayedMean => self.merge(cells, &[time, o.amount, 1.0]),
            Kind::Rate { .. } => self.merge(
                cells,
                &match o.side {
                    Side::Hit => [time, 1.0, 0.0],
                    Side::Trial => [time, 0.0, 1.0],
                },
            ),
            Kind::Recency => self.merge(cells, &[time]),
            Kind::First => self.merge(cells, &[time, time, o.amount]),
            Kind::WindowCount { window, bucket } => {
                self.begin(cells, at);
                window::Buckets::of(window, bucket).add(cells, at, 1.0);
            }
            Kind::WindowSum { window, bucket } => {
                self.begin(cells, at);
                window::Buckets::of(window, bucket).add(cells, at, o.amount);
            }
            Kind::Distinct => {
                self.begin(cells, at);
                cells[0] = cells[0].max(time);
                distinct::add(&mut cells[1..], o.item);
            }
        }
    }

    /// Makes an empty state one of zeros.
    fn begin(&self, cells: &mut [f64], at: i64) {
        if self.is_empty(cells) {
            cells.fill(0.0);
            cells[0] = at as f64;
        }
    }

    /// Adds all events of another state, of the same aggregate. Which of the two is added to the other makes no
    /// difference. Cells that are too few stay as they are, or add nothing.
    pub fn merge(&self, into: &mut [f64], other: &[f64]) {
        let width = self.cells();
        let (Some(into), Some(other)) = (into.get_mut(..width), other.get(..width)) else {
            return;
        };
        let Some(theirs) = self.newest(other) else {
            return;
        };
        let Some(ours) = self.newest(into) else {
            for (cell, &other) in into.iter_mut().zip(other) {
                *cell = number(other);
            }
            into[0] = theirs as f64;
            return;
        };
        match self.kind {
            Kind::DecayedCount | Kind::DecayedSum | Kind::DecayedMean | Kind::Rate { .. } => {
                for (cell, &other) in into[1..].iter_mut().zip(&other[1..]) {
                    let kept = Decayed {
                        value: number(*cell),
                        at: ours,
                    };
                    *cell = kept.add(number(other), theirs, self.half_life).value;
                }
            }
            Kind::WindowCount { window, bucket } | Kind::WindowSum { window, bucket } => {
                window::Buckets::of(window, bucket).merge(into, other);
            }
            Kind::Recency => {}
            Kind::First => {
                let (mine, first) = (number(into[1]), number(other[1]));
                if first < mine || first == mine && exceeds(other[2], into[2]) {
                    into[1..].copy_from_slice(&[first, number(other[2])]);
                }
            }
            Kind::Last => {
                if theirs > ours || theirs == ours && exceeds(other[1], into[1]) {
                    into[1] = number(other[1]);
                }
            }
            Kind::Distinct => distinct::merge(&mut into[1..], &other[1..]),
        }
        into[0] = ours.max(theirs) as f64;
    }

    /// Its value as of `now`: None before the first event, and None if the newest is older than the TTL. At a moment
    /// before the newest event, fading values are those at that event. Always finite.
    pub fn read(&self, cells: &[f64], now: i64) -> Option<f64> {
        let cells = cells.get(..self.cells())?;
        let newest = self.newest(cells)?;
        let now = moment(now);
        let age = now - newest;
        if self.ttl.is_some_and(|ttl| age > ttl) {
            return None;
        }
        let value = |i: usize| number(cells[i]);
        match self.kind {
            Kind::DecayedCount | Kind::DecayedSum => Some(self.faded(value(1), newest, now)),
            // both fade alike
            Kind::DecayedMean => ratio(value(1), value(2)),
            Kind::Rate {
                prior_weight,
                prior_rate,
            } => {
                if !(usable(prior_weight) && usable(prior_rate)) {
                    return ratio(value(1), value(2));
                }
                let hits = self.faded(value(1), newest, now);
                let trials = self.faded(value(2), newest, now);
                rate(prior_weight, prior_rate, hits, trials)
            }
            Kind::WindowCount { window, bucket } | Kind::WindowSum { window, bucket } => {
                Some(window::Buckets::of(window, bucket).read(cells, newest, now))
            }
            Kind::Recency => Some(age.max(0) as f64 / 1e6),
            Kind::First => Some(value(2)),
            Kind::Last => Some(value(1)),
            Kind::Distinct => Some(distinct::read(&cells[1..])),
        }
    }

    fn faded(&self, value: f64, at: i64, now: i64) -> f64 {
        Decayed { value, at }.read(now, self.half_life)
    }
}

/// The state of an aggregate whose first cell is at `offset`; None if the row ends before it, which counts as empty.
pub fn cells_at<'a>(row: &'a [f64], offset: usize, aggregate: &Aggregate) -> Option<&'a [f64]> {
    row.get(offset..offset.checked_add(aggregate.cells())?)
}

/// The same for writing: the row grows as needed, by cells of [`NEVER`]. It does not grow beyond [`MAX_ROW`]; there the
/// result is empty.
pub fn cells_at_mut<'a>(
    row: &'a mut Vec<f64>,
    offset: usize,
    aggregate: &Aggregate,
) -> &'a mut [f64] {
    let end = offset.saturating_add(aggregate.cells());
    if row.len() < end && end <= MAX_ROW {
        row.resize(end, NEVER);
    }
    row.get_mut(offset..end).unwrap_or_default()
}

/// The default bucket of a window: 5 minutes for an hour or less, an hour for a day or less, 6 hours for a week or less,
/// and else a day. All in microseconds.
pub fn bucket_for(window: i64) -> i64 {
    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    match window {
        ..=HOUR => 5 * MINUTE,
        _ if window <= DAY => HOUR,
        _ if window <= 7 * DAY => 6 * HOUR,
        _ => DAY,
    }
}

/// Whether one amount is larger, in the total order in which −0 is below 0.
fn exceeds(amount: f64, other: f64) -> bool {
    number(amount).total_cmp(&number(other)).is_gt()
}

/// Whether a prior's number is valid.
fn usable(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

/// (w + hits) / (w / prior_rate + trials).
fn rate(weight: f64, prior_rate: f64, hits: f64, trials: f64) -> Option<f64> {
    ratio(weight + hits, weight / prior_rate + trials)
}

/// A quotient within the range of f64; None if the divisor is not above 0.
fn ratio(of: f64, by: f64) -> Option<f64> {
    let finite = |x: f64| x.clamp(f64::MIN, f64::MAX);
    (by > 0.0).then(|| finite(finite(of) / finite(by)))
}
