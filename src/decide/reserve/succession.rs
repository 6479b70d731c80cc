//! From one decision of a call to the next: a reservation takes over what those before have kept, and hands on what it
//! has locked.

use super::counter::HeldRow;
use super::kept::{KeptRow, KeptUser};
use super::reservation::Reservation;

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
