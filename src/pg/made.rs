//! What this session did not have in its memory and made since the last decision, so that hit rates can be told.

use std::cell::Cell;

/// Something that a session keeps, with the number that traces have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Missed {
    /// What was compiled of the bundle.
    Bundle = 1,
    /// Its models, with a snapshot of entity features and kill switches.
    Models = 2,
    /// The plan of a statement or a rule.
    Plan = 4,
}

thread_local! {
    static MADE: Cell<i16> = const { Cell::new(0) };
}

/// Notes that the session makes what it should have kept.
pub fn note(what: Missed) {
    MADE.set(MADE.get() | what as i16);
}

/// The sum of what was noted since it was asked last; none if the session had all.
pub fn take() -> Option<i16> {
    Some(MADE.take()).filter(|&sum| sum != 0)
}
