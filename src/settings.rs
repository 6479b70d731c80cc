//! The settings `pg_decide.*`.

use std::ffi::CString;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static RULE_ROLE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static SEED: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_CONTEXT_BYTES: GucSetting<i32> = GucSetting::<i32>::new(65_536);
static ERASING: GucSetting<bool> = GucSetting::<bool>::new(false);
static PARTITIONS_AHEAD: GucSetting<i32> = GucSetting::<i32>::new(7);

/// Defines them all and reserves the prefix. Once per process, from `_PG_init`.
pub fn init() {
    GucRegistry::define_string_guc(
        c"pg_decide.rule_role",
        c"Role with whose rights eligibility rules run.",
        c"Must not be a superuser. Without it no rule can be published, and actions with a rule are not eligible.",
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
    GucRegistry::define_bool_guc(
        c"pg_decide.erasing",
        c"Lets this transaction delete traces: for retention and erasure.",
        c"Traces refuse DELETE otherwise. Use SET LOCAL.",
        &ERASING,
        GucContext::Suset,
        GucFlags::default(),
    );
    crate::pg::session::reserve_settings(c"pg_decide");
}

pub fn rule_role() -> Option<String> {
    let name = RULE_ROLE.get()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}

/// The fixed seed, if there is one.
pub fn seed() -> Option<u64> {
    match SEED.get() {
        0 => None,
        seed => Some(seed as u64),
    }
}

pub fn max_context_bytes() -> usize {
    MAX_CONTEXT_BYTES.get() as usize
}

pub fn partitions_ahead() -> i32 {
    PARTITIONS_AHEAD.get()
}
