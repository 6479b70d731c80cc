//! A table of which each session keeps a copy, read again once the table has changed.

use pgrx::pg_sys::{self, TEXTOID};

use super::datum;
use super::invalidation::{self, Watch};
use super::plan::{Statement, on_latest_snapshot};

/// A table of which this session keeps a copy. Lives in a `thread_local!`.
pub struct WatchedTable {
    watch: Watch,
    name: &'static str,
}

thread_local! {
    static OID: Statement = const { Statement::new(
        "SELECT $1::pg_catalog.regclass::pg_catalog.oid", &[TEXTOID]) };
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
    /// the same, the answer is true.
    pub fn read<T>(&self, read: impl FnOnce() -> T) -> (u64, T) {
        invalidation::watch(self.watch, self.oid());
        // Whatever is committed from here on moves the count again.
        let changes = invalidation::changes(self.watch);
        (changes, on_latest_snapshot(read))
    }

    /// Tells every session, at commit, that the table has changed.
    pub fn announce(&self) {
        invalidation::announce(self.oid());
    }

    fn oid(&self) -> pg_sys::Oid {
        let mut oid = pg_sys::InvalidOid;
        let args = [datum::text(self.name)];
        OID.with(|statement| statement.read(&args, |row| oid = row.must(1)));
        oid
    }
}
