//! The kinds of caps, for SQL: `decide.cap_catalog`.

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use super::cap::Per;
use crate::pg::call::Call;
use crate::pg::datum;

/// cap_catalog(): a row for each kind.
#[pg_extern(sql = false)]
fn cap_catalog(call: FunctionCallInfo) {
    let call = Call::running(call);
    let mut rows = call.rows();
    for per in Per::ALL {
        let table = datum::optional_text(per.counted_in().table());
        rows.push([datum::text(per.as_str()), table]);
    }
}
