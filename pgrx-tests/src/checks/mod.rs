//! Tests that need a real server and real clients: concurrency, commits, crashes, rights.
//!
//! A check gets a fresh database with the extension created in it, on a server of its version that
//! has the library preloaded. It may restart the server, alter its settings or crash it: the next
//! check finds it as usual. To add one, write a function and name it in `ALL`.

mod extension;

use anyhow::Result;

use crate::temporary::Database;

/// One check: an error or a panic is a failure.
pub type Check = fn(&Database) -> Result<()>;

/// Every check, in the order in which they run.
pub const ALL: &[(&str, Check)] = &[
    (
        "extension/is_created_and_dropped",
        extension::is_created_and_dropped,
    ),
    (
        "extension/loads_without_preload",
        extension::loads_without_preload,
    ),
    (
        "extension/is_refused_to_a_plain_role",
        extension::is_refused_to_a_plain_role,
    ),
    (
        "extension/is_dumped_as_one_statement",
        extension::is_dumped_as_one_statement,
    ),
    ("extension/survives_a_crash", extension::survives_a_crash),
];
