//! What the decisions of one call keep of counters for each other: rows that one of them has written or locked are
//! counted in memory by those that follow, and written once more at the end. No other transaction can change them
//! meanwhile, so their capacity is known without a look at the table.

use super::counter::HeldRow;
use super::reservation::Reservation;
use crate::caps::Stripe;
use crate::pg::version::RowLock;
use crate::policy::UserRow;

/// Rows of counters that this call has locked.
pub struct Kept {
    /// Whether other decisions follow; else nothing is kept.
    several: bool,
    user: Option<KeptUser>,
    rows: Vec<KeptRow>,
    /// Another transaction has the row of the user, and it has been waited for.
    user_is_busy: bool,
    /// For how many users the call has waited in vain.
    vain_waits: u32,
}

/// For how many users a call waits in vain; of the others it takes the row only if it is free. So other transactions
/// cannot hold it up for long, however many users it is for.
const MOST_VAIN_WAITS: u32 = 10;

/// The row of the user.
struct KeptUser {
    row_lock: RowLock,
    exposures: Vec<i64>,
    /// The exposures are not written yet.
    changed: bool,
}

/// A row of a budget.
struct KeptRow {
    /// The index of its cap in the bundle.
    cap: usize,
    row_lock: RowLock,
    stripe: Stripe,
    /// It is not written yet.
    changed: bool,
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

impl Reservation<'_> {
    /// Takes over the rows of its budgets that earlier decisions of the call have locked.
    pub(super) fn take_over_rows(&mut self) {
        let limits = self.limits;
        let index = |cap: &usize| limits.caps.binary_search(cap).ok();
        let rows = std::mem::take(&mut self.kept.rows);
        for row in rows {
            match index(&row.cap) {
                Some(cap) => self.held.push(HeldRow {
                    cap,
                    stripe: row.stripe,
                    row_lock: Some(row.row_lock),
                    _claim: None,
                    before: None,
                    changed: row.changed,
                }),
                None => self.kept.rows.push(row),
            }
        }
    }

    /// Takes over the row of the user, if an earlier decision of the call has locked it; whether it has.
    pub(super) fn take_over_user(&mut self) -> bool {
        let Some(user) = self.kept.user.take() else {
            return false;
        };
        self.user = Some(user.row_lock);
        self.exposures = user.exposures;
        self.user_changed = user.changed;
        true
    }

    /// Ends it: what it has locked is kept for the decisions that follow, the other rows are let go.
    pub(super) fn hand_on(&mut self) {
        let user = self.user.take();
        if self.kept.defers(user.as_ref()) {
            self.kept.user = user.map(|row_lock| KeptUser {
                row_lock: row_lock.kept(),
                exposures: std::mem::take(&mut self.exposures),
                changed: self.user_changed,
            });
        }
        for row in self.held.drain(..) {
            if self.kept.defers(row.row_lock.as_ref())
                && let Some(row_lock) = row.row_lock
            {
                self.kept.rows.push(KeptRow {
                    cap: self.limits.caps[row.cap],
                    row_lock: row_lock.kept(),
                    stripe: row.stripe,
                    changed: row.changed,
                });
            }
        }
    }
}
