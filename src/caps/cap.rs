//! Caps as decisions hold them: which actions each binds, by how much, over which window.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::amounts::Amounts;
use super::calendar::{self, Length};
use crate::math::ledger::Terms;
use crate::pg::{Statement, datum};
use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID};

/// Who shares a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Per {
    User,
    All,
    /// The slots of one answer.
    Decision,
}

impl Per {
    pub const ALL: [Per; 3] = [Per::User, Per::All, Per::Decision];

    pub fn as_str(self) -> &'static str {
        match self {
            Per::User => "user",
            Per::All => "all",
            Per::Decision => "decision",
        }
    }

    pub fn named(name: &str) -> Option<Per> {
        Per::ALL.into_iter().find(|per| per.as_str() == name)
    }

    /// Where exposures are counted.
    pub fn counted_in(self) -> CountedIn {
        match self {
            Per::User => CountedIn::UserRow,
            Per::All => CountedIn::Stripes,
            Per::Decision => CountedIn::Answer,
        }
    }

    /// Whether it is counted in the rows of a counter.
    pub fn is_budget(self) -> bool {
        self.counted_in() == CountedIn::Stripes
    }

    /// Whether it is counted in the row of a user.
    pub fn is_of_user(self) -> bool {
        self.counted_in() == CountedIn::UserRow
    }

    /// Whether it is counted within one answer, and nowhere kept.
    pub fn is_of_decision(self) -> bool {
        self.counted_in() == CountedIn::Answer
    }
}

/// Where exposures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedIn {
    UserRow,
    Stripes,
    Answer,
}

impl CountedIn {
    /// The table; None where nothing is kept.
    pub fn table(self) -> Option<&'static str> {
        match self {
            CountedIn::UserRow => Some("user_state"),
            CountedIn::Stripes => Some("budget_stripe"),
            CountedIn::Answer => None,
        }
    }
}

/// Over which time it counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Span {
    Forever,
    /// The last so many microseconds.
    Sliding(i64),
    /// Calendar windows, as decide.cap_window has them.
    Calendar {
        length: String,
        time_zone: String,
        week_start: i32,
        /// In UTC, where no statement is needed to tell them.
        in_utc: Option<Length>,
    },
}

impl Span {
    pub fn is_calendar(&self) -> bool {
        match self {
            Span::Calendar { .. } => true,
            Span::Forever | Span::Sliding(_) => false,
        }
    }
}

/// How a budget is spread over its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pacing {
    None,
    Even,
    Frontloaded,
    Forecast,
}

impl Pacing {
    pub const ALL: [Pacing; 4] = [
        Pacing::None,
        Pacing::Even,
        Pacing::Frontloaded,
        Pacing::Forecast,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Pacing::None => "none",
            Pacing::Even => "even",
            Pacing::Frontloaded => "frontloaded",
            Pacing::Forecast => "forecast",
        }
    }

    pub fn named(name: &str) -> Option<Pacing> {
        let mut all = Pacing::ALL.into_iter();
        all.find(|pacing| pacing.as_str() == name)
    }

    /// Whether it holds delivery back.
    pub fn is_paced(self) -> bool {
        match self {
            Pacing::None => false,
            Pacing::Even | Pacing::Frontloaded | Pacing::Forecast => true,
        }
    }

    /// Whether it follows the traffic that is expected.
    pub fn needs_forecast(self) -> bool {
        match self {
            Pacing::Forecast => true,
            Pacing::None | Pacing::Even | Pacing::Frontloaded => false,
        }
    }
}

/// A cap; of one that limits each value of an attribute by itself, one of its values.
#[derive(Serialize, Deserialize)]
pub struct Cap {
    /// By which counters and traces know it.
    pub number: i32,
    pub name: String,
    pub per: Per,
    /// How much, in units: exposures, or millionths of cost.
    pub limit: i64,
    pub span: Span,
    /// The type of event that is counted; None: decisions are.
    pub counts: Option<String>,
    /// How long an exposure is reserved for its event, in microseconds.
    pub hold: i64,
    /// The width of the cells in time within which such reservations are merged, in microseconds.
    pub cell: i64,
    pub hard: bool,
    pub relax_order: i32,
    pub pacing: Pacing,
    /// How much should at least be delivered, in units.
    pub goal: Option<i64>,
    /// Units of an exposure, or of a cost of 1.
    pub scale: i64,
    /// How many rows its counter should have, and has.
    pub stripes_wanted: i32,
    pub stripes: Cell<i32>,
    /// Where it holds; None is everywhere.
    pub surface: Option<String>,
    /// What an exposure of each action that it binds takes, by the action's number.
    pub amounts: Amounts,
    /// The largest of them, at least 1, and the least that is more than nothing.
    pub largest: i64,
    pub least: Option<i64>,
    #[serde(skip)]
    pub last_window: LastWindow,
}

