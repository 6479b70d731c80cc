//! What a session knows of budgets without a look at their counters: how full they are, which row it tries first,
//! and how contended they are.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use pgrx::pg_sys::{INT2OID, INT4ARRAYOID, INT4OID, INT8OID};

use super::stripes::Budget;
use crate::math::hash::ByNumber;
use crate::pg::attempt::best_effort;
use crate::pg::invalidation::Watch;
use crate::pg::small_table::{self, TypedColumn};
use crate::pg::{Cached, Row, Statement, datum, session};

thread_local! {
    static LEVELS: Cached<Levels> = const { Cached::new(Watch::Budget, "decide.budget_level") };
    static CONTENTION: RefCell<HashMap<i32, Contention, ByNumber>> = RefCell::default();
    /// How often this session has learned something by which a budget may be contested, or no longer.
    static LEARNED: Cell<u64> = const { Cell::new(0) };

    static LOAD: Statement = const { Statement::new(
        "SELECT l.slot, l.window_start, l.level, l.until FROM decide.budget_level AS l WHERE l.level > 0", &[]) };
    static ANNOUNCE: Statement = const { Statement::new(
        "UPDATE decide.budget_level AS l SET window_start = $2, level = $3, until = $4 \
          WHERE l.ctid = (SELECT k.ctid FROM decide.budget_level AS k \
                           WHERE k.slot = $1 AND (k.window_start, k.level, k.until) < ($2, $3, $4) FOR UPDATE SKIP LOCKED)",
        &[INT4OID, INT8OID, INT2OID, INT8OID]) };
    static CLEAR_LEVELS: Statement = const { Statement::new(
        "UPDATE decide.budget_level AS l SET level = 0, window_start = $2, until = $3 \
          WHERE l.ctid = ANY (ARRAY(SELECT k.ctid FROM decide.budget_level AS k \
                           WHERE k.slot = ANY ($1) AND k.level > 0 FOR UPDATE SKIP LOCKED))", &[INT4ARRAYOID, INT8OID, INT8OID]) };
    static CLEAR_LEVEL: Statement = const { Statement::new(
        "UPDATE decide.budget_level AS l SET level = 0, window_start = $2, until = $3 \
          WHERE l.ctid = (SELECT k.ctid FROM decide.budget_level AS k \
                           WHERE k.slot = $1 AND k.level > 0 FOR UPDATE SKIP LOCKED)", &[INT4OID, INT8OID, INT8OID]) };
}

/// How full a budget is; decide.budget_level has the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// So far from its limit that its counter need not be read.
    Plenty = 0,
    /// Its counter must be read before the choice.
    Low = 1,
    UsedUp = 2,
}

/// How full budgets are, by the number of the cap.
#[derive(Default)]
struct Levels {
    announced: HashMap<i32, AnnouncedLevel, ByNumber>,
    /// Until when this session treats the budget as used up, or until something is announced.
    exhausted_until: HashMap<i32, i64, ByNumber>,
}

/// What a session has seen of others at the counter rows of a budget.
#[derive(Default)]
struct Contention {
    /// The first row that it tried was found in use once.
    was_in_use: bool,
    /// How often in a row the first row that it tried was free.
    times_free: u32,
    /// The row that it tries first.
    first_row: Option<i32>,
    /// Since a wait has timed out.
    wait_pause: Option<WaitPause>,
}

impl Contention {
    /// Whether a row of one of many budgets counts as free without a claim.
    fn is_free_among_many(&self) -> bool {
        self.times_free >= USUALLY_FREE || !self.was_in_use
    }
}

/// Until when, and for how many decisions at most, this session does not wait for a row of a budget.
struct WaitPause {
    until: i64,
    decisions: u32,
}

/// Decisions without a wait after one that has timed out.
const PAUSED_DECISIONS: u32 = 4;

/// What some session has said of a budget, for a window and until a moment.
struct AnnouncedLevel {
    window_start: i64,
    level: i16,
    until: i64,
}

/// Consecutive first tries that must find a row free before a session no longer claims one before the draw.
const USUALLY_FREE: u32 = 64;

