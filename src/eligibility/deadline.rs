//! Until when rules may run.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::pg::timeout::Timer;

/// The least that a rule is given, for the timer of the server counts in such steps.
const LEAST: Duration = Duration::from_millis(1);

/// How long planning may take, which a session does once; it is not counted.
const PLANNING: Duration = Duration::from_millis(250);

/// A moment by which something must be done, if there is one.
#[derive(Default)]
pub struct Deadline {
    at: Cell<Option<Instant>>,
    /// What was not counted.
    uncounted: Cell<Duration>,
}

impl Deadline {
    pub fn at(at: Option<Instant>) -> Deadline {
        Deadline {
            at: Cell::new(at),
            uncounted: Cell::default(),
        }
    }

    /// What is left; None where there is no bound.
    pub fn left(&self) -> Option<Duration> {
        let at = self.at.get()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// One of `parts` equal parts of what is left.
    pub fn share(&self, parts: usize) -> Deadline {
        let part = self
            .left()
            .map(|left| (left / parts.max(1) as u32).max(LEAST));
        Deadline::at(part.map(|part| Instant::now() + part))
    }

    /// Cancels what runs while the answer lives and the time is over. To be called in an attempt.
    pub fn timer(&self) -> Option<Timer> {
        self.left().map(|left| Timer::arm(left.max(LEAST)))
    }

    /// Does what is not counted: it has a time of its own.
    pub fn run_uncounted<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(at) = self.at.get() else {
            return work();
        };
        let _pardon = UncountedTime {
            deadline: self,
            at,
            begun: Instant::now(),
        };
        let _timer = Timer::arm(PLANNING);
        work()
    }

    pub fn uncounted(&self) -> Duration {
        self.uncounted.get()
    }
}

/// Time that is not counted, from when it is made until it is dropped.
struct UncountedTime<'a> {
    deadline: &'a Deadline,
    at: Instant,
    begun: Instant,
}

impl Drop for UncountedTime<'_> {
    fn drop(&mut self) {
        let taken = self.begun.elapsed();
        let uncounted = &self.deadline.uncounted;
        self.deadline.at.set(Some(self.at + taken));
        uncounted.set(uncounted.get() + taken);
    }
}

/// What is said of a rule that did not come to an end.
pub fn timed_out(after: Duration) -> String {
    format!("timed out after {} ms", after.as_millis())
}
