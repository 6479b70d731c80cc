//! Settings by which the server plans and runs statements, without what one session has made of them.

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

/// Those beside the groups that are about planning.
const OTHERS: [&CStr; 9] = [
    c"work_mem",
    c"hash_mem_multiplier",
    c"gin_fuzzy_search_limit",
    c"max_parallel_workers",
    c"max_parallel_workers_per_gather",
    c"parallel_leader_participation",
    c"debug_parallel_query",
    c"force_parallel_mode",
    c"transform_null_equals",
];

type Setting = *mut pg_sys::config_generic;

thread_local! {
    /// All that any role may set for itself. They live as long as the process.
    static SETTINGS: Vec<Setting> = settings();
}

fn settings() -> Vec<Setting> {
    use pg_sys::config_group::{
        QUERY_TUNING_COST, QUERY_TUNING_GEQO, QUERY_TUNING_METHOD, QUERY_TUNING_OTHER,
    };
    settings_that(|setting, name| {
        setting.context == pg_sys::GucContext::PGC_USERSET
            && (matches!(
                setting.group,
                QUERY_TUNING_METHOD | QUERY_TUNING_COST | QUERY_TUNING_GEQO | QUERY_TUNING_OTHER
            ) || OTHERS.contains(&name))
    })
}

/// The settings of the server that are such, given with their names. They live as long as the process.
pub(super) fn settings_that(
    are: impl Fn(&pg_sys::config_generic, &CStr) -> bool,
) -> Vec<*mut pg_sys::config_generic> {
    // SAFETY: an array of the server's own, of the length that it says; names are C strings.
    unsafe {
        #[cfg(feature = "pg15")]
        let (all, count) = (pg_sys::get_guc_variables(), pg_sys::GetNumConfigOptions());
        #[cfg(not(feature = "pg15"))]
        let (all, count) = {
            let mut count = 0;
            (pg_sys::get_guc_variables(&mut count), count)
        };
        let all = std::slice::from_raw_parts(all, count as usize);
        let such = |setting: &&Setting| {
            let setting = &***setting;
            are(setting, CStr::from_ptr(setting.name))
        };
        all.iter().filter(such).copied().collect()
    }
}

/// Runs `work` with what the server's configuration says of planning, or ALTER DATABASE … SET or ALTER ROLE ALL SET,
/// whatever a role, a connection or a session has set. Where a connection began with a value of its own, the
/// server's is not known to it, and the one that PostgreSQL comes with serves. Costs a look at each setting where
/// nothing was changed. An error undoes it with its subtransaction.
pub fn with_server_planner<T>(work: impl FnOnce() -> T) -> T {
    let is_own = |source| source > pg_sys::GucSource::PGC_S_DATABASE;
    // SAFETY: settings live as long as the process. A nest level is opened and closed as around a function with a
    // SET clause.
    unsafe {
        let changed: Vec<Setting> = SETTINGS.with(|settings| {
            let changed = settings
                .iter()
                .filter(|&&setting| is_own((*setting).source));
            changed.copied().collect()
        });
        if changed.is_empty() {
            return work();
        }
        let level = pg_sys::NewGUCNestLevel();
        for setting in changed {
            // No value at all is the one that the session began with.
            let value = match is_own((*setting).reset_source) {
                true => built_in(setting),
                false => None,
            };
            pg_sys::set_config_option(
                (*setting).name,
                value
                    .as_ref()
                    .map_or(std::ptr::null(), |value| value.as_ptr()),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        let result = work();
        pg_sys::AtEOXact_GUC(true, level);
        result
    }
}

/// The value that PostgreSQL comes with.
///
/// # Safety
/// A setting of the server.
unsafe fn built_in(setting: Setting) -> Option<CString> {
    use pg_sys::config_type::{PGC_BOOL, PGC_ENUM, PGC_INT, PGC_REAL, PGC_STRING};
    // SAFETY: what a setting is says its type; texts are C strings or null.
    unsafe {
        let text = |text: *const c_char| (!text.is_null()).then(|| CStr::from_ptr(text).to_owned());
        match (*setting).vartype {
            PGC_BOOL => {
                let on = (*setting.cast::<pg_sys::config_bool>()).boot_val;
                Some(if on { c"on" } else { c"off" }.to_owned())
            }
            PGC_INT => {
                let number = (*setting.cast::<pg_sys::config_int>()).boot_val;
                CString::new(number.to_string()).ok()
            }
            PGC_REAL => {
                let number = (*setting.cast::<pg_sys::config_real>()).boot_val;
                CString::new(number.to_string()).ok()
            }
            PGC_STRING => text((*setting.cast::<pg_sys::config_string>()).boot_val),
            PGC_ENUM => {
                let setting = setting.cast::<pg_sys::config_enum>();
                text(pg_sys::config_enum_lookup_by_value(
                    setting,
                    (*setting).boot_val,
                ))
            }
            _ => None,
        }
    }
}
