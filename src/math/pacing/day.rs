//! Simulates a window of traffic with the gates and the price that decisions use. The clock is passed in; equal seeds give
//! equal days.

use super::{CATCH_UP, Curve, Feedback, Gate, Line, Pace, Price, phase};
use crate::random::Draws;

/// Steps of a window, in each of which traffic is constant and the price moves once.
const SLOTS: usize = 1440;
/// How much more traffic a burst has than a lull.
const BURST: f64 = 20.0;
/// The longest burst or lull, in steps.
const LONGEST: f64 = 10.0;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Day {
    /// How the budget is spread.
    pub curve: Curve,
    /// The window, in microseconds.
    pub starts: i64,
    /// Its end.
    pub ends: i64,
    /// Its budget, in units.
    pub budget: u32,
    /// The number of its counter rows.
    pub rows: usize,
    /// Requests for each unit.
    pub demand: f64,
    /// How requests come.
    pub shape: Shape,
    /// From which share of the window on there is another budget, and which.
    pub cut: Option<(f64, u32)>,
    /// Whether there is a price; else requests are served in their order.
    pub priced: bool,
    /// The seed of all draws.
    pub seed: u64,
}

/// How traffic comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Evenly.
    Flat,
    /// In bursts and lulls of minutes (if the window is a day), 20 to 1.
    Bursty,
    /// In bursts and lulls, on top of more by day than by night, 4 to 1.
    Daily,
    /// In bursts and lulls, and none at all from 0.4 to 0.525 of the window: three hours of a day.
    Drought,
}

impl Shape {
    /// The shape of that name.
    pub fn named(name: &str) -> Option<Shape> {
        Some(match name {
            "flat" => Shape::Flat,
            "bursty" => Shape::Bursty,
            "daily" => Shape::Daily,
            "drought" => Shape::Drought,
            _ => return None,
        })
    }

    /// The traffic in each step of a window, with the mean 1.
    fn slots(self, draws: &mut Draws) -> Vec<f64> {
        let (mut burst, mut left) = (false, 0.0);
        let mut slots: Vec<f64> = (0..SLOTS)
            .map(|slot| {
                if left < 1.0 {
                    burst = !burst;
                    left = 1.0 + LONGEST * draws.unit();
                }
                left -= 1.0;
                let x = (slot as f64 + 0.5) / SLOTS as f64;
                let now = if burst { BURST } else { 1.0 };
                match self {
                    Shape::Flat => 1.0,
                    Shape::Bursty => now,
                    Shape::Daily => now * (1.0 - 0.6 * libm::cos(x * std::f64::consts::TAU)),
                    Shape::Drought if (0.4..0.525).contains(&x) => 0.0,
                    Shape::Drought => now,
                }
            })
            .collect();
        let mean = slots.iter().sum::<f64>() / SLOTS as f64;
        slots.iter_mut().for_each(|slot| *slot /= mean);
        slots
    }
}

/// The state at the end of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// When that is.
    pub at: i64,
    /// Units that should be delivered by then.
    pub target: f64,
    /// Units that are.
    pub delivered: f64,
    /// Requests in this slot.
    pub traffic: u32,
    /// How many of them the gates refused.
    pub refused: u32,
    /// The price.
    pub price: f64,
    /// The total value of what was delivered.
    pub value: f64,
}

/// A counter row.
struct Row {
    quota: f64,
    counted: f64,
    pace: Pace,
}

