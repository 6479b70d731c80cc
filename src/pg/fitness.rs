//! Which expressions of a plan may be evaluated without the executor that the plan is made for.

use std::ffi::c_void;

use pgrx::{pg_guard, pg_sys};

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

/// What an expression may refer to, besides constants, the parameters of its statement, and functions that the server
/// came with.
#[derive(Default)]
pub(super) struct Allowed {
    /// Columns of the table with that number in the statement's list.
    pub table: Option<u32>,
    /// Answers of the subqueries with these parameters.
    pub subqueries: Vec<i32>,
    /// Whether it may fail. What the executor might not evaluate at all must not.
    pub may_fail: bool,
    /// Whether it must be the same for the same parameters, whoever asks and whenever.
    pub pure: bool,
}

impl Allowed {
    /// Whether the expression, or the list of them, refers to nothing else.
    ///
    /// # Safety
    /// A node, or null.
    pub unsafe fn fits(&self, node: *mut pg_sys::Node) -> bool {
        // SAFETY: the caller's promise. Not by way of the guarded function: called from Rust, it would cut its callers off
        // where the server raises an error.
        !unsafe { unfit(node, self) }
    }

    /// The same, without the answer of one subquery.
    pub fn without(&self, subquery: i32) -> Allowed {
        let others = self.subqueries.iter().copied();
        Allowed {
            subqueries: others.filter(|&other| other != subquery).collect(),
            ..*self
        }
    }
}

/// # Safety
/// A node, or null.
pub(super) unsafe fn is_a(node: *mut pg_sys::Node, tag: pg_sys::NodeTag) -> bool {
    // SAFETY: the caller's promise.
    !node.is_null() && unsafe { (*node).type_ == tag }
}

/// Whether an expression needs the executor, or what it is may change while its plan holds.
///
/// # Safety
/// A node, or null.
unsafe fn unfit(node: *mut pg_sys::Node, allowed: &Allowed) -> bool {
    use pg_sys::NodeTag::*;
    if node.is_null() {
        return false;
    }
    // SAFETY: nodes are looked at by their tags, as the server's own walkers do.
    unsafe {
        let known = match (*node).type_ {
            T_Param => {
                let parameter = node.cast::<pg_sys::Param>();
                match (*parameter).paramkind {
                    pg_sys::ParamKind::PARAM_EXTERN => true,
                    pg_sys::ParamKind::PARAM_EXEC => {
                        allowed.subqueries.contains(&(*parameter).paramid)
                    }
                    _ => false,
                }
            }
            T_Var => {
                let column = node.cast::<pg_sys::Var>();
                allowed.table == Some((*column).varno as u32)
                    && (*column).varlevelsup == 0
                    && (*column).varattno > 0
            }
            T_Const | T_List | T_FuncExpr | T_OpExpr | T_DistinctExpr | T_NullIfExpr
            | T_ScalarArrayOpExpr | T_BoolExpr | T_CaseExpr | T_CaseWhen | T_CaseTestExpr
            | T_RelabelType | T_CoerceViaIO | T_ArrayCoerceExpr | T_ArrayExpr | T_CoalesceExpr
            | T_SubscriptingRef | T_MinMaxExpr | T_NullTest | T_BooleanTest => true,
            _ => false,
        };
        let is_refused = match (allowed.pure, allowed.may_fail) {
            (true, _) => is_impure,
            (false, true) => is_added,
            (false, false) => may_fail,
        };
        let context: *mut c_void = std::ptr::from_ref(allowed).cast_mut().cast();
        !known
            || pg_sys::check_functions_in_node(node, Some(is_refused), context)
            || pg_sys::ffi::pg_guard_ffi_boundary(|| {
                expression_tree_walker(node, is_unfit, context)
            })
    }
}

/// The same, as the server's walker calls it.
#[pg_guard]
unsafe extern "C-unwind" fn is_unfit(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: the context is that of `unfit`, alive as long as the walk.
    unsafe { unfit(node, &*context.cast::<Allowed>()) }
}

/// Whether a function is not one that the server came with.
#[pg_guard]
unsafe extern "C-unwind" fn is_added(function: pg_sys::Oid, _context: *mut c_void) -> bool {
    function.to_u32() >= pg_sys::FirstNormalObjectId
}

/// Functions that make a text or a document of values, and are not called immutable since some values are written as the
/// settings of the session say.
const WRITING: [u32; 9] = [
    pg_sys::F_TO_JSONB,
    pg_sys::F_JSONB_BUILD_OBJECT_ANY,
    pg_sys::F_JSONB_BUILD_OBJECT_,
    pg_sys::F_JSONB_BUILD_ARRAY_ANY,
    pg_sys::F_JSONB_BUILD_ARRAY_,
    pg_sys::F_CONCAT,
    pg_sys::F_CONCAT_WS,
    pg_sys::F_FORMAT_TEXT_ANY,
    pg_sys::F_FORMAT_TEXT,
];

/// Whether a function looks at more than its arguments, or is not one that the server came with.
#[pg_guard]
unsafe extern "C-unwind" fn is_impure(function: pg_sys::Oid, _context: *mut c_void) -> bool {
    function.to_u32() >= pg_sys::FirstNormalObjectId
        || !WRITING.contains(&function.to_u32())
            // SAFETY: looks into the catalog.
            && unsafe { pg_sys::func_volatile(function) } as u8 != pg_sys::PROVOLATILE_IMMUTABLE
}

/// Functions that cannot fail, though the server does not say so: they look into a jsonb, and find null where
/// there is nothing.
const TOTAL: [u32; 2] = [
    pg_sys::F_JSONB_OBJECT_FIELD_TEXT,
    pg_sys::F_JSONB_EXTRACT_PATH_TEXT,
];

/// Whether a function may fail, or is not one that the server came with.
#[pg_guard]
unsafe extern "C-unwind" fn may_fail(function: pg_sys::Oid, _context: *mut c_void) -> bool {
    function.to_u32() >= pg_sys::FirstNormalObjectId
        || !TOTAL.contains(&function.to_u32())
            // SAFETY: looks into the catalog.
            && !unsafe { pg_sys::get_func_leakproof(function) }
}
