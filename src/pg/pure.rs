//! Expressions of one jsonb that nothing but this value decides: they call immutable functions that the server came with,
//! and read no table, no setting and no clock. So it does not matter who evaluates them, nor when.

use pgrx::{PgList, pg_sys};

use super::attempt::attempt_for;
use super::fitness::is_a;
use super::json::Json;
use super::plan::{Plan, with_english_messages, with_standard_strings};
use super::spi::Session;
use super::unique_read::evaluate;
use super::{rule_text, session};

/// Timeout of planning, in milliseconds: the planner calls functions whose arguments are constants.
const LONGEST_PLANNING: u32 = 1_000;

/// An expression that is ready to be evaluated.
pub struct PureExpression {
    /// All that is below lies in here.
    memory: pg_sys::MemoryContext,
    within: *mut pg_sys::ExprContext,
    state: *mut pg_sys::ExprState,
}

impl PureExpression {
    /// From its text, in which the jsonb is called `value`; or what is wrong with it. Nothing of it is evaluated before it
    /// is known to be pure.
    pub fn of(text: &str) -> Result<PureExpression, String> {
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        let _session = Session::open();
        let made = attempt_for(LONGEST_PLANNING, || {
            let _reading = session::ReadOnly::begin();
            with_standard_strings(|| with_english_messages(|| PureExpression::compile(text)))
        });
        made.unwrap_or_else(|error| match error.timed_out {
            true => Err(format!("to plan it takes more than {LONGEST_PLANNING} ms")),
            false => Err(error.message),
        })
    }

    fn compile(text: &str) -> Result<PureExpression, String> {
        if !rule_text::is_one_expression(text) {
            return Err("it is not one expression".into());
        }
        // Without a parameter, so that it cannot name it.
        let bare =
            format!("SELECT (\n{text}\n) FROM (SELECT NULL::pg_catalog.jsonb AS value) AS field");
        let analysis = rule_text::analyse(&bare, &[]);
        if analysis.aggregates {
            return Err(
                "it has an aggregate, a window function or a set, so it is not one value".into(),
            );
        }
        if !analysis.pure {
            return Err("it must be made of value, constants, and immutable functions that the server came with".into());
        }
        let statement = format!(
            "SELECT pg_catalog.to_jsonb(made.result) FROM (SELECT (\n{text}\n) AS result FROM (SELECT $1 AS value) AS field) AS made"
        );
        let plan = Plan::prepare(&statement, &[pg_sys::JSONBOID]);
        plan.make_ready();
        PureExpression::of_plan(&plan).ok_or_else(|| "it cannot be evaluated by itself".into())
    }

    /// The first column of a statement that reads nothing.
    fn of_plan(plan: &Plan) -> Option<PureExpression> {
        let planned = plan.hold()?;
        let tree = planned.tree()?;
        // SAFETY: the plan is held while its tree is read; what is kept of it is a copy. Its memory becomes lasting in the
        // end, so that a fault on the way leaves nothing behind.
        unsafe {
            let top = (*tree).planTree;
            let is_plain = is_a(top.cast(), pg_sys::NodeTag::T_Result)
                && (*top).lefttree.is_null()
                && (*top).qual.is_null()
                && (*top.cast::<pg_sys::Result>()).resconstantqual.is_null();
            let columns = PgList::<pg_sys::TargetEntry>::from_pg((*top).targetlist);
            let first = columns.get_ptr(0).filter(|_| is_plain)?;
            let memory = pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"pg_decide expression".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            );
            let before = pg_sys::MemoryContextSwitchTo(memory);
            let within = pg_sys::CreateStandaloneExprContext();
            let parameters = pg_sys::makeParamList(1);
            let declared = (*parameters).params.as_mut_slice(1);
            declared[0].ptype = pg_sys::JSONBOID;
            declared[0].pflags = 0;
            (*within).ecxt_param_list_info = parameters;
            let copy = pg_sys::copyObjectImpl((*first).expr.cast()).cast();
            let state = pg_sys::ExecInitExprWithParams(copy, parameters);
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextSetParent(memory, pg_sys::CacheMemoryContext);
            Some(PureExpression {
                memory,
                within,
                state,
            })
        }
    }

    /// What it makes of a value, in the current memory context; None where that is null. May raise an error.
    pub fn evaluate<'a>(&self, value: &Json<'a>) -> Option<Json<'a>> {
        // SAFETY: the statement has one parameter, a jsonb, and answers one. What is allocated on the way is freed in the
        // end, or before the next time where it fails.
        unsafe {
            let scratch = (*self.within).ecxt_per_tuple_memory;
            pg_sys::MemoryContextReset(scratch);
            let parameters = (*(*self.within).ecxt_param_list_info)
                .params
                .as_mut_slice(1);
            parameters[0].value = value.datum().datum();
            parameters[0].isnull = false;
            let before = pg_sys::MemoryContextSwitchTo(scratch);
            let (result, is_null) = evaluate(self.state, self.within);
            pg_sys::MemoryContextSwitchTo(before);
            let made = (!is_null).then(|| {
                let copy = pg_sys::pg_detoast_datum_copy(result.cast_mut_ptr());
                Json::open(pg_sys::Datum::from(copy))
            });
            pg_sys::MemoryContextReset(scratch);
            made
        }
    }
}

impl Drop for PureExpression {
    fn drop(&mut self) {
        // SAFETY: the context was made by `of_plan` and is deleted once; at exit of the process it goes anyway.
        unsafe {
            if !pg_sys::proc_exit_inprogress {
                pg_sys::MemoryContextDelete(self.memory);
            }
        }
    }
}
