//! What keeps people safe from the rest: pseudonyms, tombstones of persons who were erased, modes and kill switches.

pub mod acting;
pub mod key_source;
pub mod modes;
pub mod pseudonym;
pub mod switches;
pub mod tombstone;
pub mod turn;
mod verbs;
pub mod waiting;
