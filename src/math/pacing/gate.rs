//! The limiter on the path of a decision: how much may have been taken by now.
//!
//! A gate belongs to one counter row of a budget. What is allowed follows the line L(t) = quota · share + phase · unit:
//! - behind the line, the lag fades with the time constant H: d(L − allowed)/dt = −(L − allowed)/H;
//! - ahead of it (the budget was cut), what is left is spread over the time that is left:
//!   d allowed/dt = (Z − allowed) · dL/dt / (Z − L), where Z is the end of the line.
//!
//! At the line both are dL/dt. Both have closed forms, so that a decision needs the row and the clock, and no job.
//! The allowance is never ahead of the count by more than a small burst: an unused allowance does not pile up; it becomes
//! a lag, and is caught up with.

use super::{CATCH_UP, CLOSING, Curve, FINISH};

/// How far the allowance may be ahead of the count, as a share of the quota; at least one unit.
const BURST: f64 = 0.002;

/// A counter row and the line that it should follow.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// How the budget is spread.
    pub curve: &'a Curve,
    /// First moment of the window, in microseconds.
    pub starts: i64,
    /// Its end; i64::MAX for a window without one, which is not paced.
    pub ends: i64,
    /// How much this row may count in the window.
    pub quota: f64,
    /// The usual amount of one exposure.
    pub unit: f64,
    /// By which part of a unit the line is raised, see [`phase`].
    pub phase: f64,
}

/// The state of a gate, in the row of its counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// When it was computed, in microseconds.
    pub at: i64,
    /// How much may be counted in all. An invalid number is read as the count.
    pub allowed: f64,
}

/// The phase of a counter row, numbered from 0. Unit k of a row is due when share ≥ (k − phase) / quota; the phases of
/// any number of rows lie evenly in (0, 1) (multiples of the golden ratio), so that the units of small quotas are not
/// due all at once. The first, which may be the only one, has 1/2.
pub fn phase(row: usize) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    (0.5 + (row % 4096) as f64 * GOLDEN).fract()
}

impl Gate<'_> {
    /// The allowance at `now`, if `counted` was counted and `need` is asked for. If the clock goes back, nothing changes.
    pub fn advance(&self, pace: Pace, counted: f64, need: f64, now: i64) -> Pace {
        let burst = self.unit.max(need).max(BURST * self.quota);
        let at = now.max(pace.at);
        Pace {
            at,
            allowed: self
                .flow(pace, counted, at)
                .min(self.quota)
                .min(counted + burst),
        }
    }

    /// Whether `need` more may be counted.
    pub fn admits(&self, pace: Pace, counted: f64, need: f64) -> bool {
        counted + need <= pace.allowed && counted + need <= self.quota
    }

    /// The first moment, in microseconds, at which `need` more may be counted, if nothing is counted until then. None if
    /// the quota is used up.
    pub fn opens_at(&self, pace: Pace, counted: f64, need: f64) -> Option<i64> {
        let wanted = counted + need;
        let enough = |at: i64| self.flow(pace, counted, at) >= wanted;
        if wanted > self.quota || wanted.is_nan() || self.quota.is_nan() {
            return None;
        }
        if enough(pace.at) {
            return Some(pace.at);
        }
        // At the end of the window all of the quota is allowed.
        let (mut shut, mut open) = (pace.at, self.ends.max(pace.at));
        while open.abs_diff(shut) > 1 {
            let middle = shut + (open.abs_diff(shut) / 2) as i64;
            if enough(middle) {
                open = middle;
            } else {
                shut = middle;
            }
        }
        Some(open)
    }

    /// How much should be counted by `now`: the line, without its phase. It ends a little before the window does.
    pub fn target(&self, now: i64) -> f64 {
        self.quota * self.curve.share(self.progress(now))
    }

    /// The allowance at `now` or later, without the limit relative to the count.
    fn flow(&self, pace: Pace, counted: f64, now: i64) -> f64 {
        let (x, y) = (self.progress(pace.at), self.progress(now.max(pace.at)));
        let (line, later) = (self.line(x), self.line(y));
        // The allowance of another window is not used.
        let mut allowed = if pace.allowed > counted && pace.at >= self.starts {
            pace.allowed.min(self.quota).max(counted)
        } else {
            counted
        };
        if x == 0.0 {
            allowed = allowed.max(line); // nothing is behind at the start
        }
        if allowed < line {
            return (later - (line - allowed) * fading(x, y)).max(allowed);
        }
        let top = self.line(1.0);
        let left = top - line;
        if left > 0.0 {
            (top - (top - allowed) * ((top - later) / left)).max(allowed)
        } else {
            allowed
        }
    }

    /// The line; a part of a unit more than the quota at the end.
    fn line(&self, x: f64) -> f64 {
        self.quota * self.curve.share(x) + self.phase * self.unit
    }

    /// The share of the time in which the budget is to be spent that has passed; 1 for a window without end or without
    /// length.
    fn progress(&self, now: i64) -> f64 {
        if self.ends == i64::MAX || self.ends <= self.starts || now >= self.ends {
            return 1.0;
        }
        if now <= self.starts {
            return 0.0;
        }
        let length = self.ends.abs_diff(self.starts) as f64;
        (now.abs_diff(self.starts) as f64 / (length * FINISH)).min(1.0)
    }
}

/// The factor by which a lag at `x` has faded at `y`.
fn fading(x: f64, y: f64) -> f64 {
    let closing = f64::from(CLOSING) * CATCH_UP;
    let turn = 1.0 - closing;
    let steady = (y.min(turn) - x.min(turn)) / CATCH_UP;
    let left = |x: f64| (1.0 - x).clamp(0.0, closing);
    let late = if left(x) > 0.0 {
        left(y) / left(x)
    } else {
        0.0
    };
    let late = late * late;
    libm::exp(-steady) * (late * late)
}

#[cfg(test)]
mod tests;
