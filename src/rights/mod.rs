//! What a person may ask for.
//!
//! | file | what |
//! | --- | --- |
//! | `consent` | what a person decides about purposes, in force at the next statement |
//! | `erase` | from commit on nothing of a person's past is used; the job `erasure` deletes their rows |
//! | `legal_hold` | an erasure waits |
//! | `rotation` | a new key of the pseudonyms |
//! | `verbs` | the SQL functions |

mod consent;
mod erase;
mod legal_hold;
mod region;
mod rotation;
mod verbs;
