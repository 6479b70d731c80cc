//! The row of the user, in which caps per user are counted.

use super::counter::Capacity;
use super::reservation::Reservation;
use crate::caps::Cap;
use crate::decide::draw::Draw;
use crate::math::ledger::{self, COUNTED};
use crate::pg::version::RowLock;
use crate::policy::{MOST_MERGED, UserRow};

impl Reservation<'_> {
    /// Takes over the row that an earlier decision of the call has locked, or the one that was read for the features; without one locks the row, or reads it where nothing is
    /// taken.
    pub(super) fn open_user(&mut self, row: &UserRow) {
        if self.counts_in_user_row() && self.take_over_user() {
            return;
        }
        match row.version {
            Some(version) if self.decides && self.counts_in_user_row() => {
                self.exposures.extend(&row.exposures);
                self.user = Some(RowLock::Optimistic(version));
            }
            _ => self.lock_user(),
        }
    }

    /// Locks the row of the user, or reads it where nothing is taken; not at all where no cap is counted in it.
    pub(super) fn lock_user(&mut self) {
        if !self.counts_in_user_row() {
            return;
        }
        let user_key = &self.request.user_key;
        let mut row = UserRow::default();
        if self.decides {
            let may_wait = self.kept.may_wait_for_user();
            let lock = |row: &mut UserRow| match may_wait {
                true => row.lock_within(user_key.get(), self.lock_wait_ms),
                false => row.lock_at_once(user_key.get()),
            };
            let mut locked = lock(&mut row);
            for _ in 0..MOST_MERGED {
                let Some(into) = row.merged_into.filter(|_| locked.is_some()) else {
                    break;
                };
                user_key.set(into);
                locked = lock(&mut row);
            }
            if locked.is_none() {
                self.kept.note_busy_user();
            }
            self.user = locked.map(RowLock::Held);
            self.is_moment_stale = true;
        } else {
            user_key.set(row.read_living(user_key.get()));
        }
        self.exposures = row.exposures;
    }

    fn counts_in_user_row(&self) -> bool {
        let has_use = self.limits.of_users || self.request.variants.are_to_be_kept();
        has_use && self.request.knows_user()
    }

    /// Whether the user is known, and the row can be written where something is to be counted.
    pub(super) fn can_count_for_user(&self) -> bool {
        self.request.knows_user() && (!self.decides || self.user.is_some())
    }

    /// Indexes of the caps per user of which the row has an entry.
    pub(super) fn caps_used_by_user(&self) -> Vec<usize> {
        let blocks = ledger::blocks(&self.exposures).into_iter();
        let indexes = blocks.filter_map(|(number, _)| self.index_of_number(number));
        indexes
            .filter(|&index| self.cap(index).per.is_of_user())
            .collect()
    }

    /// The index of the cap of that number among those of the surface.
    fn index_of_number(&self, number: i64) -> Option<usize> {
        let (all, of_surface) = (&self.request.bundle.caps, &self.limits.caps);
        let index = of_surface.binary_search_by_key(&number, |&cap| all[cap].number.into());
        index.ok()
    }

    /// What is left of a cap per user, whose row has these blocks.
    pub(super) fn capacity_of_user(
        &self,
        cap: &Cap,
        limit: i64,
        blocks: &[(i64, &[i64])],
    ) -> Capacity {
        if !self.request.knows_user() {
            return Capacity::UnknownUser;
        }
        if !self.can_count_for_user() {
            return Capacity::Busy;
        }
        let block = blocks.binary_search_by_key(&cap.number.into(), |&(number, _)| number);
        let used = block.map_or(0, |i| ledger::used(blocks[i].1, &cap.terms(self.moment)));
        Capacity::Units(limit.saturating_sub(used).max(0))
    }

    /// Whether the row of the user has an entry that is newer than the moment.
    pub(super) fn is_behind_user(&self) -> bool {
        self.newest_of_user(|_| true) > Some(self.moment)
    }

    /// The time of the newest entry in the row of the user, of those caps of the surface.
    fn newest_of_user(&self, counts: impl Fn(&Cap) -> bool) -> Option<i64> {
        let newest = |(number, block): (i64, &[i64])| {
            let cap = self.cap(self.index_of_number(number)?);
            let is_asked_for = cap.per.is_of_user() && counts(cap);
            ledger::newest(block).filter(|_| is_asked_for)
        };
        let blocks = ledger::blocks(&self.exposures).into_iter();
        blocks.filter_map(newest).max()
    }

    /// Moves the moment behind that of an earlier decision of the call, if events are to confirm what both reserve: a
    /// reservation is found by its moment and its action.
    pub(super) fn leave_moment_of_others(&mut self) {
        let newest = self.newest_of_user(|cap| cap.counts.is_some());
        if newest == Some(self.moment) {
            self.moment += 1;
            self.is_moment_stale = true;
        }
    }

    /// Writes what is shown into the row. False where the row is not any more what the draw was made from, whatever was
    /// drawn: so whether it is drawn again does not depend on that.
    pub(super) fn write_user(&mut self, draw: &Draw) -> bool {
        let Some(row_lock) = self.user.take() else {
            return true;
        };
        let mut exposures = self.exposures.clone();
        let was_written = self.exposures_before.is_some();
        let changed = self.count(draw, &mut exposures);
        if !changed && !was_written {
            let holds = row_lock.holds();
            self.user = Some(row_lock).filter(|_| holds);
            return holds;
        }
        self.user = match self.kept.defers(Some(&row_lock)) {
            true => {
                self.user_changed = true;
                Some(row_lock)
            }
            false => UserRow::write_exposures(&exposures, row_lock),
        };
        if self.exposures_before.is_none() {
            self.exposures_before = Some(std::mem::take(&mut self.exposures));
        }
        self.exposures = exposures;
        self.user.is_some()
    }

    /// The same once more, as of a later moment.
    pub(super) fn write_user_again(&mut self, draw: &Draw) -> bool {
        self.undo_user();
        self.exposures_before.is_none() || self.write_user(draw)
    }

    /// Counts no more what was taken; if the row was written, that is to be written again.
    pub(super) fn undo_user(&mut self) {
        if let Some(before) = &self.exposures_before {
            self.exposures.clone_from(before);
        }
    }

    /// Counts what is shown, and keeps variants; whether that is anything.
    fn count(&self, draw: &Draw, exposures: &mut Vec<i64>) -> bool {
        let now = self.moment;
        let request = self.request;
        let mut changed = request.variants.keep(request.bundle, now, exposures);
        for &pick in &draw.slate.picks {
            let action = draw.open[pick];
            for (index, amount) in self.limits.of_action(action) {
                let cap = self.cap(index);
                if !cap.per.is_of_user() {
                    continue;
                }
                let state = match cap.counts {
                    None => COUNTED,
                    Some(_) => self.request.surface.actions[action].number.into(),
                };
                let number = cap.number.into();
                let mut block = ledger::block(exposures, number).to_vec();
                ledger::take(&mut block, (now, amount, state), &cap.terms(now));
                ledger::put(exposures, number, &block);
                changed = true;
            }
        }
        changed
    }
}
