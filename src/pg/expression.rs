//! Expressions of a planned statement that need no executor: nothing but its parameters, constants, and
//! functions of the server itself.

use std::ffi::c_void;

use pgrx::{PgList, pg_guard, pg_sys};

use super::invalidation::{Watch, changes_seen};
use super::plan::Plan;
use super::value::{Arg, Value, debug_check_type};

#[allow(improper_ctypes)] // nodes hold what pgrx does not lay out, and none is looked into
unsafe extern "C-unwind" {
    /// Visits what lies directly under a node.
    #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_walker_impl")]
    fn expression_tree_walker(
        node: *mut pg_sys::Node,
        visit: unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool,
        context: *mut c_void,
    ) -> bool;
}

/// Those elements of the array which a statement answers that can be had without running it.
pub struct DirectExpressions {
    /// All that is below lies in here.
    memory: pg_sys::MemoryContext,
    within: *mut pg_sys::ExprContext,
    /// Pairs of the index of an element and its expression.
    elements: Vec<(usize, *mut pg_sys::ExprState)>,
    /// Functions as they were, with the rights to call them.
    functions: u64,
}

impl DirectExpressions {
    /// The elements that are so, of a statement whose first column is an array of booleans in one row that
    /// nothing has to be read for. What they call is checked against the rights of the role of the moment.
    pub fn of(plan: &Plan, types: &[pg_sys::Oid]) -> Option<DirectExpressions> {
        // SAFETY: the plan is held while its tree is read; what is kept of it are copies. Their memory
        // becomes lasting in the end, so that a fault on the way leaves nothing behind.
        unsafe {
            let planned = plan.hold()?;
            let elements: Vec<(usize, *mut pg_sys::Node)> = elements(planned.tree()?)?
                .into_iter()
                .enumerate()
                .filter(|&(_, node)| !is_unfit(node, std::ptr::null_mut()))
                .collect();
            if elements.is_empty() {
                return None;
            }
            let memory = pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"pg_decide rules".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            );
            let before = pg_sys::MemoryContextSwitchTo(memory);
            let within = pg_sys::CreateStandaloneExprContext();
            let parameters = pg_sys::makeParamList(types.len() as i32);
            let declared = (*parameters).params.as_mut_slice(types.len());
            for (parameter, &type_) in declared.iter_mut().zip(types) {
                parameter.ptype = type_;
                parameter.pflags = 0;
            }
            (*within).ecxt_param_list_info = parameters;
            let compile = |(index, node): (usize, *mut pg_sys::Node)| {
                let copy = pg_sys::copyObjectImpl(node.cast()).cast();
                let state = pg_sys::ExecInitExprWithParams(copy, parameters);
                (index, state)
            };
            let elements = elements.into_iter().map(compile).collect();
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextSetParent(memory, pg_sys::CacheMemoryContext);
            Some(DirectExpressions {
                memory,
                within,
                elements,
                functions: changes_seen(Watch::Function),
            })
        }
    }

    /// Whether the functions that are called are still what they were, and may be called.
    pub fn hold(&self) -> bool {
        self.functions == changes_seen(Watch::Function)
    }

    /// Whether the element with that index is among them.
    pub fn has(&self, index: usize) -> bool {
        let of = |&(known, _): &(usize, _)| known;
        self.elements.binary_search_by_key(&index, of).is_ok()
    }

    /// Hands the index of each element and its value to `each`; null counts as false.
    pub fn evaluate(&self, args: &[Arg<'_>], mut each: impl FnMut(usize, bool)) {
        // SAFETY: there are as many parameters as the statement was prepared with, of its types; what is
        // allocated on the way is freed in the end, or before the next time where an expression fails. The
        // expression is called within a guard, with nothing to drop.
        unsafe {
            let parameters = (*self.within).ecxt_param_list_info;
            assert!(
                (*parameters).numParams as usize == args.len(),
                "all parameters"
            );
            let scratch = (*self.within).ecxt_per_tuple_memory;
            pg_sys::MemoryContextReset(scratch);
            let parameters = (*parameters).params.as_mut_slice(args.len());
            for (i, (parameter, arg)) in parameters.iter_mut().zip(args).enumerate() {
                debug_check_type(arg, parameter.ptype, i + 1);
                parameter.value = arg.map_or(pg_sys::Datum::from(0), Value::datum);
                parameter.isnull = arg.is_none();
            }
            for &(index, state) in &self.elements {
                let evaluate = (*state).evalfunc.expect("a compiled expression");
                let holds = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    let mut null = false;
                    let before = pg_sys::CurrentMemoryContext;
                    pg_sys::CurrentMemoryContext = scratch;
                    let value = evaluate(state, self.within, &mut null);
                    pg_sys::CurrentMemoryContext = before;
                    !null && value.value() as u8 != 0
                });
                each(index, holds);
            }
            pg_sys::MemoryContextReset(scratch);
        }
    }
}

