//! How a subquery of a plan looks a row up by an index.

use pgrx::{PgList, pg_sys};

use super::fitness::{Allowed, is_a};

/// What an index is asked for: keys, and what is to be evaluated for some of them.
pub(super) type Keys = (
    Vec<pg_sys::ScanKeyData>,
    Vec<(usize, *mut pg_sys::ExprState)>,
);

/// The most columns of a key.
pub(super) const MOST: usize = 4;

/// Of the plan of a subquery: how it reads a table.
pub(super) struct IndexScan {
    /// The table's number in the list of the statement.
    pub number: u32,
    pub index: pg_sys::Oid,
    conditions: *mut pg_sys::List,
    /// Whether its columns are those of the table, and not those of the index.
    pub reads_table: bool,
}

impl IndexScan {
    /// If it reads by an index.
    ///
    /// # Safety
    /// A plan.
    pub unsafe fn of(plan: *mut pg_sys::Plan) -> Option<IndexScan> {
        // SAFETY: nodes are looked at by their tags.
        unsafe {
            if is_a(plan.cast(), pg_sys::NodeTag::T_IndexScan) {
                let scan = plan.cast::<pg_sys::IndexScan>();
                let is_unordered = (*scan).indexorderby.is_null();
                return is_unordered.then(|| IndexScan {
                    number: (*scan).scan.scanrelid,
                    index: (*scan).indexid,
                    conditions: (*scan).indexqual,
                    reads_table: true,
                });
            }
            if is_a(plan.cast(), pg_sys::NodeTag::T_IndexOnlyScan) && (*plan).qual.is_null() {
                let scan = plan.cast::<pg_sys::IndexOnlyScan>();
                return Some(IndexScan {
                    number: (*scan).scan.scanrelid,
                    index: (*scan).indexid,
                    conditions: (*scan).indexqual,
                    reads_table: false,
                });
            }
            None
        }
    }

    /// What the index is asked for: a value for each column of a unique key. None where it is asked for anything else.
    ///
    /// # Safety
    /// The plan is of a statement whose tables are locked; what is made lies in the memory context of the moment.
    pub unsafe fn keys(&self, parameters: pg_sys::ParamListInfo) -> Option<Keys> {
        // SAFETY: the table is locked, so its index stays; nodes are looked at by their tags.
        unsafe {
            let index = pg_sys::index_open(self.index, pg_sys::AccessShareLock as i32);
            let keys = keys_of(index, self.conditions, parameters);
            pg_sys::index_close(index, pg_sys::NoLock as i32);
            keys
        }
    }
}

/// # Safety
/// As `IndexScan::keys`.
unsafe fn keys_of(
    index: pg_sys::Relation,
    conditions: *mut pg_sys::List,
    parameters: pg_sys::ParamListInfo,
) -> Option<Keys> {
    // SAFETY: the caller's promise.
    unsafe {
        let of_index = &*(*index).rd_index;
        let columns = of_index.indnkeyatts as usize;
        let conditions = PgList::<pg_sys::Node>::from_pg(conditions);
        let is_unique = of_index.indisunique
            && of_index.indimmediate
            && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID;
        if !is_unique || conditions.len() != columns || columns > MOST {
            return None;
        }
        let constant = Allowed::default();
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (place, condition) in conditions.iter_ptr().enumerate() {
            if !is_a(condition, pg_sys::NodeTag::T_OpExpr) {
                return None;
            }
            let condition = condition.cast::<pg_sys::OpExpr>();
            let sides = PgList::<pg_sys::Node>::from_pg((*condition).args);
            let (column, value) = (sides.get_ptr(0)?, sides.get_ptr(1)?);
            let column = unlabelled(column);
            if !is_a(column, pg_sys::NodeTag::T_Var) || !constant.fits(value) {
                return None;
            }
            let column = (*column.cast::<pg_sys::Var>()).varattno;
            // One for each column, in order.
            if usize::try_from(column).ok()? != place + 1 {
                return None;
            }
            let (mut strategy, mut left, mut right) =
                (0, pg_sys::Oid::INVALID, pg_sys::Oid::INVALID);
            let family = *(*index).rd_opfamily.add(place);
            pg_sys::get_op_opfamily_properties(
                (*condition).opno,
                family,
                false,
                &mut strategy,
                &mut left,
                &mut right,
            );
            if strategy as u32 != pg_sys::BTEqualStrategyNumber {
                return None;
            }
            let mut key = pg_sys::ScanKeyData::default();
            let mut argument = pg_sys::Datum::from(0);
            if is_a(value, pg_sys::NodeTag::T_Const)
                && !(*value.cast::<pg_sys::Const>()).constisnull
            {
                let copy = pg_sys::copyObjectImpl(value.cast()).cast::<pg_sys::Const>();
                argument = (*copy).constvalue;
            } else {
                let copy = pg_sys::copyObjectImpl(value.cast()).cast();
                values.push((place, pg_sys::ExecInitExprWithParams(copy, parameters)));
            }
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                0,
                column,
                strategy as pg_sys::StrategyNumber,
                right,
                (*condition).inputcollid,
                (*condition).opfuncid,
                argument,
            );
            keys.push(key);
        }
        Some((keys, values))
    }
}

/// What is under a change of a type's name alone.
///
/// # Safety
/// A node.
unsafe fn unlabelled(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the caller's promise.
    unsafe {
        match is_a(node, pg_sys::NodeTag::T_RelabelType) {
            true => (*node.cast::<pg_sys::RelabelType>()).arg.cast(),
            false => node,
        }
    }
}
