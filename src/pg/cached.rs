//! A value that a session makes of a table and keeps until the table changes.

use std::cell::RefCell;
use std::convert::Infallible;

use super::invalidation::Watch;
use super::session;
use super::spi::Session;
use super::watched::WatchedTable;

/// What a session keeps of a table. Lives in a `thread_local!`. While the table stays as it is, a look at the value
/// costs the comparison of a count.
pub struct Cached<T> {
    table: WatchedTable,
    kept: RefCell<Option<Kept<T>>>,
}

/// A value, as of a count of changes, and until when it may be used.
struct Kept<T> {
    changes: u64,
    /// Made within a parallel query, of what that query sees, and true for it alone: when the client's statement began.
    of_query: Option<i64>,
    until: i64,
    value: T,
}

impl<T> Cached<T> {
    /// Of the table with that name, schema included.
    pub const fn new(watch: Watch, table: &'static str) -> Cached<T> {
        Cached {
            table: WatchedTable::new(watch, table),
            kept: RefCell::new(None),
        }
    }

    /// Hands on the value. Where the table has changed, `make` first makes it anew of the newest committed state.
    /// `then` must not look at the same value again.
    pub fn with<R>(&self, make: impl FnOnce() -> T, then: impl FnOnce(&T) -> R) -> R {
        self.with_until(0, |_| (make(), i64::MAX), then)
    }

    /// The same where there may be no value: then nothing is kept.
    pub fn try_with<R, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
        then: impl FnOnce(&T) -> R,
    ) -> Result<R, E> {
        self.refresh(0, |_| Ok((make()?, i64::MAX)))?;
        Ok(self.look(then))
    }

    /// The same for a value that is used until a moment, which `make` answers with it; `make` is given the value that
    /// was kept before.
    pub fn with_until<R>(
        &self,
        now: i64,
        make: impl FnOnce(Option<T>) -> (T, i64),
        then: impl FnOnce(&T) -> R,
    ) -> R {
        let Ok(()) = self.refresh(now, |before| Ok::<_, Infallible>(make(before)));
        self.look(then)
    }

    fn refresh<E>(
        &self,
        now: i64,
        make: impl FnOnce(Option<T>) -> Result<(T, i64), E>,
    ) -> Result<(), E> {
        let seen = self.table.changes();
        let query = session::is_parallel().then(session::statement_began);
        let is_true = |kept: &Kept<T>| match kept.of_query {
            None => kept.changes == seen,
            of_query => of_query == query,
        };
        let is_current = |kept: &Kept<T>| is_true(kept) && now < kept.until;
        if self.kept.borrow().as_ref().is_some_and(is_current) {
            return Ok(());
        }
        let _session = Session::open();
        let before = self.kept.take().map(|kept| kept.value);
        let (changes, made) = self.table.read(|| make(before));
        let (value, until) = made?;
        self.kept.replace(Some(Kept {
            changes,
            of_query: query,
            until,
            value,
        }));
        Ok(())
    }

    /// Hands on the value as it was made last, whatever has changed since.
    pub fn last<R>(&self, then: impl FnOnce(&T) -> R) -> Option<R> {
        self.kept.borrow().as_ref().map(|kept| then(&kept.value))
    }

    fn look<R>(&self, then: impl FnOnce(&T) -> R) -> R {
        self.last(then).expect("what was just made or found")
    }

    /// Changes what is kept, if something is: it is forgotten when the table changes.
    pub fn change(&self, change: impl FnOnce(&mut T)) {
        if let Some(kept) = self.kept.borrow_mut().as_mut() {
            change(&mut kept.value);
        }
    }

    /// Has the value made anew at the next look.
    pub fn forget(&self) {
        self.kept.take();
    }

    /// Tells every session, at commit, that the table has changed.
    pub fn announce(&self) {
        self.table.announce();
    }
}
