//! Why slots are left to the fallback.

use std::fmt;

/// Why the policy could not choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    NoPolicy,
    NoModel,
    NoCandidate,
    Paused,
    /// The latency budget was used up, by that stage.
    Timeout(&'static str),
    /// As many decisions as may be were being made.
    Overload,
    Failed(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoPolicy => out.write_str("no_policy"),
            Reason::NoModel => out.write_str("no_model"),
            Reason::NoCandidate => out.write_str("no_candidate"),
            Reason::Paused => out.write_str("paused"),
            Reason::Timeout(stage) => write!(out, "timeout: {stage}"),
            Reason::Overload => out.write_str("overload"),
            Reason::Failed(code) => write!(out, "failed: {code}"),
        }
    }
}
