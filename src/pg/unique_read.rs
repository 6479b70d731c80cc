//! Subqueries of a planned statement that find one row of a table by a unique key, read without the executor.
//!
//! What the executor would do is done: the rights of the role of the moment are checked at each run, the
//! table and its index are locked until the transaction ends, the row is the one that the caller's snapshot sees, and the
//! index tells the server's serializable transactions what was read. What a policy for rows adds to a statement
//! depends on the role, so such statements are left to the executor.
//!
//! The executor runs such a subquery when something asks for its answer, and here it is run always: so nothing in it may
//! be able to fail.

use pgrx::{PgList, pg_sys};

use super::fitness::Allowed;
use super::index_scan::{IndexScan, MOST};

/// The subqueries of one statement that can be read so, in memory that lives as long as they do.
pub(super) struct UniqueReads {
    reads: Vec<UniqueRead>,
    /// Tables of the statement, with the rights that it takes.
    tables: *mut pg_sys::List,
    #[cfg(not(feature = "pg15"))]
    rights: *mut pg_sys::List,
    /// Where the answers stand, by the numbers of their parameters.
    answers: *mut pg_sys::ParamExecData,
}

struct UniqueRead {
    table: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: Vec<pg_sys::ScanKeyData>,
    /// Of the keys, those that depend on the statement's parameters; the others are in `keys`.
    values: Vec<(usize, *mut pg_sys::ExprState)>,
    /// What the row must fulfil besides.
    condition: *mut pg_sys::ExprState,
    answer: Answer,
    parameter: i32,
}

/// What the subquery says of its row.
enum Answer {
    /// Whether there is one.
    Exists,
    /// A value of it, or null where there is none.
    Value {
        expression: *mut pg_sys::ExprState,
        length: i16,
        by_value: bool,
    },
}

impl UniqueReads {
    /// Those among the subqueries of a statement that it runs once at most. None where there is no such subquery.
    ///
    /// # Safety
    /// The tree must be a planned statement's whose tables are locked; what is made lies in the memory context of the
    /// moment, and parameters must live as long.
    pub unsafe fn of(
        tree: *mut pg_sys::PlannedStmt,
        parameters: pg_sys::ParamListInfo,
    ) -> Option<UniqueReads> {
        // SAFETY: the caller's promise; nodes are looked at by their tags.
        unsafe {
            let once = PgList::<pg_sys::SubPlan>::from_pg((*(*tree).planTree).initPlan);
            let reads: Vec<UniqueRead> = once
                .iter_ptr()
                .filter_map(|subquery| UniqueRead::of(tree, subquery, parameters))
                .collect();
            if reads.is_empty() {
                return None;
            }
            let count = PgList::<pg_sys::Oid>::from_pg((*tree).paramExecTypes).len();
            let bytes = count * size_of::<pg_sys::ParamExecData>();
            Some(UniqueReads {
                reads,
                tables: pg_sys::copyObjectImpl((*tree).rtable.cast()).cast(),
                #[cfg(not(feature = "pg15"))]
                rights: pg_sys::copyObjectImpl((*tree).permInfos.cast()).cast(),
                answers: pg_sys::palloc0(bytes).cast(),
            })
        }
    }

    /// The parameters by which the statement knows their answers.
    pub fn parameters(&self) -> Vec<i32> {
        self.reads.iter().map(|read| read.parameter).collect()
    }

    /// Forgets those with parameters for which that is false.
    pub fn retain(&mut self, mut is_used: impl FnMut(i32) -> bool) {
        self.reads.retain(|read| is_used(read.parameter));
    }

    pub fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// Locks their tables, as a run of the statement would, and takes notice of what has changed in them.
    pub fn lock(&self) {
        for read in &self.reads {
            // SAFETY: the lock belongs to the transaction. A table that is gone is noticed, as the plan then is.
            unsafe { pg_sys::LockRelationOid(read.table, pg_sys::AccessShareLock as i32) };
        }
    }

