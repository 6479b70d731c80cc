//! What a person may ask for.
//!
//! | file | what |
//! | --- | --- |
//! | `erase` | from commit on nothing of a person's past is used; the job `erasure` deletes their rows |
//! | `legal_hold` | an erasure waits |
//! | `verbs` | the SQL functions |

mod erase;
mod legal_hold;
mod verbs;
