//! What keeps people safe from the rest: pseudonyms; later modes, consent, erasure, audit.

pub mod pseudonym;
mod verbs;
