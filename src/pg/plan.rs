//! Statements on kept plans: prepared once per backend, run with datums, read row by row.

use std::cell::{Cell, OnceCell};
use std::ffi::{CStr, CString, c_char};

use pgrx::{PgList, pg_sys};

use super::made::{self, Missed};
pub use super::planner::with_server_planner;
use super::row::Row;
use super::spi::SessionMark;
use super::value::{self, Arg};

/// Whether a statement may write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Runs on the caller's snapshot; fit for READ ONLY transactions and standbys.
    Read,
    /// Sees what earlier statements of this transaction wrote.
    Write,
}

/// A plan that outlives the transaction. To make, plan and run it takes an open session, which debug builds check.
pub struct Plan {
    plan: pg_sys::SPIPlanPtr,
    /// The types of its parameters.
    types: Box<[pg_sys::Oid]>,
    /// Whether it has run, and so has been planned.
    planned: Cell<bool>,
}

impl Plan {
    /// Plans `sql`, once for all parameters; a fault in it is a Postgres error.
    pub fn prepare(sql: &str, types: &[pg_sys::Oid]) -> Plan {
        SessionMark::debug_check_any();
        let sql = CString::new(sql).expect("a statement has no NUL");
        // SAFETY: text and types live through the call; the plan is kept at once, so that it lies
        // in memory of its own.
        with_standard_strings(|| unsafe {
            let plan = pg_sys::SPI_prepare_cursor(
                sql.as_ptr(),
                types.len() as i32,
                types.as_ptr().cast_mut(),
                pg_sys::CURSOR_OPT_GENERIC_PLAN as i32,
            );
            let code = pg_sys::SPI_result;
            assert!(!plan.is_null(), "SPI_prepare answered {code}");
            pg_sys::SPI_keepplan(plan);
            Plan {
                plan,
                types: types.into(),
                planned: Cell::new(false),
            }
        })
    }

    /// Whether a run would begin at once: it has been planned, and that still holds.
    pub fn is_ready(&self) -> bool {
        // SAFETY: the plan is kept as long as self.
        self.planned.get() && unsafe { pg_sys::SPI_plan_is_valid(self.plan) }
    }

    /// Whether what it has been planned as is what would be planned today, as far as changes have been noticed.
    pub fn holds(&self) -> bool {
        // SAFETY: the plan is kept as long as self, and its only statement with it.
        self.planned.get()
            && unsafe {
                let sources = pg_sys::SPI_plan_get_plan_sources(self.plan);
                let sources = PgList::<pg_sys::CachedPlanSource>::from_pg(sources);
                sources.get_ptr(0).is_some_and(|source| {
                    let made = (*source).gplan;
                    (*source).is_valid && !made.is_null() && (*made).is_valid
                })
            }
    }

    /// Plans it now, without running it.
    pub fn make_ready(&self) {
        SessionMark::debug_check_any();
        made::note(Missed::Plan);
        // SAFETY: the plan is kept as long as self; what is made of it is counted by the owner of the
        // moment, released at once, and stays with the plan.
        with_standard_strings(|| {
            in_memory(|| unsafe {
                let made = pg_sys::SPI_plan_get_cached_plan(self.plan);
                if !made.is_null() {
                    pg_sys::ReleaseCachedPlan(made, pg_sys::CurrentResourceOwner);
                }
            })
        });
        self.planned.set(true);
    }

