//! Looking at a rule's text with Postgres's own parser, before it becomes part of a statement.

use std::ffi::CString;

use pgrx::{PgList, pg_sys};

use super::fitness::Allowed;

/// Whether `text` is exactly one expression. A syntax error is a Postgres error.
///
/// It must be one by itself, so that its parentheses are its own and none of them closes the one
/// that it will stand in, and it must be one in parentheses, so that nothing follows it.
pub fn is_one_expression(text: &str) -> bool {
    selects_one(&format!("SELECT\n{text}")) && selects_one(&format!("SELECT (\n{text}\n)"))
}

/// Whether the statement is a SELECT of one unnamed column and nothing else.
fn selects_one(statement: &str) -> bool {
    let Ok(statement) = CString::new(statement) else {
        return false;
    };
    // SAFETY: the raw parser gives a list of RawStmt; nodes are looked at by their tags; every
    // clause that could follow the column is a field of SelectStmt and must be empty.
    unsafe {
        let parsed =
            pg_sys::raw_parser(statement.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let statements = PgList::<pg_sys::RawStmt>::from_pg(parsed);
        let (1, Some(only)) = (statements.len(), statements.get_ptr(0)) else {
            return false;
        };
        if (*(*only).stmt).type_ != pg_sys::NodeTag::T_SelectStmt {
            return false;
        }
        let select = &*(*only).stmt.cast::<pg_sys::SelectStmt>();
        let targets = PgList::<pg_sys::ResTarget>::from_pg(select.targetList);
        let one_unnamed = targets.len() == 1
            && targets
                .get_ptr(0)
                .is_some_and(|target| (*target).name.is_null());
        one_unnamed
            && select.op == pg_sys::SetOperation::SETOP_NONE
            && select.distinctClause.is_null()
            && select.intoClause.is_null()
            && select.fromClause.is_null()
            && select.whereClause.is_null()
            && select.groupClause.is_null()
            && select.havingClause.is_null()
            && select.windowClause.is_null()
            && select.valuesLists.is_null()
            && select.sortClause.is_null()
            && select.limitOffset.is_null()
            && select.limitCount.is_null()
            && select.lockingClause.is_null()
            && select.withClause.is_null()
    }
}

/// What a statement of one column turned out to be.
pub struct Analysis {
    /// The type of its column.
    pub result_type: pg_sys::Oid,
    /// It calls something volatile, such as random() or a function that writes.
    pub volatile: bool,
    /// It sums up rows, or makes several of one.
    pub aggregates: bool,
    /// It is made of columns of its first table, constants, and immutable functions that the server came with.
    pub pure: bool,
}

/// Analyses a SELECT of one column with the current role's rights; a fault is a Postgres error.
pub fn analyse(statement: &str, types: &[pg_sys::Oid]) -> Analysis {
    let statement = CString::new(statement).expect("a statement has no NUL");
    // SAFETY: one raw statement in, one Query out; its first target is read as an expression.
    unsafe {
        let parsed =
            pg_sys::raw_parser(statement.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let raw = PgList::<pg_sys::RawStmt>::from_pg(parsed)
            .get_ptr(0)
            .expect("one statement");
        let query = pg_sys::parse_analyze_fixedparams(
            raw,
            statement.as_ptr(),
            types.as_ptr(),
            types.len() as i32,
            std::ptr::null_mut(),
        );
        let targets = PgList::<pg_sys::TargetEntry>::from_pg((*query).targetList);
        let target = targets.get_ptr(0).expect("one column");
        let pure = Allowed {
            table: Some(1),
            pure: true,
            ..Allowed::default()
        };
        Analysis {
            result_type: pg_sys::exprType((*target).expr.cast()),
            volatile: pg_sys::contain_volatile_functions(query.cast()),
            aggregates: (*query).hasAggs || (*query).hasWindowFuncs || (*query).hasTargetSRFs,
            pure: pure.fits((*target).expr.cast()),
        }
    }
}
