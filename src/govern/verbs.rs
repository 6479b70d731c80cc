//! The SQL functions of this room.

use pgrx::pg_sys::{FunctionCallInfo, TEXTOID};
use pgrx::prelude::*;

use super::acting::{as_owner, refuse_restricted};
use super::waiting::{Waiting, run_in_sql};
use super::{modes, switches};
use crate::error::{Error, OrRaise};
use crate::pg::call::Call;
use crate::pg::invalidation;
use crate::pg::{Statement, datum};

thread_local! {
    static GRANT: Statement = const { Statement::new(
        "SELECT decide.grant_rights($1::name, $2)", &[TEXTOID, TEXTOID]) };
    static REVOKE: Statement = const { Statement::new(
        "SELECT decide.revoke_rights($1::name, $2)", &[TEXTOID, TEXTOID]) };
}

/// announce_erasure(): called by the rule on DELETE of the table of users; false.
#[pg_extern(sql = false)]
fn announce_erasure(call: FunctionCallInfo) -> bool {
    if let Some(table) = Call::running(call).oid(0) {
        invalidation::announce(table);
    }
    false
}

/// When it ends; None where it does not, which is also what infinity says.
fn until(call: &Call, number: usize) -> Option<i64> {
    call.timestamp(number).filter(|&until| until != i64::MAX)
}

/// set_mode(surface, mode, why, until).
#[pg_extern(sql = false)]
fn set_mode(call: FunctionCallInfo) {
    let call = Call::running(call);
    let mode = given(&call, 1, "mode");
    let owner = as_owner(&call, "set_mode");
    let (why, until) = (why(&call, 2), until(&call, 3));
    let set = || modes::set(call.text(0), mode, why, until, &owner.caller_name());
    Waiting::of_verb("set_mode").run(set).or_raise();
}

/// kill(kind, name, why, until).
#[pg_extern(sql = false)]
fn kill(call: FunctionCallInfo) {
    let call = Call::running(call);
    let (kind, name) = (given(&call, 0, "kind"), given(&call, 1, "name"));
    let owner = as_owner(&call, "kill");
    let (why, until) = (why(&call, 2), until(&call, 3));
    let kill = || switches::kill(kind, name, why, until, &owner.caller_name());
    Waiting::of_verb("kill").run(kill).or_raise();
}

/// revive(kind, name, why).
#[pg_extern(sql = false)]
fn revive(call: FunctionCallInfo) {
    let call = Call::running(call);
    let (kind, name) = (given(&call, 0, "kind"), given(&call, 1, "name"));
    let owner = as_owner(&call, "revive");
    let revive = || switches::revive(kind, name, why(&call, 2), &owner.caller_name());
    Waiting::of_verb("revive").run(revive).or_raise();
}

/// grant(role, access).
#[pg_extern(sql = false)]
fn grant_access(call: FunctionCallInfo) {
    let call = Call::running(call);
    refuse_restricted("grant");
    let args = [call.name(0), call.text(1)].map(datum::optional_text);
    run_in_sql("grant", &GRANT, &args);
}

/// revoke(role, access).
#[pg_extern(sql = false)]
fn revoke_access(call: FunctionCallInfo) {
    let call = Call::running(call);
    refuse_restricted("revoke");
    let args = [call.name(0), call.text(1)].map(datum::optional_text);
    run_in_sql("revoke", &REVOKE, &args);
}

fn given<'a>(call: &'a Call, argument: usize, what: &'static str) -> &'a str {
    call.text(argument).ok_or(Error::Null(what)).or_raise()
}

/// A reason that is null is as empty as ''.
fn why(call: &Call, argument: usize) -> &str {
    call.text(argument).unwrap_or_default()
}
