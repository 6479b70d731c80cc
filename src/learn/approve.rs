//! A model version is approved for use.

use pgrx::pg_sys::{INT4OID, TEXTOID};

use crate::error::{Error, printable};
use crate::pg::{Session, Statement, datum};

thread_local! {
    static APPROVE: Statement = const { Statement::new(
        "UPDATE decide.model_version AS m \
            SET approved_at = pg_catalog.clock_timestamp(), approved_by = SESSION_USER, approved_as = $3 \
          WHERE m.model = $1 AND m.version = $2 AND m.approved_at IS NULL", &[TEXTOID, INT4OID, TEXTOID]) };
    static KNOWN: Statement = const { Statement::new(
        "SELECT 1 FROM decide.model_version AS m WHERE m.model = $1 AND m.version = $2", &[TEXTOID, INT4OID]) };
}

/// Approves a version, unless it has been; the first approval stays on record.
pub fn approve(model: &str, version: i32, caller: &str) -> Result<(), Error> {
    let _session = Session::open();
    let named = [datum::text(model), datum::int4(version)];
    let approving = [named[0], named[1], datum::text(caller)];
    if APPROVE.with(|statement| statement.write(&approving, |_| {})) == 0
        && KNOWN.with(|statement| statement.write(&named, |_| {})) == 0
    {
        return Err(Error::UnknownVersion(printable(model), version));
    }
    Ok(())
}
