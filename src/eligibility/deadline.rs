//! Deadlines: until when rules may run.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::pg::timeout::Timer;

/// The shortest time that a rule is given: the resolution of the server's timer.
const SHORTEST: Duration = Duration::from_millis(1);

/// Timeout of planning, which a session does once; its time is not counted.
const PLANNING_TIMEOUT: Duration = Duration::from_millis(250);

/// A moment by which something must be done; without one there is no limit.
#[derive(Default)]
pub struct Deadline {
    at: Cell<Option<Instant>>,
    /// Time that was not counted.
    uncounted: Cell<Duration>,
}

impl Deadline {
    pub fn at(at: Option<Instant>) -> Deadline {
        Deadline {
            at: Cell::new(at),
            uncounted: Cell::default(),
        }
    }

    /// Time that is left; None without a limit.
    pub fn left(&self) -> Option<Duration> {
        let at = self.at.get()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// One of `parts` equal parts of the time that is left.
    pub fn share(&self, parts: usize) -> Deadline {
        let part = self
            .left()
            .map(|left| (left / parts.max(1) as u32).max(SHORTEST));
        Deadline::at(part.map(|part| Instant::now() + part))
    }

    /// Cancels the statement that runs when the deadline has passed, until the answer is dropped. To be called in an attempt.
    pub fn timer(&self) -> Option<Timer> {
        self.left().map(|left| Timer::arm(left.max(SHORTEST)))
    }

    /// Does work whose time is not counted: it has a timeout of its own.
    pub fn run_uncounted<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(at) = self.at.get() else {
            return work();
        };
        let _clock = UncountedTime {
            deadline: self,
            at,
            begun: Instant::now(),
        };
        let _timer = Timer::arm(PLANNING_TIMEOUT);
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

/// The message about a rule that has timed out.
pub fn timed_out(after: Duration) -> String {
    format!("timed out after {} ms", after.as_millis())
}
