//! The names of actions by the numbers that traces have, kept by each backend.

use std::cell::RefCell;

use crate::pg::invalidation::{self, Watch};
use crate::pg::plan::on_latest_snapshot;
use crate::pg::{Session, Statement};

thread_local! {
    /// The change count at which they were read, and the names by number.
    static NAMES: RefCell<(u64, Vec<Option<String>>)> = const { RefCell::new((0, Vec::new())) };
    static ALL: Statement = const { Statement::new(
        "SELECT n.number, n.action FROM decide.action_number AS n", &[]) };
}

/// Hands the names to `then`, read anew if any of `numbers` is not among them.
pub fn with_names<T>(numbers: &[i32], then: impl FnOnce(&dyn Fn(i32) -> Option<String>) -> T) -> T {
    NAMES.with_borrow_mut(|(seen, names)| {
        let changes = invalidation::changes_seen(Watch::Publication);
        let known = |names: &[Option<String>], number: i32| {
            usize::try_from(number)
                .ok()
                .and_then(|i| names.get(i).cloned().flatten())
        };
        if *seen != changes || numbers.iter().any(|&number| known(names, number).is_none()) {
            *names = read();
            *seen = changes;
        }
        then(&|number| known(names, number))
    })
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

/// The names of several numbers, as a text[].
pub fn names_of(numbers: &[i32]) -> Vec<Option<String>> {
    with_names(numbers, |name| {
        numbers.iter().map(|&number| name(number)).collect()
    })
}
