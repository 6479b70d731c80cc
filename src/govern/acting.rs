//! Who acts: the verbs that change what is in force run with the owner's rights, on behalf of their caller.

use crate::error::{Error, OrRaise};
use crate::pg::call::Call;
use crate::pg::identity::{self, OnBehalf};
use crate::pg::session;

/// Takes the owner's rights for a verb of operators that changes something, and says who called it.
pub fn as_owner(call: &Call, verb: &'static str) -> OnBehalf {
    let owner = as_reader(call, verb);
    refuse_read_only(verb);
    owner
}

/// The same for a verb that only reads: it works on a standby as well.
pub fn as_reader(call: &Call, verb: &'static str) -> OnBehalf {
    identity::on_behalf_of_caller(call.function())
        .ok_or(Error::Restricted(verb))
        .or_raise()
}

/// The same refusal for a verb that is SECURITY DEFINER.
pub fn refuse_restricted(verb: &'static str) {
    if identity::is_restricted() {
        Error::Restricted(verb).raise();
    }
}

/// Refuses a verb that writes where nothing can be written.
pub fn refuse_read_only(verb: &'static str) {
    if session::is_read_only() {
        Error::ReadOnly(verb).raise();
    }
}
