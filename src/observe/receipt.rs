//! What became of events.

use std::ops::AddAssign;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    Accepted,
    Duplicate,
    Quarantined,
    /// It must not be kept, and is only counted.
    Refused,
}

impl Receipt {
    pub fn as_str(self) -> &'static str {
        match self {
            Receipt::Accepted => "accepted",
            Receipt::Duplicate => "duplicate",
            Receipt::Quarantined => "quarantined",
            Receipt::Refused => "refused",
        }
    }
}

/// How many events each became of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub accepted: i64,
    pub duplicate: i64,
    pub quarantined: i64,
    pub refused: i64,
}

impl Counts {
    pub fn of_refused(events: usize) -> Counts {
        Counts {
            refused: events as i64,
            ..Counts::default()
        }
    }

    pub fn add(&mut self, receipt: Receipt) {
        match receipt {
            Receipt::Accepted => self.accepted += 1,
            Receipt::Duplicate => self.duplicate += 1,
            Receipt::Quarantined => self.quarantined += 1,
            Receipt::Refused => self.refused += 1,
        }
    }

    /// What became of all of them, in one word: the worst that became of any.
    pub fn receipt(self) -> Receipt {
        match self {
            Counts {
                quarantined: 1.., ..
            } => Receipt::Quarantined,
            Counts {
                accepted: 0,
                duplicate: 1..,
                ..
            } => Receipt::Duplicate,
            Counts {
                accepted: 0,
                refused: 1..,
                ..
            } => Receipt::Refused,
            _ => Receipt::Accepted,
        }
    }

    /// The row that track() and the other functions of many events return; refused events are those that are in none
    /// of its numbers.
    pub fn columns(self) -> [i64; 3] {
        [self.accepted, self.duplicate, self.quarantined]
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.quarantined += other.quarantined;
        self.refused += other.refused;
    }
}