    /// What it has been planned as, held until the answer is dropped. None before it has been planned, or where
    /// that no longer holds.
    pub fn hold(&self) -> Option<Planned> {
        SessionMark::debug_check_any();
        if !self.is_ready() {
            return None;
        }
        // SAFETY: as in `make_ready`.
        let made = with_standard_strings(|| {
            in_memory(|| unsafe { pg_sys::SPI_plan_get_cached_plan(self.plan) })
        });
        // SAFETY: the plan has one statement, which is kept as long as self.
        let depends_on_role = unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.plan);
            let sources = PgList::<pg_sys::CachedPlanSource>::from_pg(sources);
            sources
                .get_ptr(0)
                .is_none_or(|source| (*source).dependsOnRLS)
        };
        (!made.is_null()).then_some(Planned {
            made,
            depends_on_role,
        })
    }

    /// Whether, as it is planned now, it may call user-defined functions: itself, or for the checks of a domain. True
    /// where that is not known. Takes as long as planning: to be asked once.
    pub fn calls_user_functions(&self) -> bool {
        let planned = self.hold();
        let tree = planned.as_ref().and_then(Planned::tree);
        tree.is_none_or(|tree| {
            // SAFETY: the plan is held. The server notes which functions a plan depends on, but for its own. Checks of
            // domains are in no plan, and run for values of all types that contain them.
            unsafe {
                let depends = PgList::<pg_sys::PlanInvalItem>::from_pg((*tree).invalItems);
                let text = CStr::from_ptr(pg_sys::nodeToString(tree.cast()));
                !depends.is_empty() || names_user_type(text.to_bytes())
            }
        })
    }

    /// Whether the planner has found that the first column is false or null in every row. It must be a boolean.
    pub fn is_never_true(&self) -> bool {
        let planned = self.hold();
        let tree = planned.as_ref().and_then(Planned::tree);
        tree.is_some_and(|tree| {
            // SAFETY: the plan is held; nodes are looked at by their tags.
            unsafe {
                let columns = (*(*tree).planTree).targetlist;
                let columns = PgList::<pg_sys::TargetEntry>::from_pg(columns);
                let first = columns.get_ptr(0).map(|column| (*column).expr);
                first.is_some_and(|node| {
                    let is_constant = (*node).type_ == pg_sys::NodeTag::T_Const;
                    let constant = node.cast::<pg_sys::Const>();
                    is_constant && ((*constant).constisnull || (*constant).constvalue.value() == 0)
                })
            }
        })
    }

    /// Begins to run it, for a cursor.
    fn portal(&self, access: Access, args: &[Arg<'_>]) -> pg_sys::Portal {
        let (mut values, nulls) = self.laid_out(args);
        // SAFETY: values and nulls are those of the plan's parameters, and copied; the portal holds the plan,
        // and lives until Drop or the transaction's end.
        let mut open = || unsafe {
            pg_sys::SPI_cursor_open(
                std::ptr::null(),
                self.plan,
                values.as_mut_ptr(),
                nulls.as_ptr(),
                access == Access::Read,
            )
        };
        let portal = match self.is_ready() {
            true => open(),
            false => {
                made::note(Missed::Plan);
                with_standard_strings(|| in_memory(open))
            }
        };
        self.planned.set(true);
        portal
    }

    /// Runs the plan, hands each row to `each`, and answers how many rows there were: returned by
    /// a query or RETURNING, else changed.
    pub fn run(&self, access: Access, args: &[Arg<'_>], mut each: impl FnMut(Row<'_>)) -> u64 {
        let (mut values, nulls) = self.laid_out(args);
        // SAFETY: values and nulls are those of the plan's parameters; the tuple table is read
        // before the next statement and freed here; rows borrow from it and cannot escape `each`.
        unsafe {
            let mut execute = || {
                pg_sys::SPI_execute_plan(
                    self.plan,
                    values.as_mut_ptr(),
                    nulls.as_ptr(),
                    access == Access::Read,
                    0,
                )
            };
            let code = if self.is_ready() {
                execute()
            } else {
                made::note(Missed::Plan);
                with_standard_strings(|| in_memory(execute))
            };
            self.planned.set(true);
            assert!(code >= 0, "SPI_execute_plan answered {code}");
            let processed = pg_sys::SPI_processed;
            for_each_row(&mut each);
            processed
        }
    }

    /// Parameters as SPI takes them; in debug builds, they must be of the types that the statement declares.
    fn laid_out(&self, args: &[Arg<'_>]) -> ([pg_sys::Datum; MOST], [c_char; MOST]) {
        SessionMark::debug_check_any();
        assert!(
            args.len() == self.types.len() && args.len() <= MOST,
            "{} parameters of {}, and at most {MOST}",
            args.len(),
            self.types.len()
        );
        let mut values = [pg_sys::Datum::from(0); MOST];
        let mut nulls = [b' ' as c_char; MOST];
        for (i, arg) in args.iter().enumerate() {
            value::debug_check_type(arg, self.types[i], i + 1);
            match arg {
                Some(value) => values[i] = value.datum(),
                None => nulls[i] = b'n' as c_char,
            }
        }
        (values, nulls)
    }
}

/// Whether the text of a plan names a type that is not the server's own: after a field like `:resulttype` or
/// `:coltypes`, which has a number, or a list of them.
fn names_user_type(plan: &[u8]) -> bool {
    let mut words = plan.split(|&byte| byte == b' ');
    let mut of_types = false;
    words.any(|word| {
        match word {
            [b':', name @ ..] => of_types = name.windows(4).any(|part| part == b"type"),
            [b'{', ..] => of_types = false,
            _ => {}
        }
        let digits = word.strip_suffix(b")").unwrap_or(word);
        let number = str::from_utf8(digits)
            .ok()
            .and_then(|word| word.parse::<u32>().ok());
        of_types && number.is_some_and(|oid| oid >= pg_sys::FirstNormalObjectId)
    })
}

const MOST: usize = 40;

/// A planned statement that is held.
pub struct Planned {
    made: *mut pg_sys::CachedPlan,
    /// Whether it has been rewritten for the role of the moment.
    depends_on_role: bool,
}

impl Planned {
    /// Its tree, alive as long as self.
    pub(super) fn tree(&self) -> Option<*mut pg_sys::PlannedStmt> {
        // SAFETY: the plan is held.
        let statements = unsafe { PgList::<pg_sys::PlannedStmt>::from_pg((*self.made).stmt_list) };
        statements.get_ptr(0)
    }

    /// Whether it is the same whoever runs it, and whenever, as long as no table or function changes.
    pub(super) fn is_the_same_for_all_roles(&self) -> bool {
        // SAFETY: the plan is held.
        let (of_role, for_now) = unsafe {
            let made = &*self.made;
            (
                made.dependsOnRole,
                made.saved_xmin != pg_sys::InvalidTransactionId,
            )
        };
        !self.depends_on_role && !of_role && !for_now
    }
}

impl Drop for Planned {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: released once, by the owner that counted it; after an ERROR the abort does it.
            unsafe { pg_sys::ReleaseCachedPlan(self.made, pg_sys::CurrentResourceOwner) }
        }
    }
}