    /// Reads them all, so that expressions in that context find their answers.
    ///
    /// # Safety
    /// The tables are locked, and unchanged since `of`. The context has the parameters that `of` was given, with
    /// values; what is allocated lies in the memory context of the moment, and answers point there.
    pub unsafe fn read(&self, within: *mut pg_sys::ExprContext) {
        // SAFETY: the caller's promise.
        unsafe {
            #[cfg(feature = "pg15")]
            pg_sys::ExecCheckRTPerms(self.tables, true);
            #[cfg(not(feature = "pg15"))]
            pg_sys::ExecCheckPermissions(self.tables, self.rights, true);
            (*within).ecxt_param_exec_vals = self.answers;
            for read in &self.reads {
                let (value, is_null) = read.run(within);
                let answer = &mut *self.answers.add(read.parameter as usize);
                answer.execPlan = std::ptr::null_mut();
                answer.value = value;
                answer.isnull = is_null;
            }
        }
    }
}

impl UniqueRead {
    /// The subquery, if it can be read so.
    ///
    /// # Safety
    /// As `UniqueReads::of`.
    unsafe fn of(
        tree: *mut pg_sys::PlannedStmt,
        subquery: *mut pg_sys::SubPlan,
        parameters: pg_sys::ParamListInfo,
    ) -> Option<UniqueRead> {
        // SAFETY: the caller's promise; nodes are looked at by their tags.
        unsafe {
            let plans = PgList::<pg_sys::Plan>::from_pg((*tree).subplans);
            let plan = plans.get_ptr(usize::try_from((*subquery).plan_id - 1).ok()?)?;
            let set = PgList::<i32>::from_pg((*subquery).setParam);
            let (Some(parameter), 1) = (set.get_int(0), set.len()) else {
                return None;
            };
            let scan = IndexScan::of(plan)?;
            if !(*plan).initPlan.is_null() {
                return None;
            }
            let tables = PgList::<pg_sys::RangeTblEntry>::from_pg((*tree).rtable);
            let table = tables.get_ptr(scan.number as usize - 1)?;
            let is_table = (*table).rtekind == pg_sys::RTEKind::RTE_RELATION
                && matches!(
                    (*table).relkind as u8,
                    pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW
                )
                && (*table).tablesample.is_null();
            let of_row = Allowed {
                table: Some(scan.number),
                ..Allowed::default()
            };
            if !is_table || !of_row.fits((*plan).qual.cast()) {
                return None;
            }
            let answer = match (*subquery).subLinkType {
                pg_sys::SubLinkType::EXISTS_SUBLINK => Answer::Exists,
                pg_sys::SubLinkType::EXPR_SUBLINK if scan.reads_table => {
                    let columns = PgList::<pg_sys::TargetEntry>::from_pg((*plan).targetlist);
                    let expression = (*columns.get_ptr(0)?).expr;
                    if columns.len() != 1 || !of_row.fits(expression.cast()) {
                        return None;
                    }
                    Answer::value(expression, parameters)
                }
                _ => return None,
            };
            let (keys, values) = scan.keys(parameters)?;
            Some(UniqueRead {
                table: (*table).relid,
                index: scan.index,
                keys,
                values,
                condition: pg_sys::ExecInitQual(
                    pg_sys::copyObjectImpl((*plan).qual.cast()).cast(),
                    std::ptr::null_mut(),
                ),
                answer,
                parameter,
            })
        }
    }

    /// The answer, and whether it is null.
    ///
    /// # Safety
    /// As `UniqueReads::read`.
    unsafe fn run(&self, within: *mut pg_sys::ExprContext) -> (pg_sys::Datum, bool) {
        // SAFETY: the caller's promise. An error leaves what is open to the abort, as everywhere in the server.
        unsafe {
            let mut keys = [pg_sys::ScanKeyData::default(); MOST];
            let keys = &mut keys[..self.keys.len()];
            keys.copy_from_slice(&self.keys);
            for &(key, state) in &self.values {
                let (value, is_null) = evaluate(state, within);
                if is_null {
                    return self.nothing();
                }
                keys[key].sk_argument = value;
            }
            let table = pg_sys::table_open(self.table, pg_sys::NoLock as i32);
            let index = pg_sys::index_open(self.index, pg_sys::AccessShareLock as i32);
            let row = pg_sys::table_slot_create(table, std::ptr::null_mut());
            let scan = begin_scan(table, index, keys);
            let forward = pg_sys::ScanDirection::ForwardScanDirection;
            let mut answer = self.nothing();
            while pg_sys::index_getnext_slot(scan, forward, row) {
                (*within).ecxt_scantuple = row;
                // Without a condition there is nothing to evaluate.
                if self.condition.is_null() || is_true(evaluate(self.condition, within)) {
                    answer = self.of_row(within);
                    break;
                }
            }
            (*within).ecxt_scantuple = std::ptr::null_mut();
            pg_sys::index_endscan(scan);
            pg_sys::ExecDropSingleTupleTableSlot(row);
            pg_sys::index_close(index, pg_sys::NoLock as i32);
            pg_sys::table_close(table, pg_sys::NoLock as i32);
            answer
        }
    }