/// The calendar window that was looked up last: the start of the one before, its own start, and its end.
#[derive(Default)]
pub struct LastWindow(Cell<(i64, i64, i64)>);

/// Many caps are over the same span: those of the values of an attribute.
const MOST_SPANS: usize = 16;

/// The windows of a moment that were looked up for another cap over that span.
fn last_of_span(span: &Span, now: i64) -> Option<(i64, i64, i64)> {
    LAST_OF_SPANS.with_borrow(|last| {
        let (_, windows) = last.iter().find(|(of, _)| of == span)?;
        let (_, starts, ends) = *windows;
        (starts..ends).contains(&now).then_some(*windows)
    })
}

/// Where the window before begins, where the present one does, and where that ends.
type Windows = (i64, i64, i64);

thread_local! {
    /// The windows that were looked up last, by span.
    static LAST_OF_SPANS: RefCell<VecDeque<(Span, Windows)>> = const { RefCell::new(VecDeque::new()) };
    static WINDOW: Statement = const { Statement::new(
        "SELECT b.starts, w.starts, w.ends FROM decide.cap_window($1, $2::interval, $3, $4) AS w \
          CROSS JOIN LATERAL decide.cap_window(w.starts - interval '1 microsecond', $2::interval, $3, $4) AS b",
        &[TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4OID]) };
}

/// Counters of a sliding window keep entries from before it for an eighth of its length: for at least and at most so
/// many microseconds, and for no longer than its length.
const KEPT_BEFORE: (i64, i64) = (1_000_000, 60_000_000);

/// Into how many cells at least the reservations of a sliding window are merged.
const CELLS_OF_WINDOW: i64 = 64;

/// Exposures of a stripe of a budget that is large enough for many; and how many stripes at least, so that
/// one long transaction does not stop a campaign, and at most.
pub const SHARE: i64 = 64;
pub const LEAST_STRIPES: i64 = 4;
/// Stripes of a large budget where the server takes fewer connections, and the most that a counter can have.
const FEW_SESSIONS: i64 = 32;
const MOST_STRIPES: i64 = 256;

/// The most stripes of a budget that is paced.
pub const MOST_PACED: i64 = 4;

/// How many stripes a large budget has, by the number of connections that the server takes: a transaction holds the
/// stripe that it has taken from until its commit is on disk, and each session begins with a stripe of its own.
pub fn most_stripes(connections: i64) -> i64 {
    connections.clamp(FEW_SESSIONS, MOST_STRIPES)
}

/// The same of one of the budgets that a cap has for so many values of an attribute: what sessions take spreads over them, so
/// that all of them together need few more stripes than one budget.
pub fn most_stripes_of_value(connections: i64, values: i64) -> i64 {
    let all = most_stripes(connections);
    (all * FEW_VALUES / values.max(1)).clamp(i64::from(MANY_STRIPES).min(all), all)
}

/// Of so few values each may be as much in demand as a budget for all.
const FEW_VALUES: i64 = 32;

/// From so many stripes on, other sessions do not hold all of them for longer than a moment.
const MANY_STRIPES: i32 = 16;

impl Cap {
    /// The window that `now` is in: from and up to.
    pub fn window(&self, now: i64) -> (i64, i64) {
        let (_, starts, ends) = self.windows(now);
        (starts, ends)
    }

    /// The same, and from when on the counters keep what is before it.
    fn windows(&self, now: i64) -> (i64, i64, i64) {
        match &self.span {
            Span::Forever => (i64::MIN, i64::MIN, i64::MAX),
            Span::Sliding(length) => {
                let from = now.saturating_sub(*length) + 1;
                let before = (length / 8).max(KEPT_BEFORE.0).min(KEPT_BEFORE.1);
                (from.saturating_sub(before.min(*length)), from, i64::MAX)
            }
            Span::Calendar { .. } => {
                let (before, starts, ends) = self.last_window.0.get();
                if (starts..ends).contains(&now) {
                    return (before, starts, ends);
                }
                let windows = last_of_span(&self.span, now).unwrap_or_else(|| {
                    let windows = self.calendar(now);
                    LAST_OF_SPANS.with_borrow_mut(|last| {
                        last.retain(|(span, _)| *span != self.span);
                        last.push_front((self.span.clone(), windows));
                        last.truncate(MOST_SPANS);
                    });
                    windows
                });
                self.last_window.0.set(windows);
                windows
            }
        }
    }

