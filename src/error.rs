//! Every error of ours: its SQLSTATE, message, DETAIL and HINT.

mod shown;

use std::borrow::Cow;
use std::fmt;

use pgrx::PgSqlErrorCode::{self, *};
use pgrx::pg_sys::panic::ErrorReport;

pub use shown::{Fault, printable};
use shown::{LONGEST_MESSAGE, cut, list};

#[derive(Debug, Clone)]
pub enum Error {
    /// An argument is null that must not be.
    Null(&'static str),
    EmptyUser,
    /// The array of surfaces has none.
    NoSurfaces,
    /// A page has the surface twice.
    RepeatedSurface(String),
    /// More than one call takes.
    TooMany {
        what: &'static str,
        number: usize,
        most: usize,
    },
    /// What is wrong with the form of a request of a batch.
    BadRequest(&'static str),
    /// Of a request of a batch, by its number from 1.
    InRequest(usize, Box<Error>),
    LongUser(usize),
    UnknownSurface(String),
    ContextNotObject,
    /// An array has more elements than any trace has.
    LongArray {
        length: usize,
        most: usize,
    },
    ContextTooLarge {
        bytes: usize,
        most: usize,
    },
    NothingPublished,
    /// A key of the pseudonyms that is outside of the database cannot be had, and why.
    NoKey(String),
    /// A model has no such version.
    UnknownVersion(String, i32),
    Faults(Vec<Fault>),
    UnknownBundle(i64),
    UnknownDecision(String),
    UnknownFeature(String),
    UnknownSnapshot(i64),
    UnknownQuarantined(String),
    UnknownMode(String),
    UnknownKind(String),
    /// An object that an operator has named does not exist.
    Unknown {
        kind: &'static str,
        name: String,
        detail: &'static str,
        hint: &'static str,
    },
    NotKilled {
        kind: &'static str,
        name: String,
    },
    /// No legal hold is to be lifted.
    NotHeld,
    /// An operator gives no reason.
    NoReason,
    /// A mode or kill would end before it begins.
    Expired,
    PatchNotObject,
    /// An invalid event: its reasons, and its number among several, from 1.
    BadEvent(Vec<String>, Option<usize>),
    UnknownJob {
        job: String,
        jobs: String,
    },
    /// Another session is doing the job.
    JobTaken(&'static str),
    /// A lock of another transaction was waited for too long.
    WaitedTooLong(LongWait),
    ReadOnly(&'static str),
    /// A verb that was called within a security-restricted operation.
    Restricted(&'static str),
    Nested,
    /// Events as one text, which is the literal of an array.
    ArrayLiteral,
    /// An array of events of more bytes than that.
    LargeArray(usize),
    /// Another session has changed the policy, a mode or a switch (this says which) since the transaction began.
    Overtaken(&'static str),
    Damaged(String),
    Training(String, &'static str),
    Import(String, &'static str),
    Simulation(String, &'static str),
    /// An aggregate cannot use an argument: what is wrong with it.
    Evaluation(String, &'static str),
    /// The result of an aggregate is beyond the range of numbers.
    OutOfRange,
    /// What is asked for cannot be done; and what to do.
    Refused(String, &'static str),
}

/// A wait for a lock that has lasted too long.
#[derive(Debug, Clone)]
pub struct LongWait {
    /// Who has waited.
    pub who: Cow<'static, str>,
    /// What for.
    pub what: Cow<'static, str>,
    /// Which transactions have locked it.
    pub by: &'static str,
    /// The setting that says how long it may be waited for, if one does.
    pub setting: Option<&'static str>,
    pub milliseconds: i32,
    /// What to do once it is free.
    pub then: &'static str,
}

impl LongWait {
    fn detail(&self) -> String {
        let (by, milliseconds) = (self.by, self.milliseconds);
        match self.setting {
            Some(setting) => format!("{by} {setting} is {milliseconds} ms."),
            None => format!("{by} It is waited for {milliseconds} ms at most."),
        }
    }

    fn hint(&self) -> String {
        format!(
            "Look in pg_stat_activity for sessions that are idle in transaction; idle_in_transaction_session_timeout ends them. {}",
            self.then
        )
    }
}

impl Error {
    /// SQLSTATE, message, detail and hint.
    fn parts(&self) -> (PgSqlErrorCode, String, Option<String>, Option<String>) {
        let hint = |text: &str| Some(text.to_owned());
        match self {
            Error::Null(what) => (
                ERRCODE_NULL_VALUE_NOT_ALLOWED,
                format!("{what} must not be null"),
                None,
                None,
            ),
            Error::EmptyUser => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                "user_id must not be empty".into(),
                None,
                hint(
                    "Pass the identifier by which the application knows the user; for an unknown visitor, one of the session.",
                ),
            ),
            Error::NoSurfaces => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                "surfaces must not be empty".into(),
                None,
                hint("Name the surfaces of the page, the most prominent first."),
            ),
            Error::RepeatedSurface(surface) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("surface \"{surface}\" is named twice"),
                Some("A page has each surface once.".into()),
                hint("For more actions on a surface, give it more slots in decide.surface."),
            ),
            Error::TooMany { what, number, most } => (
                ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("{number} {what} are too many for one call"),
                Some(format!("One call takes at most {most} {what}.")),
                hint("Make several calls."),
            ),
            Error::BadRequest(fault) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("it {fault}"),
                None,
                hint("A request is an object such as '{\"user_id\": \"ann\", \"surface\": \"message\", \"context\": {}}'."),
            ),
            Error::InRequest(number, error) => {
                let (code, message, detail, hint) = error.parts();
                (code, format!("request {number}: {message}"), detail, hint)
            }
            Error::LongUser(bytes) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("user_id is too long: {bytes} bytes"),
                Some("A user_id has at most 1024 bytes.".into()),
                None,
            ),
            Error::UnknownSurface(surface) => (
                ERRCODE_UNDEFINED_OBJECT,
                format!("surface \"{surface}\" does not exist"),
                Some("The bundle in force has no surface of that name.".into()),
                match surface.starts_with(['{', '(']) {
                    true => hint("For a page of several surfaces cast the argument to text[]."),
                    false => hint("Insert it into decide.surface, then SELECT decide.publish('…')."),
                },
            ),
            Error::ContextNotObject => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                "context must be a JSON object".into(),
                None,
                hint("Pass named fields, such as '{\"device\": \"mobile\"}', or nothing."),
            ),
            Error::LongArray { length, most } => (
                ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("the array has {length} elements"),
                Some(format!("At most {most} elements are allowed; no trace has more.")),
                None,
            ),
            Error::ContextTooLarge { bytes, most } => (
                ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("context is too large: {bytes} bytes"),
                Some(format!("pg_decide.max_context_bytes is {most}.")),
                hint("Pass only the fields that policies use, or raise the setting."),
            ),
            Error::NothingPublished => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "no policy is in force".into(),
                None,
                hint(
                    "Fill decide.surface, decide.action and decide.policy, then SELECT decide.publish('first').",
                ),
            ),
            Error::NoKey(why) => (
                ERRCODE_CONFIG_FILE_ERROR,
                "the key of the pseudonyms cannot be had".into(),
                Some(why.clone()),
                hint(
                    "Without it nobody is known. Have pg_decide.key_file or pg_decide.key_command give all keys that decide.pseudonym_key lists as outside, then reload the server.",
                ),
            ),
            Error::UnknownVersion(model, version) => (
                ERRCODE_UNDEFINED_OBJECT,
                format!("model \"{model}\" has no version {version}"),
                None,
                hint("decide.model_version lists them."),
            ),
            Error::Faults(faults) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                match faults.len() {
                    1 => "the policy has a fault".into(),
                    n => format!("the policy has {n} faults"),
                },
                Some(list(faults)),
                hint("Correct these rows and publish again; what is in force has not changed."),
            ),
            Error::UnknownBundle(bundle) => (
                ERRCODE_UNDEFINED_OBJECT,
                format!("bundle {bundle} does not exist"),
                None,
                hint("decide.bundle_history lists them."),
            ),
            Error::UnknownDecision(id) => (
                ERRCODE_NO_DATA_FOUND,
                format!("decision {id} does not exist"),
                Some("It was never made, was rolled back, or its trace has expired.".into()),
                None,
            ),
            Error::UnknownFeature(feature) => (
                ERRCODE_UNDEFINED_OBJECT,
                format!("feature \"{feature}\" does not exist"),
                Some("decide.feature has no row of that name.".into()),
                None,
            ),
            Error::UnknownSnapshot(bundle) => (
                ERRCODE_NO_DATA_FOUND,
                format!(
                    "the snapshot of features that bundle {bundle} was used with does not exist"
                ),
                Some("It has expired.".into()),
                None,
            ),
            Error::UnknownQuarantined(id) => (
                ERRCODE_NO_DATA_FOUND,
                format!("there is no event {id} in quarantine"),
                Some("It was released, has expired, or was never there.".into()),
                None,
            ),
            Error::UnknownMode(mode) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("mode \"{mode}\" does not exist"),
                None,
                hint("Modes are: normal, cautious, paused."),
            ),
            Error::UnknownKind(kind) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("there is no kill switch of the kind \"{kind}\""),
                None,
                hint("Kinds are: campaign, action, feature, coefficient."),
            ),
            Error::Unknown {
                kind,
                name,
                detail,
                hint: todo,
            } => (
                ERRCODE_UNDEFINED_OBJECT,
                format!("{kind} \"{name}\" does not exist"),
                hint(detail),
                hint(todo),
            ),
            Error::NotKilled { kind, name } => (
                ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{kind} \"{name}\" is not killed"),
                Some("It never was, was revived, or its kill has expired.".into()),
                hint("decide.switch_in_force lists what is killed."),
            ),
            Error::NotHeld => (
                ERRCODE_UNDEFINED_OBJECT,
                "the person is under no legal hold".into(),
                None,
                hint("decide.legal_hold lists them, by their pseudonyms."),
            ),
            Error::NoReason => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                "why must not be empty".into(),
                None,
                hint("Say in a few words why this is done: whoever finds it later will ask."),
            ),
            Error::Expired => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                "until has passed already".into(),
                Some("It would never be in force.".into()),
                hint("Pass a moment in the future, or null to keep it in force until it is changed."),
            ),
            Error::PatchNotObject => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                "patch must be a JSON object".into(),
                None,
                hint("Pass the fields to change, such as '{\"value\": 7}', or nothing."),
            ),
            Error::BadEvent(reasons, number) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                match number {
                    None => "the event does not conform to its contract".into(),
                    Some(number) => format!("event {number} does not conform to its contract"),
                },
                Some(reasons.join("\n")),
                hint(
                    "decide.event_type says what an event must look like. Without strict it is quarantined.",
                ),
            ),
            Error::UnknownJob { job, jobs } => (
                ERRCODE_UNDEFINED_OBJECT,
                format!("job \"{job}\" does not exist"),
                None,
                Some(format!("Jobs are: {jobs}.")),
            ),
            Error::JobTaken(job) => (
                ERRCODE_LOCK_NOT_AVAILABLE,
                format!("job \"{job}\" is being done by another session"),
                Some("Its row in decide.job is locked until that transaction ends.".into()),
                hint("Try again, or look in pg_locks for the session that has locked it."),
            ),
            Error::WaitedTooLong(wait) => (
                ERRCODE_LOCK_NOT_AVAILABLE,
                format!("{} has waited too long for {}", wait.who, wait.what),
                Some(wait.detail()),
                Some(wait.hint()),
            ),
            Error::ReadOnly(verb) => (
                ERRCODE_READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {verb}() in a read-only transaction"),
                Some("Its answer and the rows that it writes belong to one transaction.".into()),
                hint(match *verb {
                    "decide" | "decide_batch" => "On a standby or in a READ ONLY transaction, ask decide.explain().",
                    "track" | "release_quarantine" | "release_all" => {
                        "Send events to the primary server."
                    }
                    _ => "Call it on the primary server, in a transaction that may write.",
                }),
            ),
            Error::Restricted(verb) => (
                ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("cannot execute {verb}() within a security-restricted operation"),
                Some(
                    "It was called by an index expression, a materialized view or a rule, which may run with the rights of another role than the one that wrote it."
                        .into(),
                ),
                hint("Call it by a statement of its own."),
            ),
            Error::Nested => (
                ERRCODE_OBJECT_IN_USE,
                "decide() cannot be called from within a decision".into(),
                None,
                hint("A rule must not call decide()."),
            ),
            Error::ArrayLiteral => (
                ERRCODE_INVALID_TEXT_REPRESENTATION,
                "the text is an array of events, and was given as one event".into(),
                Some("No event of it was taken in.".into()),
                hint("Cast the argument to jsonb[], or send a JSON array."),
            ),
            Error::LargeArray(most) => (
                ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("the array of events is larger than {} MB", most >> 20),
                Some("No event of it was taken in.".into()),
                hint("Send fewer events at a time."),
            ),
            Error::Overtaken(done) => (
                ERRCODE_T_R_SERIALIZATION_FAILURE,
                format!("another session has {done} since this transaction began"),
                None,
                hint("Retry the transaction."),
            ),
            Error::Damaged(what) => (
                ERRCODE_DATA_CORRUPTED,
                format!("the published policy cannot be read: {what}"),
                None,
                hint("Publish again, or roll back to another bundle."),
            ),
            Error::Training(what, todo)
            | Error::Import(what, todo)
            | Error::Simulation(what, todo)
            | Error::Evaluation(what, todo)
            | Error::Refused(what, todo) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                what.clone(),
                None,
                hint(todo),
            ),
            Error::OutOfRange => (
                ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                "the estimate is out of the range of double precision".into(),
                Some("A logged probability is next to 0, or rewards are too large.".into()),
                hint("Look at min(logged), and at the largest and the smallest reward."),
            ),
        }
    }

    /// Adds the number of the event among several, from 1.
    pub fn of_event(self, number: usize) -> Error {
        match self {
            Error::BadEvent(reasons, _) => Error::BadEvent(reasons, Some(number)),
            other => other,
        }
    }

    /// Says which request of a batch it is of, from 1.
    pub fn of_request(self, number: usize) -> Error {
        Error::InRequest(number, Box::new(self))
    }

    /// Raises it as a Postgres error.
    pub fn raise(&self) -> ! {
        let (code, message, detail, hint) = self.parts();
        let message = cut(&message, LONGEST_MESSAGE).into_owned();
        let mut report = ErrorReport::new(code, message, "pg_decide");
        if let Some(detail) = detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = hint {
            report = report.set_hint(hint);
        }
        report.report(pgrx::PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.parts().1)
    }
}

/// Answers the value, or raises the error.
pub trait OrRaise<T> {
    fn or_raise(self) -> T;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self) -> T {
        self.unwrap_or_else(|error| error.raise())
    }
}
