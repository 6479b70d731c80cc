//! The names of actions by the numbers that traces have, kept by each backend.

use std::cell::RefCell;

use crate::error::Error;
use crate::math::runs::MOST;
use crate::pg::invalidation::{self, Watch};
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Session, Statement};

thread_local! {
    /// The change count at which they were read, and the names by number.
    static NAMES: RefCell<(u64, Vec<Option<String>>)> = const { RefCell::new((0, Vec::new())) };
    static ALL: Statement = const { Statement::new(
        "SELECT n.number, n.action FROM decide.action_number AS n", &[]) };
}

/// Refuses arrays that no trace has: there may not be memory for what is made of them.
pub fn must_be_short(length: usize) -> Result<(), Error> {
    match length <= MOST {
        true => Ok(()),
        false => Err(Error::LongArray { length, most: MOST }),
    }
}

/// The names of several numbers, as a text[]; read anew if one of them is not known yet.
pub fn names_of(numbers: &[i32]) -> Vec<Option<String>> {
    NAMES.with_borrow_mut(|(seen, names)| {
        let changes = invalidation::changes_seen(Watch::Publication);
        let is_known = |&number: &i32| known(names, number).is_some();
        if *seen != changes || !numbers.iter().all(is_known) {
            *names = read();
            *seen = changes;
        }
        let name = |&number: &i32| known(names, number).cloned();
        numbers.iter().map(name).collect()
    })
}

fn known(names: &[Option<String>], number: i32) -> Option<&String> {
    names.get(usize::try_from(number).ok()?)?.as_ref()
}

fn read() -> Vec<Option<String>> {
    let mut names = Vec::new();
    let _session = Session::open();
    on_latest_snapshot(|| {
        ALL.with(|statement| {
            statement.read(&[], |row| {
                let number = usize::try_from(row.must::<i32>(1)).unwrap_or(0);
                if names.len() <= number {
                    names.resize(number + 1, None);
                }
                names[number] = row.get::<String>(2);
            })
        })
    });
    names
}