/// Hands on the rows of the last statement and frees them.
///
/// # Safety
/// A statement must just have been run in the open session.
unsafe fn for_each_row(each: &mut impl FnMut(Row<'_>)) {
    // SAFETY: the table stays until it is freed here, also if `each` runs statements of its own.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() {
            return;
        }
        for i in 0..(*table).numvals as usize {
            let tuple = *(*table).vals.add(i);
            each(Row::new(tuple, (*table).tupdesc));
        }
        pg_sys::SPI_freetuptable(table);
    }
}

/// A query that is read in batches, each in a session that may be another one.
pub struct Cursor {
    portal: pg_sys::Portal,
    /// Where it has a plan of its own.
    _plan: Option<Plan>,
}

impl Cursor {
    /// Opens it on the caller's snapshot.
    pub fn open(plan: Plan, args: &[Arg<'_>]) -> Cursor {
        let portal = plan.portal(Access::Read, args);
        Cursor {
            portal,
            _plan: Some(plan),
        }
    }

    /// Hands the next `most` rows to `each`; answers how many there were.
    pub fn fetch(&mut self, most: i64, mut each: impl FnMut(Row<'_>)) -> i64 {
        SessionMark::debug_check_any();
        // SAFETY: the portal is open, see `open`.
        unsafe {
            pg_sys::SPI_cursor_fetch(self.portal, true, most as _);
            let rows = pg_sys::SPI_processed as i64;
            for_each_row(&mut each);
            rows
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: closed once; after an ERROR the abort closes it.
            unsafe { pg_sys::SPI_cursor_close(self.portal) };
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: the plan was kept by `prepare` and is freed once. At exit of the process the
        // memory goes anyway, and the executor may be gone before.
        unsafe {
            if !pg_sys::proc_exit_inprogress {
                pg_sys::SPI_freeplan(self.plan);
            }
        }
    }
}

/// A statement of ours: its text, its parameters, and the plan that this backend keeps for it.
/// Lives in a `thread_local!`.
pub struct Statement {
    sql: &'static str,
    types: &'static [pg_sys::Oid],
    plan: OnceCell<Plan>,
}

impl Statement {
    pub const fn new(sql: &'static str, types: &'static [pg_sys::Oid]) -> Statement {
        Statement {
            sql,
            types,
            plan: OnceCell::new(),
        }
    }

    fn plan(&self) -> &Plan {
        self.plan
            .get_or_init(|| Plan::prepare(self.sql, self.types))
    }

    pub fn read(&self, args: &[Arg<'_>], each: impl FnMut(Row<'_>)) -> u64 {
        self.plan().run(Access::Read, args, each)
    }

    pub fn write(&self, args: &[Arg<'_>], each: impl FnMut(Row<'_>)) -> u64 {
        self.plan().run(Access::Write, args, each)
    }

    /// Its rows, to be read in batches.
    pub fn cursor(&self, access: Access, args: &[Arg<'_>]) -> Cursor {
        Cursor {
            portal: self.plan().portal(access, args),
            _plan: None,
        }
    }
}

/// Runs `work` with the one reading of string constants that rules and statements are written in,
/// whatever the caller has set.
pub fn with_standard_strings<T>(work: impl FnOnce() -> T) -> T {
    with_setting(c"standard_conforming_strings", c"on", work)
}

/// Runs `work` with numbers written as exactly as they are, whatever the caller has set.
pub fn with_exact_floats<T>(work: impl FnOnce() -> T) -> T {
    with_setting(c"extra_float_digits", c"1", work)
}

/// Runs `work` with messages in the server's own words, whatever language the caller reads.
pub fn with_english_messages<T>(work: impl FnOnce() -> T) -> T {
    with_setting(c"lc_messages", c"C", work)
}

/// Runs `work`, which plans a statement as for tables that lie in memory: what a decision looks at
/// is looked at all the time, so that a few look-ups by an index beat reading a table whole; and in the
/// server's way, whatever the caller has set.
fn in_memory<T>(work: impl FnOnce() -> T) -> T {
    with_server_planner(|| {
        with_setting(c"seq_page_cost", c"0.1", || {
            with_setting(c"random_page_cost", c"0.1", work)
        })
    })
}

/// Runs `work`, in which a wait for a lock fails after so many milliseconds.
pub(super) fn with_lock_timeout<T>(milliseconds: i32, work: impl FnOnce() -> T) -> T {
    let value = CString::new(milliseconds.to_string()).expect("digits");
    with_setting(c"lock_timeout", &value, work)
}

fn with_setting<T>(name: &CStr, value: &CStr, work: impl FnOnce() -> T) -> T {
    // SAFETY: a nest level is opened and closed as around a function with a SET clause; after an
    // ERROR the abort of the transaction closes it.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        set_for_now(name, value);
        let result = work();
        pg_sys::AtEOXact_GUC(true, level);
        result
    }
}

/// Sets it until the nest level ends.
///
/// # Safety
/// A nest level must be open that ends before the caller's.
pub(super) unsafe fn set_for_now(name: &CStr, value: &CStr) {
    // SAFETY: the texts live through the call.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

/// Runs `work`, whose statements that read see one state: what a statement of the caller would see now.
pub fn on_one_snapshot<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: pushed and popped in pairs; after an ERROR the abort pops it.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = work();
        pg_sys::PopActiveSnapshot();
        result
    }
}

/// Runs `work` on the newest committed state, whatever snapshot the caller's transaction has.
pub fn on_latest_snapshot<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: pushed and popped in pairs; after an ERROR the abort pops it.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        let result = work();
        pg_sys::PopActiveSnapshot();
        result
    }
}
