//! The reasons of decisions, for SQL: `decide.reason_catalog` and `decide.blocked_reason`.

use pgrx::pg_sys::{FunctionCallInfo, INT4OID};
use pgrx::prelude::*;

use super::{blocked, reason};
use crate::pg::call::Call;
use crate::pg::{Session, Statement, datum};

thread_local! {
    static CAP: Statement = const { Statement::new(
        "SELECT s.cap || COALESCE(' (' || s.value || ')', '') FROM decide.cap_slot AS s WHERE s.slot = $1",
        &[INT4OID]) };
}

/// reason_catalog(): a row for each reason.
#[pg_extern(sql = false)]
fn reason_catalog(call: FunctionCallInfo) {
    let call = Call::running(call);
    let mut rows = call.rows();
    for (name, text) in reason::REASONS {
        let step = datum::text("fallback");
        rows.push([
            datum::text("fallback"),
            None,
            datum::text(name.trim_end()),
            step,
            datum::text(text),
        ]);
    }
    for reason in blocked::REASONS {
        rows.push([
            datum::text("blocked"),
            datum::int4(reason.code),
            datum::text(reason.name.trim_end()),
            datum::text(reason.step),
            datum::text(reason.text),
        ]);
    }
}

/// blocked_reason(code): what a number in decide.trace.blocked_by says.
#[pg_extern(sql = false)]
fn blocked_reason(code: Option<i32>) -> Option<String> {
    let code = code?;
    let name = blocked::described(code)?.name;
    if code < blocked::FIRST_CAP {
        return Some(name.to_owned());
    }
    let _session = Session::open();
    let mut cap = None::<String>;
    CAP.with(|statement| {
        let number = [datum::int4(code - blocked::FIRST_CAP)];
        statement.read(&number, |row| cap = row.get(1))
    });
    Some(format!("{name}{}", cap.as_deref().unwrap_or("?")))
}
