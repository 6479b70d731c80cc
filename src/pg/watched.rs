//! A table of which each session keeps a copy, read again once the table has changed.

use pgrx::pg_sys;

use super::catalog;
use super::invalidation::{self, Watch};
use super::plan::on_latest_snapshot;
use super::session;

/// A table of which this session keeps a copy. Lives in a `thread_local!`.
pub struct WatchedTable {
    watch: Watch,
    name: &'static str,
}

impl WatchedTable {
    /// The table of that name, with its schema.
    pub const fn new(watch: Watch, name: &'static str) -> WatchedTable {
        WatchedTable { watch, name }
    }

    /// Changes so far, as far as this session has heard.
    pub fn changes(&self) -> u64 {
        invalidation::changes_seen(self.watch)
    }

    /// What `read` finds in the newest committed state of the table, with the count of changes: while that stays
    /// the same, the answer is true. Within a parallel query it finds what that query sees.
    pub fn read<T>(&self, read: impl FnOnce() -> T) -> (u64, T) {
        invalidation::watch(self.watch, self.oid());
        // Whatever is committed from here on moves the count again.
        let changes = invalidation::changes(self.watch);
        match session::is_parallel() {
            true => (changes, read()),
            false => (changes, on_latest_snapshot(read)),
        }
    }

    /// Tells every session, at commit, that the table has changed.
    pub fn announce(&self) {
        invalidation::announce(self.oid());
    }

    fn oid(&self) -> pg_sys::Oid {
        catalog::table(self.name.trim_start_matches("decide."))
    }
}
