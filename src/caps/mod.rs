//! Caps and budgets: what each binds and over which window, the rows that count for all users, how delivery is
//! spread over a window, and at which price.

mod budget;
pub mod cap;
mod limits;
mod pacing;
mod simulate;

pub use budget::{Budget, Level, Stripe, count_stripes};
pub use cap::{Cap, Pacing, Per, Span};
pub use limits::{Limits, counted_by};
pub use pacing::{Price, announce, prices};
