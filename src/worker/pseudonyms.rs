//! What a rotation of the pseudonyms leaves to do: to settle it, to move persons who were seen again to the newest key,
//! and to delete older keys under which nothing is kept any more.

use pgrx::pg_sys::{INT4OID, INT8OID, UUIDARRAYOID, UUIDOID};
use uuid::Uuid;

use super::job::{Run, Step, Steps};
use crate::error::Error;
use crate::govern::pseudonym;
use crate::observe::move_person;
use crate::pg::clock;
use crate::pg::{Statement, datum, session};
use crate::policy::UserRow;

thread_local! {
    static SETTLE: Statement = const { Statement::new("SELECT decide.settle_pseudonyms()", &[]) };
    static WITHOUT_ROW: Statement = const { Statement::new(
        "SELECT k FROM decide.pseudonyms_without_row($1) AS k", &[INT4OID]) };
    static SETTLED: Statement = const { Statement::new(
        "UPDATE decide.secret AS s SET settled = true, open_transactions = NULL WHERE NOT s.settled", &[]) };
    static MOVES: Statement = const { Statement::new(
        "SELECT m.old_key, m.new_key FROM decide.pseudonym_move AS m WHERE m.old_key <> ALL ($1) ORDER BY m.noted_at LIMIT $2",
        &[UUIDARRAYOID, INT8OID]) };
    static MOVED: Statement = const { Statement::new(
        "SELECT decide.move_rows($1, $2)", &[UUIDOID, UUIDOID]) };
    static TO_CHECK: Statement = const { Statement::new("SELECT decide.key_to_check()", &[]) };
    static REPOINT: Statement = const { Statement::new(
        "SELECT r.last, r.changed FROM decide.repoint_moved($1, $2) AS r", &[INT4OID, UUIDOID]) };
    static FORGET: Statement = const { Statement::new(
        "SELECT decide.forget_moved($1, $2)", &[INT4OID, UUIDOID]) };
    static RETIRE: Statement = const { Statement::new(
        "SELECT decide.retire_key($1)", &[INT4OID]) };
}

/// How many users of the inbox and the quarantine get a row in a step.
const MOST_MADE: i32 = 1_000;

/// How many notes a step reads.
const MOST_NOTES: i64 = 100;

/// How long a step goes on to the next person, in microseconds: their rows are locked until it ends.
const STEP_TIME: i64 = 20_000;

/// What a run does next.
enum Next {
    Settle,
    Move,
    Check,
    /// Has rows lead to newer keys that lead to a user who has moved from that key, behind that user; and how many did.
    Repoint(i32, Uuid, i64),
    /// Deletes rows of users who have moved from that key, behind that user.
    Forget(i32, Uuid),
}

pub fn start() -> Steps {
    let mut run = Pass {
        next: Next::Settle,
        skipped: Vec::new(),
    };
    Box::new(move || run.step())
}

/// What a run remembers from step to step.
struct Pass {
    next: Next,
    /// Persons whose rows others have, or who cannot be moved.
    skipped: Vec<Uuid>,
}

impl Pass {
    fn step(&mut self) -> Result<Step, Error> {
        match self.next {
            Next::Settle => {
                self.next = Next::Move;
                pseudonym::move_outside()?;
                if pseudonym::keys().map_or(true, |keys| keys.older().is_empty()) {
                    return Ok(Step::last(0));
                }
                if settle() == i64::from(MOST_MADE) {
                    self.next = Next::Settle;
                }
                Ok(Step::with_more(0))
            }
            Next::Move => self.move_some(),
            Next::Check => {
                let mut key = None;
                TO_CHECK.with(|statement| statement.write(&[], |row| key = row.get::<i32>(1)));
                Ok(match key {
                    Some(key) => {
                        self.next = Next::Repoint(key, Uuid::nil(), 0);
                        Step::with_more(0)
                    }
                    None => self.last(0),
                })
            }
            Next::Repoint(key, after, before) => {
                let (mut last, mut changed) = (None, 0);
                let args = [datum::int4(key), datum::uuid(after)];
                REPOINT.with(|statement| {
                    statement.write(&args, |row| {
                        (last, changed) = (row.uuid(1), row.must::<i64>(2))
                    })
                });
                self.next = match last {
                    Some(last) => Next::Repoint(key, last, before + changed),
                    // Somebody may be on the way along what was changed just now: the next check goes on.
                    None if before > 0 => return Ok(self.last(0)),
                    None => Next::Forget(key, Uuid::nil()),
                };
                Ok(Step::with_more(0))
            }
            Next::Forget(key, after) => {
                let mut last = None;
                let args = [datum::int4(key), datum::uuid(after)];
                FORGET.with(|statement| statement.write(&args, |row| last = row.uuid(1)));
                if let Some(last) = last {
                    self.next = Next::Forget(key, last);
                    return Ok(Step::with_more(0));
                }
                let mut retired = false;
                RETIRE.with(|statement| {
                    statement.write(&[datum::int4(key)], |row| retired = row.must(1))
                });
                if retired {
                    pseudonym::announce();
                }
                Ok(self.last(0))
            }
        }
    }

    /// Moves the next persons.
    fn move_some(&mut self) -> Result<Step, Error> {
        let mut notes = Vec::new();
        let args = [datum::uuids(&self.skipped), datum::int8(MOST_NOTES)];
        MOVES.with(|statement| {
            statement.write(&args, |row| notes.extend(row.uuid(1).zip(row.uuid(2))))
        });
        let (until, mut moved) = (clock::now() + STEP_TIME, 0);
        let is_last = notes.is_empty();
        for (old, newest) in notes {
            session::check_interrupts();
            // A person may have several notes.
            if self.skipped.contains(&old) {
                continue;
            }
            match move_person(old, newest) {
                Ok(true) => {
                    let args = [datum::uuid(old), datum::uuid(newest)];
                    MOVED.with(|statement| statement.write(&args, |_| {}));
                    moved += 1;
                }
                // Also those who are too many to be merged: they stay where they are.
                Ok(false) | Err(_) => self.skipped.push(old),
            }
            if clock::now() >= until {
                break;
            }
        }
        if is_last || self.skipped.len() > MOST_SKIPPED {
            self.next = Next::Check;
        }
        Ok(Step {
            users_left: self.skipped.len() as i64,
            ..Step::with_more(moved)
        })
    }

    fn last(&self, rows: i64) -> Step {
        Step {
            users_left: self.skipped.len() as i64,
            ..Step::last(rows)
        }
    }
}

/// With so many persons left out the rest waits for the next run.
const MOST_SKIPPED: usize = 1_000;

/// Settles the last rotation, if the transactions are over that may not have known of it. Events of the inbox and the
/// quarantine have the pseudonyms of then: their users get a row under these, so that they are found. How many did.
fn settle() -> i64 {
    let mut state = String::new();
    SETTLE.with(|statement| statement.write(&[], |row| state = row.must(1)));
    if state != "over" {
        return 0;
    }
    let mut users = Vec::new();
    WITHOUT_ROW.with(|statement| {
        statement.write(&[datum::int4(MOST_MADE)], |row| users.extend(row.uuid(1)))
    });
    let made = users
        .iter()
        .filter(|&&user| UserRow::lock_free(user).is_some());
    let made = made.count() as i64;
    if users.is_empty() {
        SETTLED.with(|statement| statement.write(&[], |_| {}));
        pseudonym::announce();
    }
    made
}

pub fn report(run: &Run) -> String {
    format!("{} persons moved to the newest key", run.rows)
}