impl Budget<'_> {
    /// Whether the first of many rows that this session tries has been free time and again, so that it need not make
    /// sure of one before the choice. Of one of many budgets, whether it was not found in use lately.
    pub fn is_first_row_usually_free(&self, of_many: bool) -> bool {
        let usually = |seen: &Contention| match of_many {
            true => seen.is_free_among_many(),
            false => seen.times_free >= USUALLY_FREE,
        };
        self.0.has_many_rows()
            && CONTENTION.with_borrow(|seen| seen.get(&self.0.number).map_or(of_many, usually))
    }

    /// Whether one of many budgets may be contested, now or at a later moment, for all that this session knows: if not, its
    /// level is plenty at every moment, and its first row usually free, until [`changes`] moves.
    pub fn is_contested(&self) -> bool {
        let has_level = |levels: &Levels| {
            let number = &self.0.number;
            levels.announced.contains_key(number) || levels.exhausted_until.contains_key(number)
        };
        self.0.is_small()
            || self.0.is_paced()
            || !self.is_first_row_usually_free(true)
            || LEVELS.with(|kept| kept.with(load, has_level))
    }

    /// Notes whether the first row that was tried was free.
    pub fn note_first_row(&self, free: bool) {
        self.contention(|seen| {
            let before = seen.is_free_among_many();
            seen.was_in_use |= !free;
            seen.times_free = if free {
                seen.times_free.saturating_add(1)
            } else {
                0
            };
            if seen.is_free_among_many() != before {
                note_change();
            }
        });
    }

    /// Whether this session may wait for a row: not for as long after a timeout as that wait took, nor for so many
    /// decisions. So sessions that are too many for a budget spend half of their time waiting for it at most, and one
    /// that was late once misses few rows that pass from hand to hand.
    pub fn may_wait(&self, now: i64) -> bool {
        self.contention(|seen| match &mut seen.wait_pause {
            Some(pause) if now < pause.until && pause.decisions > 0 => {
                pause.decisions -= 1;
                false
            }
            over => {
                *over = None;
                true
            }
        })
    }

    /// Notes that a wait of so many milliseconds has timed out.
    pub fn note_wait_timeout(&self, milliseconds: u32, now: i64) {
        let pause = WaitPause {
            until: now.saturating_add(i64::from(milliseconds) * 1_000),
            decisions: PAUSED_DECISIONS,
        };
        self.contention(|seen| seen.wait_pause = Some(pause));
    }

    /// The numbers of the rows in the order in which this session tries them. Which is first depends on the session
    /// alone and not on what is chosen, so sessions do not meet while they are few.
    pub fn rows_in_order(&self) -> impl Iterator<Item = i32> + use<> {
        let rows = self.0.stripes.get();
        let first = self.contention(|seen| seen.first_row);
        let first = first.unwrap_or_else(|| session::number().rem_euclid(rows.max(1)));
        (0..rows).map(move |step| (first + step) % rows)
    }

    /// Sets the row that this session tries first.
    pub fn set_first_row(&self, stripe: i32) {
        self.contention(|seen| seen.first_row = Some(stripe));
    }

    /// Hands on what this session has seen at its rows.
    fn contention<T>(&self, then: impl FnOnce(&mut Contention) -> T) -> T {
        CONTENTION.with_borrow_mut(|seen| then(seen.entry(self.0.number).or_default()))
    }

    /// How full it is, as far as this session knows.
    pub fn level(&self, window_start: i64, now: i64) -> Level {
        let level = |levels: &Levels| {
            if levels.announced.is_empty() && levels.exhausted_until.is_empty() {
                return match self.0.is_small() {
                    true => Level::Low,
                    false => Level::Plenty,
                };
            }
            let exhausted = levels.exhausted_until.get(&self.0.number);
            if exhausted.is_some_and(|&until| now < until) {
                return Level::UsedUp;
            }
            let announced = levels.announced.get(&self.0.number);
            match announced.filter(|announced| announced.window_start == window_start) {
                Some(announced) if announced.is_used_up() && now < announced.until => Level::UsedUp,
                Some(_) => Level::Low,
                None if self.0.is_small() => Level::Low,
                None => Level::Plenty,
            }
        };
        LEVELS.with(|kept| kept.with(load, level))
    }

    /// Tells all sessions how full it is, unless another session is doing so or has the table.
    pub fn announce_level(&self, window_start: i64, level: Level, until: i64) {
        let args = [
            datum::int4(self.0.number),
            datum::int8(window_start),
            datum::int2(level as i16),
            datum::int8(until),
        ];
        best_effort(|| {
            if ANNOUNCE.with(|statement| statement.write(&args, |_| {})) > 0 {
                LEVELS.with(Cached::announce);
            }
        });
    }

    /// Treats the budget as used up, in this session, until that moment.
    pub fn set_exhausted_until(&self, until: i64) {
        let note = |levels: &mut Levels| {
            levels.exhausted_until.insert(self.0.number, until);
        };
        LEVELS.with(|kept| kept.change(note));
        note_change();
    }

    /// Clears the announced level, unless another session is announcing one.
    pub fn clear_level(&self) {
        let args = [
            datum::int4(self.0.number),
            datum::int8(i64::MIN),
            datum::int8(i64::MAX),
        ];
        if CLEAR_LEVEL.with(|statement| statement.write(&args, |_| {})) > 0 {
            LEVELS.with(Cached::announce);
        }
    }
}

/// Clears the announced levels of the budgets of these numbers, but for those that another session is announcing.
pub(super) fn clear_levels(budgets: &[i32]) {
    let args = [
        datum::array(budgets),
        datum::int8(i64::MIN),
        datum::int8(i64::MAX),
    ];
    if CLEAR_LEVELS.with(|statement| statement.write(&args, |_| {})) > 0 {
        LEVELS.with(Cached::announce);
    }
}

/// A count that moves when this session has learned something by which a budget may be contested, or no longer.
pub(super) fn changes() -> u64 {
    LEVELS.with(|kept| kept.with(load, |_| ()));
    LEARNED.get()
}

/// Moves that count.
pub(super) fn note_change() {
    LEARNED.set(LEARNED.get() + 1);
}

impl AnnouncedLevel {
    fn is_used_up(&self) -> bool {
        self.level == Level::UsedUp as i16
    }
}

/// What is read of decide.budget_level.
const COLUMNS: [TypedColumn; 4] = [
    (c"slot", INT4OID),
    (c"window_start", INT8OID),
    (c"level", INT2OID),
    (c"until", INT8OID),
];

/// Reads what sessions have announced. If others hold the table, every budget counts as plenty until the next change: a
/// decision that takes from a budget then reads its counter.
fn load() -> Levels {
    note_change();
    let read = || {
        let mut announced = HashMap::default();
        let mut note = |row: &Row<'_>, [slot, window_start, level, until]: [i32; 4]| {
            let level = AnnouncedLevel {
                window_start: row.must(window_start),
                level: row.must(level),
                until: row.must(until),
            };
            if level.level > 0 {
                announced.insert(row.must(slot), level);
            }
        };
        if !small_table::each_row("budget_level", COLUMNS, |row, columns| note(&row, columns)) {
            LOAD.with(|statement| statement.read(&[], |row| note(&row, [1, 2, 3, 4])));
        }
        announced
    };
    Levels {
        announced: best_effort(read).unwrap_or_default(),
        exhausted_until: HashMap::default(),
    }
}
