//! How well scores find those whom a treatment moves.
//!
//! A row is a user with an outcome, whether it was treated, and the score that a model gave it. Ordered by score, the
//! highest first, the first rows should have the largest difference between the treated and the control group.
//!
//! Definitions are those of scikit-uplift: curves have a point for each distinct score, so tied rows count together; of
//! rows with the same score those that came later are first, where a number of rows is cut off. `causalml` has those
//! of causalml, by name.

mod bins;
mod causalml;
mod curve;
mod rows;
mod sort;

pub use bins::{Bin, Calibration, bins, calibration, kendall};
pub use causalml::{causalml_auuc, causalml_qini};
pub use curve::{auuc, qini, uplift_at};
pub use rows::{Group, Row, Strategy, thresholds};
pub use sort::sort;

#[cfg(test)]
mod tests;
