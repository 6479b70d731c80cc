//! Caps and budgets: what each binds and over which window, the rows that count for all users, how delivery is
//! spread over a window, and at which price.

mod adjust;
mod amounts;
mod budget_cache;
mod calendar;
pub mod cap;
mod catalog;
mod limits;
mod pacing;
mod quotas;
mod simulate;
mod stripes;

pub use adjust::{Adjusted, NotCounted};
pub use amounts::Amounts;
pub use budget_cache::Level;
pub use calendar::Length;
pub use cap::{Cap, CountedIn, Pacing, Per, Span};
pub use limits::{Limits, counted_by};
pub use pacing::{Price, announce_prices, prices};
pub use quotas::{count_stripes, settle_at_once};
pub use stripes::{Budget, Stripe};