    /// The answer without a row.
    fn nothing(&self) -> (pg_sys::Datum, bool) {
        (
            pg_sys::Datum::from(0),
            matches!(self.answer, Answer::Value { .. }),
        )
    }

    /// The answer with the row of that context.
    ///
    /// # Safety
    /// As `UniqueReads::read`.
    unsafe fn of_row(&self, within: *mut pg_sys::ExprContext) -> (pg_sys::Datum, bool) {
        match self.answer {
            Answer::Exists => (pg_sys::Datum::from(true), false),
            // SAFETY: the caller's promise; what lies in the row is copied, since the row goes.
            Answer::Value {
                expression,
                length,
                by_value,
            } => unsafe {
                match evaluate(expression, within) {
                    (value, false) => (copied(value, length, by_value), false),
                    null => null,
                }
            },
        }
    }
}

fn is_true((value, is_null): (pg_sys::Datum, bool)) -> bool {
    !is_null && value.value() as u8 != 0
}

impl Answer {
    /// That value of a row.
    ///
    /// # Safety
    /// As `UniqueReads::of`.
    unsafe fn value(expression: *mut pg_sys::Expr, parameters: pg_sys::ParamListInfo) -> Answer {
        let (mut length, mut by_value) = (0, false);
        // SAFETY: the caller's promise.
        unsafe {
            let type_ = pg_sys::exprType(expression.cast());
            pg_sys::get_typlenbyval(type_, &mut length, &mut by_value);
            let copy = pg_sys::copyObjectImpl(expression.cast()).cast();
            Answer::Value {
                expression: pg_sys::ExecInitExprWithParams(copy, parameters),
                length,
                by_value,
            }
        }
    }
}

/// # Safety
/// The index is the table's, both are open, and there is an active snapshot.
unsafe fn begin_scan(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    keys: &mut [pg_sys::ScanKeyData],
) -> pg_sys::IndexScanDesc {
    let count = keys.len() as i32;
    // SAFETY: the caller's promise; the scan copies the keys.
    unsafe {
        let snapshot = pg_sys::GetActiveSnapshot();
        #[cfg(not(feature = "pg18"))]
        let scan = pg_sys::index_beginscan(table, index, snapshot, count, 0);
        #[cfg(feature = "pg18")]
        let scan = pg_sys::index_beginscan(table, index, snapshot, std::ptr::null_mut(), count, 0);
        pg_sys::index_rescan(scan, keys.as_mut_ptr(), count, std::ptr::null_mut(), 0);
        scan
    }
}

/// A value in the memory context of the moment.
///
/// # Safety
/// It is of a type with such values.
unsafe fn copied(value: pg_sys::Datum, length: i16, by_value: bool) -> pg_sys::Datum {
    if by_value {
        return value;
    }
    // SAFETY: the caller's promise: a fixed number of bytes, a value that knows its length, or a C string.
    unsafe {
        let copy: *mut std::ffi::c_void = match usize::try_from(length) {
            Ok(bytes) => {
                let copy = pg_sys::palloc(bytes);
                std::ptr::copy_nonoverlapping(value.cast_mut_ptr::<u8>(), copy.cast(), bytes);
                copy
            }
            Err(_) if length == -1 => pg_sys::pg_detoast_datum_copy(value.cast_mut_ptr()).cast(),
            Err(_) => pg_sys::pstrdup(value.cast_mut_ptr()).cast(),
        };
        pg_sys::Datum::from(copy)
    }
}

/// The value of an expression, and whether it is null.
///
/// # Safety
/// It was made for such a context. What it calls is called within a guard, with nothing to drop.
pub(super) unsafe fn evaluate(
    state: *mut pg_sys::ExprState,
    within: *mut pg_sys::ExprContext,
) -> (pg_sys::Datum, bool) {
    // SAFETY: the caller's promise.
    unsafe {
        let function = (*state).evalfunc.expect("a compiled expression");
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let mut is_null = false;
            let value = function(state, within, &mut is_null);
            (value, is_null)
        })
    }
}