impl Drop for DirectExpressions {
    fn drop(&mut self) {
        // SAFETY: the context was made by `of` and is deleted once; at exit of the process it goes anyway.
        unsafe {
            if !pg_sys::proc_exit_inprogress {
                pg_sys::MemoryContextDelete(self.memory);
            }
        }
    }
}

/// The elements of the array in the first column of a statement that reads nothing.
///
/// # Safety
/// The tree must be a planned statement's.
unsafe fn elements(tree: *mut pg_sys::PlannedStmt) -> Option<Vec<*mut pg_sys::Node>> {
    // SAFETY: nodes are looked at by their tags.
    unsafe {
        let plan = (*tree).planTree;
        let result = is_a(plan.cast(), pg_sys::NodeTag::T_Result)
            && (*plan).lefttree.is_null()
            && (*plan).qual.is_null()
            && (*plan.cast::<pg_sys::Result>()).resconstantqual.is_null();
        let targets = PgList::<pg_sys::TargetEntry>::from_pg((*plan).targetlist);
        let first = targets.get_ptr(0).filter(|_| result)?;
        let array = (*first).expr.cast::<pg_sys::ArrayExpr>();
        if !is_a(array.cast(), pg_sys::NodeTag::T_ArrayExpr) {
            return None;
        }
        let elements = PgList::<pg_sys::Node>::from_pg((*array).elements);
        Some(elements.iter_ptr().collect())
    }
}

/// # Safety
/// A node, or null.
unsafe fn is_a(node: *mut pg_sys::Node, tag: pg_sys::NodeTag) -> bool {
    // SAFETY: the caller's promise.
    !node.is_null() && unsafe { (*node).type_ == tag }
}

/// Whether an expression needs the executor, or what it is may change while its plan holds.
#[pg_guard]
unsafe extern "C-unwind" fn is_unfit(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    use pg_sys::NodeTag::*;
    if node.is_null() {
        return false;
    }
    // SAFETY: nodes are looked at by their tags, as the server's own walkers do.
    unsafe {
        let known = match (*node).type_ {
            T_Param => (*node.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN,
            T_Const | T_List | T_FuncExpr | T_OpExpr | T_DistinctExpr | T_NullIfExpr
            | T_ScalarArrayOpExpr | T_BoolExpr | T_CaseExpr | T_CaseWhen | T_CaseTestExpr
            | T_RelabelType | T_CoerceViaIO | T_ArrayCoerceExpr | T_ArrayExpr | T_CoalesceExpr
            | T_SubscriptingRef | T_MinMaxExpr | T_NullTest | T_BooleanTest => true,
            _ => false,
        };
        !known
            || pg_sys::check_functions_in_node(node, Some(is_added), context)
            || pg_sys::ffi::pg_guard_ffi_boundary(|| {
                expression_tree_walker(node, is_unfit, context)
            })
    }
}

/// Whether a function is not one that the server came with.
#[pg_guard]
unsafe extern "C-unwind" fn is_added(function: pg_sys::Oid, _context: *mut c_void) -> bool {
    function.to_u32() >= pg_sys::FirstNormalObjectId
}
