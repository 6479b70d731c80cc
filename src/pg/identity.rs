//! Acting as another role for a moment.

use std::ffi::CStr;

use pgrx::pg_catalog::pg_proc::PgProc;
use pgrx::{PgLogLevel, pg_sys};

use super::plan;

/// While it lives, statements run with the rights of the role; dropping it goes back.
pub struct ActingAs {
    user: pg_sys::Oid,
    security: i32,
    settings: i32,
}

/// Switches to `role`, which then can neither change roles nor leave objects or settings behind.
pub fn act_as(role: pg_sys::Oid) -> ActingAs {
    switch_to(role, pg_sys::SECURITY_RESTRICTED_OPERATION)
}

/// The same for rules, whose texts are not for everybody who decides: while they are planned and run the client is
/// told nothing, neither the trees that it may ask the server for, nor messages, whose context is the statement.
pub fn act_quietly_as(role: pg_sys::Oid) -> ActingAs {
    let acting = act_as(role);
    // SAFETY: reads settings of the session; what is set here goes with the nest level of `acting`.
    unsafe {
        if pg_sys::client_min_messages < PgLogLevel::ERROR as i32 {
            plan::set_for_now(c"client_min_messages", c"error");
        }
        for (is_on, name) in [
            (pg_sys::Debug_print_parse, c"debug_print_parse"),
            (pg_sys::Debug_print_rewritten, c"debug_print_rewritten"),
            (pg_sys::Debug_print_plan, c"debug_print_plan"),
        ] {
            if is_on {
                plan::set_for_now(name, c"off");
            }
        }
    }
    acting
}

fn switch_to(role: pg_sys::Oid, restriction: u32) -> ActingAs {
    let mut user = pg_sys::InvalidOid;
    let mut security = 0;
    // SAFETY: plain reads and writes of the backend's identity; an abort of the (sub)transaction
    // restores it too, and the settings, as it does for security definer functions.
    let settings = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut security);
        let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | restriction;
        pg_sys::SetUserIdAndSecContext(role, security | restricted as i32);
        pg_sys::NewGUCNestLevel()
    };
    ActingAs {
        user,
        security,
        settings,
    }
}

impl Drop for ActingAs {
    fn drop(&mut self) {
        // SAFETY: gives back what `act_as` found: first the settings, with the rights under which they were
        // made. After an error the abort does that.
        unsafe {
            if !std::thread::panicking() {
                pg_sys::AtEOXact_GUC(false, self.settings);
            }
            pg_sys::SetUserIdAndSecContext(self.user, self.security);
        }
    }
}

/// A function of ours that is not SECURITY DEFINER, so that it knows who calls it, has taken the rights of its
/// owner for its own statements.
///
/// The caller is who has the rights at the call itself. What a session's user or its SET ROLE say is somebody
/// else where the call comes from a security definer function, from an index expression that autovacuum
/// evaluates, or from a rule.
pub struct OnBehalf {
    caller: pg_sys::Oid,
    _owner: ActingAs,
}

impl OnBehalf {
    /// Who called.
    pub fn caller(&self) -> pg_sys::Oid {
        self.caller
    }

    /// The name of that role, for an audit.
    pub fn caller_name(&self) -> String {
        name_of(self.caller)
    }
}

/// The role whose rights are in force.
pub fn current() -> pg_sys::Oid {
    // SAFETY: reads the backend's identity.
    unsafe { pg_sys::GetUserId() }
}

/// The name of the role whose rights are in force.
pub fn current_name() -> String {
    name_of(current())
}

fn name_of(role: pg_sys::Oid) -> String {
    // SAFETY: the name is allocated by the server and copied; `true` means that a role which was dropped
    // meanwhile is no error.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        match name.is_null() {
            true => role.to_u32().to_string(),
            false => CStr::from_ptr(name).to_string_lossy().into_owned(),
        }
    }
}

/// Takes the rights of the owner of a function that is running with those of its caller, as SECURITY DEFINER would.
/// None within a security-restricted operation: who called could be made to by somebody else.
pub fn on_behalf_of_caller(function: pg_sys::Oid) -> Option<OnBehalf> {
    if is_restricted() {
        return None;
    }
    let owner = PgProc::new(function)?.proowner();
    // SAFETY: reads the backend's identity.
    let caller = unsafe { pg_sys::GetUserId() };
    let _owner = switch_to(owner, 0);
    Some(OnBehalf { caller, _owner })
}

/// Whether what runs was set off with the rights of somebody who did not ask for it: by an index expression, a
/// materialized view, or a rule.
pub fn is_restricted() -> bool {
    // SAFETY: reads the backend's identity.
    unsafe { pg_sys::InSecurityRestrictedOperation() }
}

/// The role of that name, if there is one.
pub fn role(name: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: a look-up in the system cache; `true` means that a missing role is no error.
    let oid = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// Whether the role is a superuser.
pub fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the system cache.
    unsafe { pg_sys::superuser_arg(role) }
}
