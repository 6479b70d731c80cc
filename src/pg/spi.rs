//! Connections to the executor, and the memory that goes with them.

use std::marker::PhantomData;

use pgrx::pg_sys;

/// A connection to the executor; what the server allocates while it is open is freed when it closes. Statements run
/// within one. It stays in its thread, and the last one to be opened is the first to close.
#[must_use = "a session closes when it is dropped"]
pub struct Session {
    mark: SessionMark,
    in_thread: PhantomData<*mut ()>,
}

impl Session {
    pub fn open() -> Session {
        // SAFETY: paired with SPI_finish in Drop; on an ERROR the abort of the (sub)transaction
        // closes the connection itself, which is why Drop leaves it alone while unwinding.
        let code = unsafe { pg_sys::SPI_connect() };
        assert!(
            code == pg_sys::SPI_OK_CONNECT as i32,
            "SPI_connect answered {code}"
        );
        Session {
            mark: open_sessions::enter(),
            in_thread: PhantomData,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        open_sessions::leave(self.mark);
        if !std::thread::panicking() {
            // SAFETY: see `open`.
            unsafe { pg_sys::SPI_finish() };
        }
    }
}

/// Which session of ours was the innermost at a moment. Known in debug builds, and nothing at all in others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SessionMark(#[cfg(debug_assertions)] u64);

impl SessionMark {
    pub(super) fn now() -> SessionMark {
        open_sessions::innermost()
    }

    /// In debug builds: what was made at that moment is still in memory.
    #[track_caller]
    pub(super) fn debug_check_open(self) {
        debug_assert!(
            open_sessions::is_open(self),
            "used after its session was closed"
        );
    }

    /// In debug builds: a session of ours is open.
    #[track_caller]
    pub(super) fn debug_check_any() {
        debug_assert!(open_sessions::is_any(), "a statement needs an open session");
    }
}

/// The transaction of a moment. Known in debug builds, and nothing at all in others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TransactionMark(#[cfg(debug_assertions)] i64);

impl TransactionMark {
    pub(super) fn now() -> TransactionMark {
        TransactionMark(
            #[cfg(debug_assertions)]
            // SAFETY: reads when the transaction began.
            unsafe {
                pg_sys::GetCurrentTransactionStartTimestamp()
            },
        )
    }

    /// In debug builds: the transaction still runs.
    #[track_caller]
    pub(super) fn debug_check(self) {
        debug_assert_eq!(self, TransactionMark::now(), "used in another transaction");
    }
}

#[cfg(debug_assertions)]
mod open_sessions {
    use std::cell::{Cell, RefCell};

    use crate::pg::spi::SessionMark;

    thread_local! {
        static OPEN: RefCell<Vec<SessionMark>> = const { RefCell::new(Vec::new()) };
        static LAST: Cell<u64> = const { Cell::new(0) };
    }

    /// None is open.
    const NONE: SessionMark = SessionMark(0);

    pub fn enter() -> SessionMark {
        LAST.set(LAST.get() + 1);
        let mark = SessionMark(LAST.get());
        OPEN.with_borrow_mut(|open| open.push(mark));
        mark
    }

    pub fn leave(mark: SessionMark) {
        let was_last = innermost() == mark;
        OPEN.with_borrow_mut(|open| open.retain(|&other| other != mark));
        assert!(
            was_last || std::thread::panicking(),
            "sessions close in the reverse order"
        );
    }

    pub fn innermost() -> SessionMark {
        OPEN.with_borrow(|open| open.last().copied().unwrap_or(NONE))
    }

    pub fn is_open(mark: SessionMark) -> bool {
        mark == NONE || OPEN.with_borrow(|open| open.contains(&mark))
    }

    pub fn is_any() -> bool {
        innermost() != NONE
    }
}

#[cfg(not(debug_assertions))]
mod open_sessions {
    use crate::pg::spi::SessionMark;

    pub fn enter() -> SessionMark {
        SessionMark()
    }

    pub fn leave(_mark: SessionMark) {}

    pub fn innermost() -> SessionMark {
        SessionMark()
    }

    pub fn is_open(_mark: SessionMark) -> bool {
        true
    }

    pub fn is_any() -> bool {
        true
    }
}
