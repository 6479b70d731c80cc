//! What the decisions of one call keep of counters for each other: rows that one of them has written or locked are
//! counted in memory by those that follow, and written once more at the end. No other transaction can change them
//! meanwhile, so their capacity is known without a look at the table.

use crate::caps::Stripe;
use crate::pg::version::RowLock;
use crate::policy::UserRow;

/// Rows of counters that this call has locked.
pub struct Kept {
    /// Whether other decisions follow; else nothing is kept.
    several: bool,
    pub(super) user: Option<KeptUser>,
    pub(super) rows: Vec<KeptRow>,
    /// Another transaction has the row of the user, and it has been waited for.
    user_is_busy: bool,
    /// For how many users the call has waited in vain.
    vain_waits: u32,
}

/// For how many users a call waits in vain; of the others it takes the row only if it is free. So other transactions
/// cannot hold it up for long, however many users it is for.
const MOST_VAIN_WAITS: u32 = 10;

/// The row of the user.
pub(super) struct KeptUser {
    pub(super) row_lock: RowLock,
    pub(super) exposures: Vec<i64>,
    /// The exposures are not written yet.
    pub(super) changed: bool,
}

/// A row of a budget.
pub(super) struct KeptRow {
    /// The index of its cap in the bundle.
    pub(super) cap: usize,
    pub(super) row_lock: RowLock,
    pub(super) stripe: Stripe,
    /// It is not written yet.
    pub(super) changed: bool,
}

impl Kept {
    /// For a call that makes several decisions, or one.
    pub fn for_several(several: bool) -> Kept {
        Kept {
            several,
            user: None,
            rows: Vec::new(),
            user_is_busy: false,
            vain_waits: 0,
        }
    }

    /// Whether the call makes several decisions.
    pub(super) fn is_for_several(&self) -> bool {
        self.several
    }

    /// Whether a decision may wait for the row of its user.
    pub(super) fn may_wait_for_user(&self) -> bool {
        !self.user_is_busy && self.vain_waits < MOST_VAIN_WAITS
    }

    /// The row of the user could not be had.
    pub(super) fn note_busy_user(&mut self) {
        if self.several && !self.user_is_busy {
            self.user_is_busy = true;
            self.vain_waits += 1;
        }
    }

    /// Whether a row is written at the end of the call, since no other transaction can change it until then.
    pub(super) fn defers(&self, row_lock: Option<&RowLock>) -> bool {
        self.several && row_lock.is_some_and(RowLock::is_held)
    }

    /// Writes what was counted for the user: the next decision is for another one, or there is none.
    pub fn leave_user(&mut self) {
        self.user_is_busy = false;
        if let Some(user) = self.user.take()
            && user.changed
        {
            let written = UserRow::write_exposures(&user.exposures, user.row_lock);
            assert!(written.is_some(), "a row that is locked is written");
        }
    }

    /// Writes all that was counted.
    pub fn write(&mut self) {
        self.leave_user();
        for row in self.rows.drain(..).filter(|row| row.changed) {
            let written = row.stripe.write(row.row_lock);
            assert!(written.is_some(), "a row that is locked is written");
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let is_written = self.user.is_none() && self.rows.is_empty();
        debug_assert!(
            std::thread::panicking() || is_written,
            "counters of a call are written at its end"
        );
    }
}
