//! Why slots are left to the fallback.

use std::fmt;

use super::stage::Stage;
use crate::pg::attempt::{Caught, sqlstate};

/// Why the policy could not choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    NoPolicy,
    NoModel,
    NoCandidate,
    Paused,
    /// The latency budget was used up, by that stage.
    Timeout(Stage),
    /// As many decisions as may be were being made.
    Overload,
    /// A stage raised an error.
    Failed {
        sqlstate: String,
        error: String,
    },
}

impl Reason {
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

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoPolicy => out.write_str("no_policy"),
            Reason::NoModel => out.write_str("no_model"),
            Reason::NoCandidate => out.write_str("no_candidate"),
            Reason::Paused => out.write_str("paused"),
            Reason::Timeout(stage) => write!(out, "timeout: {}", stage.name()),
            Reason::Overload => out.write_str("overload"),
            Reason::Failed { sqlstate, .. } => write!(out, "failed: {sqlstate}"),
        }
    }
}