impl Day {
    /// Runs the whole window, step by step. Many requests take long: `pause` is called before each step.
    pub fn run(&self, pause: impl Fn()) -> Vec<Tick> {
        let mut draws = Draws::from_seed(self.seed);
        let shape = self.shape.slots(&mut draws);
        let mut rows = self.rows();
        let mut budget = self.budget;
        let mut tick = Tick {
            at: self.starts,
            target: 0.0,
            delivered: 0.0,
            traffic: 0,
            refused: 0,
            price: 0.0,
            value: 0.0,
        };
        let mut due = 0.0;
        let mut ticks = Vec::with_capacity(SLOTS);
        for (slot, intensity) in shape.iter().enumerate() {
            if let Some((x, less)) = self.cut
                && budget != less
                && slot as f64 >= x * SLOTS as f64
            {
                budget = less;
                self.share_out(budget, &mut rows);
            }
            due += intensity * self.demand * f64::from(self.budget) / SLOTS as f64;
            let before = tick;
            (tick.traffic, tick.refused) = (due as u32, 0);
            due -= f64::from(tick.traffic);
            for request in 0..tick.traffic {
                pause();
                let within = (f64::from(request) + draws.unit()) / f64::from(tick.traffic);
                let now = self.moment((slot as f64 + within) / SLOTS as f64);
                let worth = worth(&mut draws);
                if self.priced && worth <= tick.price {
                    continue;
                }
                let first = (draws.unit() * rows.len() as f64) as usize;
                if self.take(&mut rows, first, now) {
                    tick.delivered += 1.0;
                    tick.value += worth;
                } else {
                    tick.refused += 1;
                }
            }
            tick.at = self.moment((slot + 1) as f64 / SLOTS as f64);
            let x = (slot + 1) as f64 / SLOTS as f64;
            tick.target = f64::from(budget) * self.curve.share(x);
            if self.priced {
                tick.price = self.price(&rows, &before, &tick);
            }
            ticks.push(tick);
        }
        ticks
    }

    fn rows(&self) -> Vec<Row> {
        let row = |_| Row {
            quota: 0.0,
            counted: 0.0,
            pace: Pace {
                at: self.starts,
                allowed: 0.0,
            },
        };
        let mut rows: Vec<Row> = (0..self.rows.max(1)).map(row).collect();
        self.share_out(self.budget, &mut rows);
        rows
    }

    /// A quota for each row: what it has counted, and its share of the rest.
    fn share_out(&self, budget: u32, rows: &mut [Row]) {
        let counted: f64 = rows.iter().map(|row| row.counted).sum();
        let left = (f64::from(budget) - counted).max(0.0) as u32;
        let many = rows.len() as u32;
        for (row, i) in rows.iter_mut().zip(0..) {
            row.quota = row.counted + f64::from(left / many + u32::from(i < left % many));
        }
    }

    fn gate(&self, row: &Row, i: usize) -> Gate<'_> {
        Gate {
            curve: &self.curve,
            starts: self.starts,
            ends: self.ends,
            quota: row.quota,
            unit: 1.0,
            phase: phase(i),
        }
    }

    /// Takes a unit from the first row that has one, as a decision does.
    fn take(&self, rows: &mut [Row], first: usize, now: i64) -> bool {
        let many = rows.len();
        (0..many).map(|i| (first + i) % many).any(|i| {
            let row = &mut rows[i];
            let gate = self.gate(row, i);
            let pace = gate.advance(row.pace, row.counted, 1.0, now);
            let taken = gate.admits(pace, row.counted, 1.0);
            if taken {
                row.counted += 1.0;
                row.pace = pace;
            }
            taken
        })
    }

    fn price(&self, rows: &[Row], before: &Tick, now: &Tick) -> f64 {
        let line = |at| -> f64 {
            let targets = rows
                .iter()
                .zip(0..)
                .map(|(row, i)| self.gate(row, i).target(at));
            targets.sum()
        };
        let taken = now.delivered - before.delivered;
        let asked = taken + f64::from(now.refused);
        let seen = Feedback {
            elapsed: now.at.abs_diff(before.at) as f64,
            age: 0.0,
            window: self.ends.abs_diff(self.starts) as f64,
            left: self.ends.abs_diff(now.at) as f64,
            taken,
            delivered: now.delivered,
            line: Line {
                due: line(now.at) - line(before.at),
                now: line(now.at),
                end: line(self.ends),
            },
            refused: if asked > 0.0 {
                f64::from(now.refused) / asked
            } else {
                0.0
            },
            chances: f64::from(now.traffic),
            spread: 1.0,
            goal: None,
        };
        let price = Price {
            per_unit: now.price,
        };
        price.step(&seen).per_unit
    }

    fn moment(&self, x: f64) -> i64 {
        let length = self.ends.abs_diff(self.starts) as f64;
        self.starts.saturating_add((x * length) as i64)
    }

    /// The time constant of catching up, in slots.
    pub fn catch_up() -> usize {
        (SLOTS as f64 * CATCH_UP).ceil() as usize
    }
}

/// The value of a request: normal, with mean and deviation 1.
fn worth(draws: &mut Draws) -> f64 {
    (0..12).map(|_| draws.unit()).sum::<f64>() - 5.0
}

#[cfg(test)]
mod tests;
