//! What keeps people safe from the rest: pseudonyms, modes and kill switches; later consent, erasure, audit.

pub mod acting;
pub mod modes;
pub mod pseudonym;
pub mod switches;
pub mod turn;
mod verbs;
pub mod waiting;
