//! The settings `pg_decide.*`.

use std::ffi::CString;
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static RULE_ROLE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static SEED: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_CONTEXT_BYTES: GucSetting<i32> = GucSetting::<i32>::new(65_536);
static ERASING: GucSetting<bool> = GucSetting::<bool>::new(false);
static PARTITIONS_AHEAD: GucSetting<i32> = GucSetting::<i32>::new(7);
static EVENT_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(0);
static TRACE_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(0);
static QUARANTINE_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30);
static TOMBSTONE_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(400);
static UNKNOWN_USERS: GucSetting<bool> = GucSetting::<bool>::new(false);
static REQUIRE_DECISION: GucSetting<bool> = GucSetting::<bool>::new(false);
static TRACK_LOCK_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static SNAPSHOT_MAX_AGE: GucSetting<i32> = GucSetting::<i32>::new(3_600);
static CAUTIOUS_CANDIDATES: GucSetting<f64> = GucSetting::<f64>::new(0.5);
static CAUTIOUS_EXPLORATION: GucSetting<f64> = GucSetting::<f64>::new(0.25);
static CAUTIOUS_CAPS: GucSetting<f64> = GucSetting::<f64>::new(0.8);
static PUBLISH_WARNINGS: GucSetting<bool> = GucSetting::<bool>::new(true);
static PRICE_CPU_HOUR: GucSetting<f64> = GucSetting::<f64>::new(0.0);
static PRICE_WRITTEN_GB: GucSetting<f64> = GucSetting::<f64>::new(0.0);
static ENFORCE_LATENCY_BUDGET: GucSetting<bool> = GucSetting::<bool>::new(true);
static BREAKER_FAILURES: GucSetting<i32> = GucSetting::<i32>::new(5);
static BREAKER_SESSIONS: GucSetting<i32> = GucSetting::<i32>::new(2);
static BREAKER_PAUSE: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static MAX_CONCURRENT_DECISIONS: GucSetting<i32> = GucSetting::<i32>::new(0);
static DATABASES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static KEY_COMMAND: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static KEY_COMMAND_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static ATTRIBUTION_LAG: GucSetting<i32> = GucSetting::<i32>::new(60);
static WORKER_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(5);

