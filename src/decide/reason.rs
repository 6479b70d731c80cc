//! Why slots are left to the fallback.

use std::fmt;

use super::blocked::Blocked;
use super::stage::Stage;
use crate::pg::attempt::{Caught, sqlstate};

/// Why the policy could not choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    NoPolicy,
    NoModel,
    NoCandidate,
    /// The same, where other transactions hold counters that some actions need.
    Busy,
    Paused,
    /// Candidates are missing that are not sure enough to be worth what the policy asks for.
    Unsure,
    /// The latency budget was used up, by that stage.
    Timeout(Stage),
    /// As many decisions as may be were being made.
    Overload,
    /// Another transaction was deciding on the same request.
    RequestOpen,
    /// A stage raised an error.
    Failed {
        sqlstate: String,
        error: String,
    },
}

impl Reason {
    /// Why slots are empty, by why actions were blocked.
    pub fn of_empty_slots(blocked_by: impl Iterator<Item = i32>) -> Reason {
        let mut reason = Reason::NoCandidate;
        for code in blocked_by {
            if code == Blocked::Unsure.code() {
                return Reason::Unsure;
            }
            if code == Blocked::Busy.code() {
                reason = Reason::Busy;
            }
        }
        reason
    }

    /// An error that was caught; with its message where nothing of that is kept.
    pub fn failed(error: &Caught, is_kept: bool) -> Reason {
        Reason::Failed {
            sqlstate: sqlstate(error.code),
            error: match is_kept {
                true => error.describe(),
                false => error.in_full(),
            },
        }
    }
}

/// The name and the description of each reason. What follows a name that ends with `: ` is told by the decision.
pub const REASONS: [(&str, &str); 10] = [
    ("no_policy", "the surface has no policy"),
    (
        "no_model",
        "the selection needs scores and the policy names no model",
    ),
    ("no_candidate", "there are fewer candidates than slots"),
    ("paused", "the mode of the surface, or of all, is paused"),
    (
        "timeout: ",
        "the latency budget was used up, in the stage that is named",
    ),
    (
        "overload",
        "too many decisions were being made at the same time",
    ),
    (
        "failed: ",
        "a stage failed, with the SQLSTATE that is named",
    ),
    (
        "unsure",
        "too few candidates are sure enough to be worth what the policy asks for",
    ),
    (
        "busy",
        "there are fewer candidates than slots, as other transactions use the counters of some actions",
    ),
    (
        "request_open",
        "another transaction was deciding on a request of the same request_id",
    ),
];

impl Reason {
    fn name(&self) -> &'static str {
        let number = match self {
            Reason::NoPolicy => 0,
            Reason::NoModel => 1,
            Reason::NoCandidate => 2,
            Reason::Paused => 3,
            Reason::Timeout(_) => 4,
            Reason::Overload => 5,
            Reason::Failed { .. } => 6,
            Reason::Unsure => 7,
            Reason::Busy => 8,
            Reason::RequestOpen => 9,
        };
        REASONS[number].0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())?;
        match self {
            Reason::Timeout(stage) => out.write_str(stage.name()),
            Reason::Failed { sqlstate, .. } => out.write_str(sqlstate),
            Reason::NoPolicy
            | Reason::NoModel
            | Reason::NoCandidate
            | Reason::Busy
            | Reason::Paused
            | Reason::Unsure
            | Reason::Overload
            | Reason::RequestOpen => Ok(()),
        }
    }
}
