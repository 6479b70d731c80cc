//! Why an action is no candidate.

/// Why an action is out, as traces number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    NotStarted,
    Ended,
    Rule,
    RuleFailed,
    /// It bears a cap per user, and who the user is is not known.
    UnknownUser,
    /// Counters that it needs are held by other transactions.
    Busy,
    /// Left out so that there are fewer candidates.
    Narrowed,
    /// Its rule is not asked for now, since it failed or was slow too often.
    Breaker,
    /// Switched off.
    Killed,
    /// The cap of that slot has no room for it.
    Cap(i32),
}

/// Codes from this one on are slots of caps.
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
            Blocked::Cap(slot) => FIRST_CAP + slot,
        }
    }

    /// Back from the number in a trace.
    pub fn from_code(code: i32) -> Blocked {
        match code {
            1 => Blocked::NotStarted,
            2 => Blocked::Ended,
            3 => Blocked::Rule,
            5 => Blocked::UnknownUser,
            6 => Blocked::Busy,
            7 => Blocked::Narrowed,
            8 => Blocked::Breaker,
            9 => Blocked::Killed,
            FIRST_CAP.. => Blocked::Cap(code - FIRST_CAP),
            _ => Blocked::RuleFailed,
        }
    }

    /// The stage's step, and the reason, as people read them.
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
