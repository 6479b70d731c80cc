//! Partitions that their owner has altered, so that their rows take the executor: the server's log says so.

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};

/// Of how many partitions a session counts rows; the oldest is forgotten first.
const COUNTED: usize = 16;

/// With which row a session says so: the log is not filled by sessions that decide once and end.
const SAID_WITH: u32 = 100;

thread_local! {
    /// Rows of partitions, by their oids.
    static ROWS: RefCell<Vec<(pg_sys::Oid, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Counts a row that takes the executor, and says why in the log, once for a session and partition.
pub(super) fn note(partition: pg_sys::Oid, fault: &str) {
    let rows = ROWS.with_borrow_mut(|all| {
        let known = all.iter().position(|&(other, _)| other == partition);
        let index = known.unwrap_or_else(|| {
            if all.len() >= COUNTED {
                all.remove(0);
            }
            all.push((partition, 0));
            all.len() - 1
        });
        let rows = &mut all[index].1;
        *rows = rows.saturating_add(1);
        *rows
    });
    if rows == SAID_WITH {
        say(partition, fault);
    }
}

fn say(partition: pg_sys::Oid, fault: &str) {
    // SAFETY: a look-up in the system cache, whose answer is copied; null where the partition is gone.
    let name = unsafe {
        let name = pg_sys::get_rel_name(partition);
        if name.is_null() {
            return;
        }
        CStr::from_ptr(name).to_string_lossy().into_owned()
    };
    let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    let message = "rows of a partition are added and found in the slower way";
    ErrorReport::new(code, message, "pg_decide")
        .set_detail(format!(
            "decide.{name} is not as the extension made it: {fault}."
        ))
        .set_hint(
            "Undo what was altered, if decisions and events are to cost what they did before.",
        )
        .report(PgLogLevel::LOG);
}
