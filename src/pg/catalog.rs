//! What the catalog says, by its caches: without a statement, which a new session would have to plan first.

use std::ffi::CString;

use pgrx::pg_sys;

/// The relation of the schema decide with that name, if there is one.
pub fn relation(name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: looks names up in the catalog, within a transaction.
    let found = unsafe {
        let schema = pg_sys::get_namespace_oid(c"decide".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    (found != pg_sys::InvalidOid).then_some(found)
}

/// The same of a table that the extension has made.
pub fn table(name: &str) -> pg_sys::Oid {
    relation(name).unwrap_or_else(|| panic!("the table decide.{name} is not there"))
}
