//! The names of actions by the numbers that traces have, kept by each backend.

use crate::error::Error;
use crate::math::runs::MOST;
use crate::pg::invalidation::Watch;
use crate::pg::{Cached, Statement};

thread_local! {
    /// By number.
    static NAMES: Cached<Vec<Option<String>>> = const {
        Cached::new(Watch::Publication, "decide.publication")
    };
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
    NAMES.with(|kept| {
        let is_known = |names: &Vec<_>| numbers.iter().all(|&n| known(names, n).is_some());
        if !kept.with(read, is_known) {
            kept.forget();
        }
        let name = |names: &Vec<_>, number| known(names, number).cloned();
        kept.with(read, |names| {
            numbers.iter().map(|&n| name(names, n)).collect()
        })
    })
}

fn known(names: &[Option<String>], number: i32) -> Option<&String> {
    names.get(usize::try_from(number).ok()?)?.as_ref()
}

fn read() -> Vec<Option<String>> {
    let mut names = Vec::new();
    ALL.with(|statement| {
        statement.read(&[], |row| {
            let number = usize::try_from(row.must::<i32>(1)).unwrap_or(0);
            if names.len() <= number {
                names.resize(number + 1, None);
            }
            names[number] = row.get::<String>(2);
        })
    });
    names
}
