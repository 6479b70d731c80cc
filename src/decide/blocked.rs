//! Why an action is no candidate.

/// An action of the surface that cannot be had, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockedAction {
    pub action: usize,
    pub why: Blocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    NotStarted,
    Ended,
    Rule,
    RuleFailed,
    /// A cap per user binds it, and the user is not known.
    UnknownUser,
    /// Other transactions hold the counters that it needs.
    Busy,
    /// Left out so that there are fewer candidates.
    Narrowed,
    /// Its rule is not asked for now, since it failed or was slow too often.
    Breaker,
    /// Switched off.
    Killed,
    /// The cap of that number has no capacity for it.
    Cap(i32),
}

/// The codes of caps are their numbers added to this.
const FIRST_CAP: i32 = 100;

impl Blocked {
    /// As traces number it.
    pub fn code(self) -> i32 {
        match self {
            Blocked::NotStarted => 1,
            Blocked::Ended => 2,
            Blocked::Rule => 3,
            Blocked::RuleFailed => 4,
            Blocked::UnknownUser => 5,
            Blocked::Busy => 6,
            Blocked::Narrowed => 7,
            Blocked::Breaker => 8,
            Blocked::Killed => 9,
            Blocked::Cap(number) => FIRST_CAP + number,
        }
    }

    /// The step at which it dropped out, and the reason, as people read them.
    pub fn describe(self) -> (&'static str, &'static str) {
        match self {
            Blocked::NotStarted => ("campaign", "the campaign has not started"),
            Blocked::Ended => ("campaign", "the campaign has ended"),
            Blocked::Rule => ("rule", "eligible_when does not hold"),
            Blocked::RuleFailed => ("rule", "eligible_when failed"),
            Blocked::UnknownUser => ("cap", "it is not known who the user is"),
            Blocked::Busy => ("cap", "its counters are in use by other transactions"),
            Blocked::Narrowed => ("narrow", "fewer candidates are considered now"),
            Blocked::Breaker => (
                "rule",
                "eligible_when failed or was slow too often and is not asked for now",
            ),
            Blocked::Killed => ("switch", "it is switched off"),
            Blocked::Cap(_) => ("cap", "a cap has no room for it"),
        }
    }
}
