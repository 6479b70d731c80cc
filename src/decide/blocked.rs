//! Why an action is no candidate.

/// An action of the surface that cannot be had, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockedAction {
    pub action: usize,
    pub why: Blocked,
}

/// What is said of a reason.
pub struct Description {
    pub code: i32,
    /// As `decide.decision` names it.
    pub name: &'static str,
    /// The step at which the action drops out, and why, as `decide.explain` says it.
    pub step: &'static str,
    pub text: &'static str,
}

/// Codes from this one on are numbers of caps.
pub const FIRST_CAP: i32 = 100;

/// Declares the reasons, each with all that is said of it.
macro_rules! reasons {
    ($($(#[$about:meta])* $reason:ident = $code:literal, $name:literal, $step:literal, $text:literal;)*) => {
        /// Why an action is out, as traces number it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Blocked {
            $($(#[$about])* $reason,)*
            /// The cap of that number has no capacity for it.
            Cap(i32),
        }

        /// Every reason; that of the caps stands for all of them.
        pub const REASONS: &[Description] = &[
            $(Description { code: $code, name: $name, step: $step, text: $text },)*
            CAP,
        ];

        impl Blocked {
            /// As traces number it.
            pub fn code(self) -> i32 {
                match self {
                    $(Blocked::$reason => $code,)*
                    Blocked::Cap(number) => FIRST_CAP + number,
                }
            }
        }
    };
}

const CAP: Description = Description {
    code: FIRST_CAP,
    name: "cap: ",
    step: "cap",
    text: "a cap has no room for it",
};

reasons! {
    NotStarted = 1, "not_started", "campaign", "the campaign has not started";
    Ended = 2, "ended", "campaign", "the campaign has ended";
    Rule = 3, "rule", "rule", "eligible_when does not hold";
    RuleFailed = 4, "rule_failed", "rule", "eligible_when failed";
    /// A cap per user binds it, and the user is not known.
    UnknownUser = 5, "unknown_user", "cap", "it is not known who the user is";
    /// Other transactions hold the counters that it needs.
    Busy = 6, "busy", "cap", "its counters are in use by other transactions";
    /// Left out so that there are fewer candidates.
    Narrowed = 7, "narrowed", "narrow", "fewer candidates are considered now";
    /// Its rule is not asked for now, since it failed or was slow too often.
    Breaker = 8, "breaker", "rule", "eligible_when failed or was slow too often and is not asked for now";
    /// Switched off.
    Killed = 9, "killed", "switch", "it is switched off";
    /// The user does not consent to its purpose.
    Consent = 12, "consent", "consent", "the user does not consent to its purpose";
    /// The variant of an experiment that the user has takes it out, or that of others puts it in.
    Variant = 13, "variant", "experiment", "it is not in the user's variant of an experiment";
    /// It is not shown in the region of the user.
    Region = 14, "region", "region", "it is not shown in the region of the user";
    /// The policy wants nothing twice on a page.
    OnPage = 10, "on_page", "page", "an earlier surface of the page shows it";
    /// The lower bound of its score is less than the policy asks for.
    Unsure = 11, "unsure", "unsure", "it is not sure enough that its score is what the policy asks for";
}

impl Blocked {
    /// The step at which the action drops out, and why, as people read them.
    pub fn describe(self) -> (&'static str, &'static str) {
        described(self.code()).map_or((CAP.step, CAP.text), |reason| (reason.step, reason.text))
    }
}

/// What a number in a trace says; None if there is no such number.
pub fn described(code: i32) -> Option<&'static Description> {
    let code = code.min(FIRST_CAP);
    REASONS.iter().find(|reason| reason.code == code)
}
