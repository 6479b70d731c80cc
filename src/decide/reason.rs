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

/// The name and the description of each reason. What follows a name that ends with `: ` is told by the decision.
pub const REASONS: [(&str, &str); 7] = [
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
            Reason::Failed(_) => 6,
        };
        REASONS[number].0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())?;
        match self {
            Reason::Timeout(stage) => out.write_str(stage),
            Reason::Failed(code) => out.write_str(code),
            _ => Ok(()),
        }
    }
}
