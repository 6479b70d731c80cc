//! How a budget is spread over its window: when units may be taken, and at which price.
//!
//! | file | what |
//! | --- | --- |
//! | `curve` | which share of a budget should be spent by which part of its window |
//! | `gate` | the limiter on the path of a decision: how much may have been taken by now |
//! | `price` | the price of a unit, which a control loop moves until demand meets the curve |
//! | `profile` | the traffic of each hour of the week, learned, and the curve that follows it |
//! | `day` | a day of traffic, simulated with all of the above |
//!
//! The gate alone keeps a budget on its curve, and gives units to requests in the order in which they come. The price
//! makes these the best requests: one whose value is below the price does not ask for a unit.
//!
//! Source: the system's paper, section 4 (budgets as duals of a linear programme, moved by projected subgradients).

mod curve;
mod day;
mod gate;
mod price;
mod profile;

pub use curve::Curve;
pub use day::{Day, Shape, Tick};
pub use gate::{Gate, Pace, phase};
pub use price::{Feedback, Line, Price};
pub use profile::{HOURS, Profile};

/// The time constant with which the lag of a budget behind its line fades, as a share of the window. In the last [`CLOSING`] time constants it shrinks, so that no lag is left at the end.
const CATCH_UP: f64 = 1.0 / 50.0;

/// How many time constants before the end the closing begins: from there on a lag fades with this power of the time
/// that is left.
const CLOSING: i32 = 4;

/// The share of its window after which all of a budget may be spent: the rest of the window is for the last units.
const FINISH: f64 = 0.99;
