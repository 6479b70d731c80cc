//! A sliding window over buckets at absolute multiples of their width.
//!
//! The window at a moment is the n newest buckets, the running one among them. n + 1 are kept, so that an event of the
//! next bucket, from a clock that is ahead, pushes nothing out of the window. They lie in a ring, each at the index
//! that is its number modulo n + 1; the bucket of the state's newest event is the newest kept one. What
//! is older than all that are kept falls away, when it arrives late as when it is pushed out, so that the order of
//! arrival makes no difference.

use super::cell::{moment, number};

/// The most buckets of a window: beyond, buckets are wider.
const MAX_BUCKETS: u64 = 1024;

/// The buckets of a window.
pub struct Buckets {
    /// In microseconds, at least 1.
    width: i64,
    /// n, at least 1.
    count: i64,
}

impl Buckets {
    /// A window or bucket below 1 counts as 1.
    pub fn of(window: i64, bucket: i64) -> Buckets {
        let window = window.max(1).unsigned_abs();
        let bucket = bucket.max(1).unsigned_abs();
        let width = bucket.max(window.div_ceil(MAX_BUCKETS));
        Buckets {
            width: width as i64,
            count: window.div_ceil(width) as i64,
        }
    }

    /// n + 1, the length of the ring.
    pub fn kept(&self) -> usize {
        self.count as usize + 1
    }

    /// Adds `x` at a moment to a state that is not empty.
    pub fn add(&self, cells: &mut [f64], at: i64, x: f64) {
        let newest = self.advance(cells, at);
        let bucket = at.div_euclid(self.width);
        if self.holds(newest, bucket) {
            self.put(cells, bucket, x);
        }
    }

    /// Adds one state to another, neither empty.
    pub fn merge(&self, into: &mut [f64], other: &[f64]) {
        let theirs = self.bucket(other[0]);
        let newest = self.advance(into, other[0] as i64);
        for bucket in theirs - self.count..=theirs {
            if self.holds(newest, bucket) {
                self.put(into, bucket, number(other[self.index(bucket)]));
            }
        }
    }

    /// The sum over the window at `now`, from the oldest bucket to the newest. Where the newest event is further
    /// ahead than one bucket, the window is that of its moment, until then: nothing older is whole.
    pub fn read(&self, cells: &[f64], newest: i64, now: i64) -> f64 {
        let newest = newest.div_euclid(self.width);
        let running = match now.div_euclid(self.width) {
            running if newest > running.saturating_add(1) => newest,
            running => running,
        };
        (running - self.count + 1..=running)
            .filter(|&bucket| self.holds(newest, bucket))
            .fold(0.0, |sum, bucket| {
                saturated(sum + number(cells[self.index(bucket)]))
            })
    }

    /// Moves the state's time to `at` if that is newer, empties the buckets that begin thereby, and returns the newest.
    fn advance(&self, cells: &mut [f64], at: i64) -> i64 {
        let before = self.bucket(cells[0]);
        cells[0] = cells[0].max(at as f64);
        let after = self.bucket(cells[0]);
        for bucket in (before + 1).max(after - self.count)..=after {
            cells[self.index(bucket)] = 0.0;
        }
        after
    }

    fn put(&self, cells: &mut [f64], bucket: i64, x: f64) {
        let cell = &mut cells[self.index(bucket)];
        *cell = saturated(number(*cell) + x);
    }

    /// Whether a bucket is among those kept.
    fn holds(&self, newest: i64, bucket: i64) -> bool {
        bucket <= newest && bucket >= newest - self.count
    }

    fn index(&self, bucket: i64) -> usize {
        1 + bucket.rem_euclid(self.count + 1) as usize
    }

    fn bucket(&self, time: f64) -> i64 {
        moment(time as i64).div_euclid(self.width)
    }
}

fn saturated(x: f64) -> f64 {
    x.clamp(f64::MIN, f64::MAX)
}
