//! Expressions of a planned statement that need no executor: nothing but its parameters, constants, functions of
//! the server itself, and subqueries that find a row by its unique key.

use pgrx::{PgList, pg_sys};

use super::fitness::{Allowed, is_a};
use super::invalidation::{Watch, changes_seen};
use super::plan::Plan;
use super::unique_read::{UniqueReads, evaluate};
use super::value::{Arg, Value, debug_check_type};

/// Those elements of the array which a statement answers that can be had without running it.
pub struct DirectExpressions {
    /// All that is below lies in here.
    memory: pg_sys::MemoryContext,
    within: *mut pg_sys::ExprContext,
    /// Pairs of the index of an element and its expression.
    elements: Vec<(usize, *mut pg_sys::ExprState)>,
    /// What is read for them.
    reads: Option<UniqueReads>,
    /// Functions as they were, with the rights to call them.
    functions: u64,
}

impl DirectExpressions {
    /// The elements that are so, of a statement whose first column is an array of booleans in one row that
    /// nothing has to be read for but by subqueries. What they call is checked against the rights of the role of the
    /// moment.
    pub fn of(plan: &Plan, types: &[pg_sys::Oid]) -> Option<DirectExpressions> {
        // SAFETY: the plan is held while its tree is read; what is kept of it are copies. Their memory
        // becomes lasting in the end, so that a fault on the way leaves nothing behind.
        unsafe {
            let planned = plan.hold()?;
            let tree = planned.tree()?;
            let all = elements(tree)?;
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
            let mut reads = match planned.is_the_same_for_all_roles() {
                true => UniqueReads::of(tree, parameters),
                false => None,
            };
            let mut allowed = Allowed {
                may_fail: true,
                ..Allowed::default()
            };
            if let Some(reads) = &reads {
                allowed.subqueries = reads.parameters();
            }
            let fitting = |&(_, node): &(usize, *mut pg_sys::Node)| allowed.fits(node);
            let fitting: Vec<_> = all.into_iter().enumerate().filter(fitting).collect();
            if let Some(found) = &mut reads {
                found.retain(|parameter| {
                    let without = allowed.without(parameter);
                    fitting.iter().any(|&(_, node)| !without.fits(node))
                });
            }
            let compile = |&(index, node): &(usize, *mut pg_sys::Node)| {
                let copy = pg_sys::copyObjectImpl(node.cast()).cast();
                let state = pg_sys::ExecInitExprWithParams(copy, parameters);
                (index, state)
            };
            let elements: Vec<_> = fitting.iter().map(compile).collect();
            pg_sys::MemoryContextSwitchTo(before);
            if elements.is_empty() {
                pg_sys::MemoryContextDelete(memory);
                return None;
            }
            pg_sys::MemoryContextSetParent(memory, pg_sys::CacheMemoryContext);
            Some(DirectExpressions {
                memory,
                within,
                elements,
                reads: reads.filter(|reads| !reads.is_empty()),
                functions: changes_seen(Watch::Function),
            })
        }
    }

    /// Whether the functions that are called are still what they were, and may be called, and the plan that they are of
    /// is what would be planned today.
    pub fn hold(&self, plan: &Plan) -> bool {
        let reads_hold = self.reads.is_none() || plan.holds();
        reads_hold && self.functions == changes_seen(Watch::Function)
    }

    /// Whether the element with that index is among them.
    pub fn has(&self, index: usize) -> bool {
        let of = |&(known, _): &(usize, _)| known;
        self.elements.binary_search_by_key(&index, of).is_ok()
    }

    /// Hands the index of each element and its value to `each`; null counts as false. They must hold. An error where a
    /// table has changed at this moment, which `hold` then knows.
    pub fn evaluate(&self, plan: &Plan, args: &[Arg<'_>], mut each: impl FnMut(usize, bool)) {
        if let Some(reads) = &self.reads {
            reads.lock();
            if !plan.holds() {
                pgrx::error!("a table that rules read has just been changed");
            }
        }
        // SAFETY: there are as many parameters as the statement was prepared with, of its types; what is
        // allocated on the way is freed in the end, or before the next time where an expression fails. The
        // expression is called within a guard, with nothing to drop. What is read holds, under locks.
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
            let before = pg_sys::MemoryContextSwitchTo(scratch);
            if let Some(reads) = &self.reads {
                reads.read(self.within);
            }
            for &(index, state) in &self.elements {
                let (value, is_null) = evaluate(state, self.within);
                each(index, !is_null && value.value() as u8 != 0);
            }
            pg_sys::MemoryContextSwitchTo(before);
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