    /// The window of a moment that an event tells of, which may be another than that of the terms. Needs an open
    /// session.
    pub fn window_of(&self, at: i64, terms: &Terms) -> (i64, i64) {
        match self.span {
            Span::Calendar { .. } if at >= terms.until || at < terms.kept_from => {
                let (_, starts, ends) = self.calendar(at);
                (starts, ends)
            }
            Span::Calendar { .. } if at < terms.from => (terms.kept_from, terms.from),
            Span::Calendar { .. } => terms.window(),
            Span::Forever | Span::Sliding(_) => (i64::MIN, i64::MAX),
        }
    }

    /// The calendar window of any moment, and where the one before begins; all time where there is none.
    fn calendar(&self, at: i64) -> (i64, i64, i64) {
        let mut windows = (i64::MIN, i64::MIN, i64::MAX);
        let Span::Calendar {
            length,
            time_zone,
            week_start,
            in_utc,
        } = &self.span
        else {
            return windows;
        };
        let in_utc = in_utc.and_then(|length| calendar::windows(at, length, *week_start));
        if let Some(windows) = in_utc {
            return windows;
        }
        let args = [
            datum::timestamp(at),
            datum::text(length),
            datum::text(time_zone),
            datum::int4(*week_start),
        ];
        WINDOW.with(|statement| {
            statement.read(&args, |row| {
                let found = row.timestamp(2).zip(row.timestamp(3));
                if let Some((starts, ends)) = found {
                    windows = (row.timestamp(1).unwrap_or(starts), starts, ends);
                }
            })
        });
        windows
    }

    /// The window that a level holds for, by its beginning: a sliding one has none.
    pub fn level_window(&self, starts: i64) -> i64 {
        match self.span {
            Span::Sliding(_) => i64::MIN + 1,
            Span::Forever | Span::Calendar { .. } => starts.max(i64::MIN + 1),
        }
    }

    /// Which entries of its ledgers bind at that moment.
    pub fn terms(&self, now: i64) -> Terms {
        let (kept_from, from, until) = self.windows(now);
        Terms {
            from,
            until,
            // Events alone date what they count, and only in rows of users.
            binds_later: !self.per.is_of_user() || self.counts.is_none(),
            kept_from,
            reserved_from: match self.per {
                Per::User => now.saturating_sub(self.hold) + 1,
                Per::All | Per::Decision => i64::MIN,
            },
            sliding: match self.span {
                Span::Sliding(length) => Some(length),
                Span::Forever | Span::Calendar { .. } => None,
            },
            hold: self.hold,
            // Reservations that are merged go on binding for a part of the window at most.
            cell: match self.span {
                Span::Sliding(length) => self.cell.min((length / CELLS_OF_WINDOW).max(1)),
                Span::Forever | Span::Calendar { .. } => self.cell,
            },
        }
    }

    /// The amount of an exposure of that action on that surface; None where the cap does not bind it.
    pub fn amount(&self, action: i32, surface: &str) -> Option<i64> {
        let here = self.binds_on(surface);
        here.then(|| self.amounts.get(action)).flatten()
    }

    /// Whether it holds on a surface.
    pub fn binds_on(&self, surface: &str) -> bool {
        self.surface.as_deref().is_none_or(|only| only == surface)
    }

    /// Whether decisions always read the counter before they choose: its stripes have few units each, or there is one
    /// stripe only, which others may hold.
    pub fn is_small(&self) -> bool {
        let stripes = self.stripes.get().max(1);
        stripes == 1 || self.limit / i64::from(stripes) < SHARE.saturating_mul(self.largest)
    }

    /// Whether its rows are so many that other sessions rarely hold all of them.
    pub fn has_many_rows(&self) -> bool {
        self.stripes.get() >= MANY_STRIPES
    }

    /// How little of a stripe must be left for its budget to be low.
    pub fn low_water_mark(&self) -> i64 {
        (self.limit / i64::from(self.stripes.get().max(1)) / 8)
            .clamp(self.largest, SHARE.saturating_mul(self.largest))
    }
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
