//! The right to change one row of a counter, for less than a transaction.
//!
//! A claim is a lock of the server's lock manager, named after a table and the key of one of its rows. Who
//! wants to change such a row takes its claim first, without or with a wait; sessions that wait get it in the
//! order in which they came. It is given back at once where the row is not changed after all, and where it is:
//! from then on the row itself tells who has it, until that transaction ends. So a row that was looked at under
//! its claim stays as it is, at the cost of microseconds to others, and not of a transaction.

use std::time::{Duration, Instant};

use pgrx::pg_sys;

use super::attempt::attempt_aside_for;
use super::holder::Unavailable;
use super::lookup::Keyed;
use super::row::{TableRow, Version};

/// A claim that this session has; dropped, it is given back. An ERROR gives it back as well, at the end of the
/// (sub)transaction.
pub struct Claim {
    tag: pg_sys::LOCKTAG,
}

impl Claim {
    /// Takes the claim of a row, unless another session has it.
    fn take(table: pg_sys::Oid, key: (i32, i32)) -> Option<Claim> {
        let tag = tag_of(table, key);
        acquire(&tag, true).then(|| Claim { tag })
    }

    /// The same, or waits so many milliseconds for it.
    fn take_within(table: pg_sys::Oid, key: (i32, i32), milliseconds: u32) -> Option<Claim> {
        Claim::take(table, key).or_else(|| {
            let tag = tag_of(table, key);
            let taken = attempt_aside_for(milliseconds, || acquire(&tag, false));
            taken.unwrap_or(false).then(|| Claim { tag })
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What unwinds is an ERROR, whose abort gives back all locks.
        if !std::thread::panicking() {
            // SAFETY: a lock that this session has, of the owner that `acquire` has taken it for.
            unsafe {
                let owner = pg_sys::CurrentResourceOwner;
                pg_sys::CurrentResourceOwner = pg_sys::CurTransactionResourceOwner;
                pg_sys::LockRelease(&self.tag, MODE, false);
                pg_sys::CurrentResourceOwner = owner;
            }
        }
    }
}

const MODE: pg_sys::LOCKMODE = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;

/// The name of the lock: as that of an object within a catalog, which pg_locks shows by table, first and second
/// number of the key.
fn tag_of(table: pg_sys::Oid, (first, second): (i32, i32)) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: reads which database this session is in.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: table.to_u32(),
        locktag_field3: first as u32,
        locktag_field4: second as u16,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    }
}

/// Takes a lock for the running (sub)transaction, not for the statement: so that it can be given back after a
/// subtransaction in which it was waited for.
fn acquire(tag: &pg_sys::LOCKTAG, at_once: bool) -> bool {
    // SAFETY: the owner is put back; after an ERROR whoever catches it does that.
    unsafe {
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::CurrentResourceOwner = pg_sys::CurTransactionResourceOwner;
        let result = pg_sys::LockAcquire(tag, MODE, false, at_once);
        pg_sys::CurrentResourceOwner = owner;
        result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }
}

impl Keyed {
    /// Takes the claim of the row with that key and hands the row to `then` as it is by now: until the claim is
    /// given back, nobody else changes it. A row that this transaction has changed itself needs no claim.
    pub fn claim(
        &self,
        key: (i32, i32),
        then: impl FnMut(TableRow<'_>),
    ) -> Result<(Option<Claim>, Version), Unavailable> {
        let claim = Claim::take(self.table(), key);
        let newest = self.look(key, then)?;
        match claim {
            Some(claim) => Ok((Some(claim).filter(|_| !newest.is_own), newest.version)),
            None if newest.is_own => Ok((None, newest.version)),
            None => Err(Unavailable::Claimed),
        }
    }

    /// The same, or waits so many milliseconds: for the claim, and then, the claim in hand, for the transaction
    /// that has the row.
    pub fn claim_within(
        &self,
        key: (i32, i32),
        milliseconds: u32,
        mut then: impl FnMut(TableRow<'_>),
    ) -> Result<(Option<Claim>, Version), Unavailable> {
        let until = Instant::now() + Duration::from_millis(milliseconds.into());
        // Who waits for this transaction has the claim of its rows.
        if self.look(key, &mut then).is_ok_and(|newest| newest.is_own) {
            return self.claim(key, then);
        }
        let claim = Claim::take_within(self.table(), key, milliseconds);
        let claim = claim.ok_or(Unavailable::Claimed)?;
        loop {
            match self.look(key, &mut then) {
                Ok(newest) => return Ok((Some(claim), newest.version)),
                Err(Unavailable::Held(holder)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() || !holder.wait(left.as_millis().max(1) as u32) {
                        return Err(Unavailable::Held(holder));
                    }
                }
                Err(other) => return Err(other),
            }
        }
    }
}
