//! The names of actions by the numbers that traces have, kept by each backend.

use crate::error::Error;
use crate::math::runs::MOST;
use crate::pg::call::Call;
use crate::pg::invalidation::Watch;
use crate::pg::texts::Texts;
use crate::pg::{Cached, Statement, clock, identity};

thread_local! {
    static NAMES: Cached<Names> = const {
        Cached::new(Watch::Publication, "decide.publication")
    };
    // Without an operator or a function: those that call it may have any search_path.
    static ALL: Statement = const { Statement::new(
        "SELECT n.number, n.action FROM decide.action_number AS n", &[]) };
}

struct Names {
    texts: Texts,
    read_at: i64,
}

/// How long names are taken for all that there are, in microseconds. A server that gets its rows by logical
/// replication does not hear of a publish.
pub const ALL_FOR: i64 = 1_000_000;

/// Refuses arrays that no trace has: there may not be memory for what is made of them.
pub fn must_be_short(length: usize) -> Result<(), Error> {
    match length <= MOST {
        true => Ok(()),
        false => Err(Error::LongArray { length, most: MOST }),
    }
}

/// Hands on the names, by number; read anew where these numbers are not known yet. They are read with the rights of
/// the owner of the function that is called, so that who may call it need not read tables; and not at every call.
pub fn with_names<R>(
    call: &Call,
    numbers: impl Iterator<Item = i32>,
    then: impl FnOnce(&Texts) -> R,
) -> R {
    let read = || read(call);
    NAMES.with(|kept| {
        let is_enough = |names: &Names| {
            let mut numbers = numbers;
            numbers.all(|number| names.texts.has(number)) || clock::now() < names.read_at + ALL_FOR
        };
        if !kept.with(read, is_enough) {
            kept.forget();
        }
        kept.with(read, |names| then(&names.texts))
    })
}

fn read(call: &Call) -> Names {
    let _owner = identity::act_as(call.owner());
    let read_at = clock::now();
    let mut names: Vec<Option<String>> = Vec::new();
    ALL.with(|statement| {
        statement.read(&[], |row| {
            let number = usize::try_from(row.must::<i32>(1)).unwrap_or(0);
            if names.len() <= number {
                names.resize(number + 1, None);
            }
            names[number] = row.get::<String>(2);
        })
    });
    Names {
        texts: Texts::of(names.into_iter()),
        read_at,
    }
}
