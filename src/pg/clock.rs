//! Clock and chance. Time is as Postgres counts it: microseconds since 2000-01-01 UTC.

use std::cell::RefCell;

use chrono::{DateTime, Datelike};
use pgrx::pg_sys;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

thread_local! {
    /// Seeded from the operating system at first use, which is always after the server has forked
    /// this backend.
    static CHANCE: RefCell<StdRng> = RefCell::new(StdRng::from_os_rng());
}

/// 64 bits that nobody can foresee.
pub fn chance() -> u64 {
    CHANCE.with_borrow_mut(StdRng::next_u64)
}

/// Microseconds between 1970-01-01 and 2000-01-01, both UTC.
const UNIX_TO_POSTGRES: i64 = 946_684_800_000_000;

/// Microseconds of one day.
pub const DAY: i64 = 86_400_000_000;

/// The moment of this call, not of the transaction's start.
pub fn now() -> i64 {
    // SAFETY: reads the clock, takes nothing and touches no state.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Year, month and day of a moment, in UTC.
pub fn date_of(at: i64) -> Option<(i32, u32, u32)> {
    let date = DateTime::from_timestamp_micros(to_unix_micros(at))?.date_naive();
    Some((date.year(), date.month(), date.day()))
}

/// Microseconds since 1970 of a moment in Postgres's count.
pub fn to_unix_micros(at: i64) -> i64 {
    at.saturating_add(UNIX_TO_POSTGRES)
}

/// A moment in Postgres's count from microseconds since 1970.
pub fn from_unix_micros(at: i64) -> i64 {
    at.saturating_sub(UNIX_TO_POSTGRES)
}