/// Defines them all and reserves the prefix. Once per process, from `_PG_init`.
pub fn init() {
    GucRegistry::define_string_guc(
        c"pg_decide.rule_role",
        c"Role with whose rights eligibility rules run.",
        c"It must not be a superuser. Without it no rule can be published, and actions with a rule are blocked.",
        &RULE_ROLE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_decide.seed",
        c"Seed of every decision; 0 draws a new one for each.",
        c"For tests and demonstrations: with a fixed seed the same request gets the same answer.",
        &SEED,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_decide.max_context_bytes",
        c"Largest context that decide() accepts, and largest event that track() accepts.",
        c"",
        &MAX_CONTEXT_BYTES,
        64,
        16_777_216,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_int_guc(
        c"pg_decide.partitions_ahead",
        c"Days for which partitions are made ahead.",
        c"",
        &PARTITIONS_AHEAD,
        1,
        366,
        GucContext::Suset,
        GucFlags::default(),
    );
    for (name, what, setting) in [
        (
            c"pg_decide.event_retention",
            c"Days for which events are kept; 0 keeps them for ever.",
            &EVENT_RETENTION,
        ),
        (
            c"pg_decide.trace_retention",
            c"Days for which traces and their outcomes are kept; 0 keeps them for ever.",
            &TRACE_RETENTION,
        ),
        (
            c"pg_decide.quarantine_retention",
            c"Days for which invalid events are kept; 0 keeps them for ever.",
            &QUARANTINE_RETENTION,
        ),
        (
            c"pg_decide.tombstone_retention",
            c"Days for which events of the past of an erased person are recognized and refused; 0 is for ever.",
            &TOMBSTONE_RETENTION,
        ),
    ] {
        let (most, flags) = (36_500, GucFlags::default());
        GucRegistry::define_int_guc(name, what, c"", setting, 0, most, GucContext::Suset, flags);
    }
    GucRegistry::define_int_guc(
        c"pg_decide.attribution_lag",
        c"How long after an event its outcome is credited at the earliest.",
        c"No decision may take longer than this from its start to its trace.",
        &ATTRIBUTION_LAG,
        0,
        3_600,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pg_decide.snapshot_max_age",
        c"Age beyond which decisions no longer use a snapshot of the features of actions and surfaces; 0 is no limit.",
        c"",
        &SNAPSHOT_MAX_AGE,
        0,
        31_536_000,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    for (name, what, setting) in [
        (
            c"pg_decide.cautious_candidates",
            c"Share of the candidates, the best ones, that the mode cautious keeps.",
            &CAUTIOUS_CANDIDATES,
        ),
        (
            c"pg_decide.cautious_exploration",
            c"Factor of exploration (epsilon, temperature, min_probability and the like) in the mode cautious.",
            &CAUTIOUS_EXPLORATION,
        ),
        (
            c"pg_decide.cautious_caps",
            c"Factor of the limits of caps in the mode cautious.",
            &CAUTIOUS_CAPS,
        ),
    ] {
        let flags = GucFlags::default();
        GucRegistry::define_float_guc(name, what, c"", setting, 0.0, 1.0, GucContext::Suset, flags);
    }
    GucRegistry::define_string_guc(
        c"pg_decide.databases",
        c"Names of the databases in which background workers run, separated by commas.",
        c"Has an effect only where the library is in shared_preload_libraries.",
        &DATABASES,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_decide.worker_interval",
        c"Time between two visits of a background worker in a database.",
        c"",
        &WORKER_INTERVAL,
        1,
        3_600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_bool_guc(
        c"pg_decide.erasing",
        c"Allows this transaction to delete traces, for retention and erasure.",
        c"Otherwise traces refuse DELETE. Use SET LOCAL.",
        &ERASING,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_decide.unknown_users",
        c"Allows decisions with a null user_id, for unknown users; without it they are an error.",
        c"Actions with a cap per user are blocked for them.",
        &UNKNOWN_USERS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_decide.require_decision",
        c"Quarantines an event that names a decision if there is no such decision of its user.",
        c"It costs each event that names a decision a look-up in the traces.",
        &REQUIRE_DECISION,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_decide.track_lock_timeout",
        c"Time for which track() waits for a lock that another transaction has; 0 leaves it to lock_timeout.",
        c"Each lock counts by itself, and the shorter of this and lock_timeout.",
        &TRACK_LOCK_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    envelope();
    keys();
    crate::pg::session::reserve_settings(c"pg_decide");
}

/// Settings of keys outside of the database.
fn keys() {
    for (name, what, setting) in [
        (
            c"pg_decide.key_file",
            c"File that has the keys of the pseudonyms, one a line, the newest first.",
            &KEY_FILE,
        ),
        (
            c"pg_decide.key_command",
            c"Command that prints the keys of the pseudonyms, one a line, the newest first; it is used in the place of the file.",
            &KEY_COMMAND,
        ),
    ] {
        GucRegistry::define_string_guc(
            name,
            what,
            c"Where one of them is set, no key is stored in the database.",
            setting,
            GucContext::Sighup,
            GucFlags::SUPERUSER_ONLY,
        );
    }
    GucRegistry::define_int_guc(
        c"pg_decide.key_command_timeout",
        c"Time after which the command that prints the keys of the pseudonyms is killed.",
        c"",
        &KEY_COMMAND_TIMEOUT,
        100,
        60_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
}

/// Settings of latency budgets, breakers and concurrency.
fn envelope() {
    GucRegistry::define_bool_guc(
        c"pg_decide.publish_warnings",
        c"Has publish() tell, by a NOTICE, what has no effect.",
        c"decide.policy_warning has it in any case.",
        &PUBLISH_WARNINGS,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"pg_decide.price_cpu_hour",
        c"Price of an hour of one of the server's processors, for the view decide.slo.",
        c"In any currency; decide.slo.cost_per_1000 is in the same.",
        &PRICE_CPU_HOUR,
        0.0,
        1e9,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"pg_decide.price_written_gb",
        c"Price of a gigabyte of traces that is written and kept, for the view decide.slo.",
        c"In the same currency.",
        &PRICE_WRITTEN_GB,
        0.0,
        1e9,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_decide.enforce_latency_budget",
        c"Cuts a decision short when the latency budget of its surface is used up.",
        c"Off for tests and debuggers.",
        &ENFORCE_LATENCY_BUDGET,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_decide.breaker_failures",
        c"Failures of a rule in a row after which a session leaves it out and suspects it; 0: never.",
        c"Each session counts its own.",
        &BREAKER_FAILURES,
        0,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_decide.breaker_sessions",
        c"Sessions that must suspect a rule before all sessions leave it out.",
        c"A session that suspects a rule leaves it out by itself.",
        &BREAKER_SESSIONS,
        1,
        1_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_decide.breaker_pause",
        c"Pause after which a rule that is left out is tried again; it doubles with each failure.",
        c"",
        &BREAKER_PAUSE,
        1,
        300_000,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"pg_decide.max_concurrent_decisions",
        c"Decisions that may be made at the same time in a database; beyond, the fallback answers. 0 is no limit.",
        c"Has an effect only where the library is in shared_preload_libraries.",
        &MAX_CONCURRENT_DECISIONS,
        0,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// The file that has the keys of the pseudonyms.
pub fn key_file() -> Option<String> {
    text(&KEY_FILE)
}

/// The command that prints them.
pub fn key_command() -> Option<String> {
    text(&KEY_COMMAND)
}

fn text(setting: &GucSetting<Option<CString>>) -> Option<String> {
    let text = setting.get()?.into_string().ok()?;
    (!text.trim().is_empty()).then_some(text)
}

pub fn key_command_timeout() -> Duration {
    Duration::from_millis(KEY_COMMAND_TIMEOUT.get() as u64)
}

pub fn enforce_latency_budget() -> bool {
    ENFORCE_LATENCY_BUDGET.get()
}

pub fn breaker_failures() -> i32 {
    BREAKER_FAILURES.get()
}

pub fn breaker_sessions() -> i32 {
    BREAKER_SESSIONS.get()
}

/// In microseconds.
pub fn breaker_pause() -> i64 {
    i64::from(BREAKER_PAUSE.get()) * 1_000
}

/// How many decisions may be made at the same time; None is no limit.
pub fn max_concurrent_decisions() -> Option<u32> {
    match MAX_CONCURRENT_DECISIONS.get() {
        0 => None,
        most => Some(most as u32),
    }
}

pub fn rule_role() -> Option<CString> {
    RULE_ROLE.get().filter(|name| !name.is_empty())
}

/// The fixed seed, if there is one.
pub fn seed() -> Option<u64> {
    match SEED.get() {
        0 => None,
        seed => Some(seed as u64),
    }
}

/// Whether decisions may have a null user_id.
pub fn unknown_users() -> bool {
    UNKNOWN_USERS.get()
}

/// Whether the decision that an event names must exist and be its user's.
pub fn require_decision() -> bool {
    REQUIRE_DECISION.get()
}

/// Longest wait of an event for a lock, in milliseconds; 0 is no bound.
pub fn track_lock_timeout() -> i32 {
    TRACK_LOCK_TIMEOUT.get()
}

pub fn max_context_bytes() -> usize {
    MAX_CONTEXT_BYTES.get() as usize
}

pub fn partitions_ahead() -> i32 {
    PARTITIONS_AHEAD.get()
}

/// Days for which something is kept; None is for ever.
pub fn event_retention() -> Option<i64> {
    days(&EVENT_RETENTION)
}

pub fn trace_retention() -> Option<i64> {
    days(&TRACE_RETENTION)
}

pub fn quarantine_retention() -> Option<i64> {
    days(&QUARANTINE_RETENTION)
}

pub fn tombstone_retention() -> Option<i64> {
    days(&TOMBSTONE_RETENTION)
}

/// How long after an event its outcome is credited at the earliest, in microseconds.
pub fn attribution_lag() -> i64 {
    i64::from(ATTRIBUTION_LAG.get()) * 1_000_000
}

fn days(setting: &GucSetting<i32>) -> Option<i64> {
    match setting.get() {
        0 => None,
        days => Some(days.into()),
    }
}

/// Oldest age of a feature snapshot that decisions use, in microseconds; None is no limit.
pub fn snapshot_max_age() -> Option<i64> {
    match SNAPSHOT_MAX_AGE.get() {
        0 => None,
        seconds => Some(i64::from(seconds) * 1_000_000),
    }
}

/// The share of candidates that the mode cautious keeps.
pub fn cautious_candidates() -> f64 {
    CAUTIOUS_CANDIDATES.get()
}

/// The factor of exploration in the mode cautious.
pub fn cautious_exploration() -> f64 {
    CAUTIOUS_EXPLORATION.get()
}

/// The factor of the limits of caps in the mode cautious.
pub fn cautious_caps() -> f64 {
    CAUTIOUS_CAPS.get()
}

/// Whether a publish tells what has no effect.
pub fn publish_warnings() -> bool {
    PUBLISH_WARNINGS.get()
}

/// The databases in which workers run, without duplicates.
pub fn databases() -> Vec<String> {
    let text = DATABASES.get().and_then(|text| text.into_string().ok());
    let mut names: Vec<String> = text
        .iter()
        .flat_map(|text| text.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort();
    names.dedup();
    names
}

pub fn worker_interval() -> Duration {
    Duration::from_secs(WORKER_INTERVAL.get() as u64)
}
