//! Acting as another role for a moment.

use std::ffi::CStr;

use pgrx::pg_sys;

/// While it lives, statements run with the rights of the role; dropping it goes back.
pub struct ActingAs {
    user: pg_sys::Oid,
    security: i32,
    settings: i32,
}

/// Switches to `role`, which then can neither change roles nor leave objects or settings behind.
pub fn act_as(role: pg_sys::Oid) -> ActingAs {
    let mut user = pg_sys::InvalidOid;
    let mut security = 0;
    // SAFETY: plain reads and writes of the backend's identity; an abort of the (sub)transaction
    // restores it too, and the settings, as it does for security definer functions.
    let settings = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut security);
        let restricted =
            pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
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

/// Who calls, seen from within a security definer function: the session's user, or the role that
/// they have set.
pub fn caller() -> pg_sys::Oid {
    // SAFETY: reads the backend's identity.
    unsafe { pg_sys::GetOuterUserId() }
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
