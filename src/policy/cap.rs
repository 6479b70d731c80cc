//! Caps as decisions hold them: which actions each binds, by how much, over which window.

use std::cell::Cell;
use std::collections::HashMap;

use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID};
use serde_json::value::RawValue;

use super::tables::{ActionRow, CapRow, Content};
use super::validate::Faults;
use crate::math::ledger::Terms;
use crate::pg::{Statement, datum};

/// Who shares a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    User,
    All,
    /// The slots of one answer.
    Decision,
}

/// Over which time it counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Span {
    Forever,
    /// The last so many microseconds.
    Sliding(i64),
    /// Calendar windows, as decide.cap_window has them.
    Calendar {
        length: String,
        time_zone: String,
        week_start: i32,
    },
}

/// How a budget is spread over its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    None,
    Even,
    Frontloaded,
    Forecast,
}

/// A cap; of one that limits each value of an attribute by itself, one of its values.
pub struct Cap {
    /// The number by which counters and traces know it.
    pub slot: i32,
    pub name: String,
    pub per: Per,
    /// How much, in units: exposures, or millionths of cost.
    pub limit: i64,
    pub span: Span,
    /// The type of event that is counted; None: decisions are.
    pub counts: Option<String>,
    /// How long an exposure is reserved for its event, in microseconds.
    pub hold: i64,
    /// The grid in which such reservations are brought together.
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
    pub amounts: HashMap<i32, i64>,
    /// The largest of them, at least 1, and the least that is more than nothing.
    pub largest: i64,
    pub least: Option<i64>,
    /// The calendar window that was asked for last: where the one before begins, it begins, and it ends.
    window: Cell<(i64, i64, i64)>,
}

thread_local! {
    static WINDOW: Statement = const { Statement::new(
        "SELECT b.starts, w.starts, w.ends FROM decide.cap_window($1, $2::interval, $3, $4) AS w \
          CROSS JOIN LATERAL decide.cap_window(w.starts - interval '1 microsecond', $2::interval, $3, $4) AS b",
        &[TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4OID]) };
}

/// Before a sliding window begins its counters keep an eighth of its length, at least and at most so many
/// microseconds, and no more than its length.
const KEPT_BEFORE: (i64, i64) = (1_000_000, 60_000_000);

/// Into how many cells at least the reservations of a sliding window are brought together.
const CELLS_OF_WINDOW: i64 = 64;

/// Units of a cost of 1.
const COST: f64 = 1e6;

/// The largest cost whose millionths a double tells apart: 2^53 of them.
const MOST_COST: f64 = 9_007_199_254.0;

/// The largest limit, in units: the exposures of one answer fit on top of it.
const MOST_UNITS: i64 = i64::MAX / 2;

/// Exposures of a stripe of a budget that is large enough for many; and how many stripes at least, so that
/// one long transaction does not stop a campaign, and at most.
const SHARE: i64 = 64;
const LEAST_STRIPES: i64 = 4;
const MOST_STRIPES: i64 = 32;
const MOST_PACED: i64 = 4;

/// So many stripes are not all held by others, but for a moment.
const MANY_STRIPES: i32 = 16;

impl Cap {
    /// The window that `now` is in: from and up to. Needs an open session.
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
                let (before, starts, ends) = self.window.get();
                if (starts..ends).contains(&now) {
                    return (before, starts, ends);
                }
                let windows = self.calendar(now);
                self.window.set(windows);
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
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// The calendar window of any moment, and where the one before begins; all time where there is none.
    fn calendar(&self, at: i64) -> (i64, i64, i64) {
        let mut windows = (i64::MIN, i64::MIN, i64::MAX);
        let Span::Calendar {
            length,
            time_zone,
            week_start,
        } = &self.span
        else {
            return windows;
        };
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
            _ => starts.max(i64::MIN + 1),
        }
    }

    /// Which entries of its ledgers bind at that moment. Needs an open session.
    pub fn terms(&self, now: i64) -> Terms {
        let (kept_from, from, until) = self.windows(now);
        Terms {
            from,
            until,
            // Events alone date what they count, and only in rows of users.
            binds_later: self.per != Per::User || self.counts.is_none(),
            kept_from,
            reserved_from: match self.per {
                Per::User => now.saturating_sub(self.hold) + 1,
                _ => i64::MIN,
            },
            sliding: match self.span {
                Span::Sliding(length) => Some(length),
                _ => None,
            },
            hold: self.hold,
            // What is brought together goes on binding for a part of the window at most.
            cell: match self.span {
                Span::Sliding(length) => self.cell.min((length / CELLS_OF_WINDOW).max(1)),
                _ => self.cell,
            },
        }
    }

    /// The amount of an exposure of that action on that surface; None where the cap does not bind it.
    pub fn amount(&self, action: i32, surface: &str) -> Option<i64> {
        let here = self.surface.as_deref().is_none_or(|only| only == surface);
        here.then(|| self.amounts.get(&action).copied()).flatten()
    }

    /// Whether decisions always look at the counters before they choose: so few units there are to a stripe, or there
    /// is one stripe only, which others may hold.
    pub fn is_small(&self) -> bool {
        let stripes = self.stripes.get().max(1);
        stripes == 1 || self.limit / i64::from(stripes) < SHARE.saturating_mul(self.largest)
    }

    /// Whether its rows are so many that it is rare that others have all of them.
    pub fn has_many_rows(&self) -> bool {
        self.stripes.get() >= MANY_STRIPES
    }

    /// What is left of a stripe when others should begin to look before they choose.
    pub fn little(&self) -> i64 {
        (self.limit / i64::from(self.stripes.get().max(1)) / 8)
            .clamp(self.largest, SHARE.saturating_mul(self.largest))
    }
}

/// The caps of a bundle; what is wrong with them is among the faults.
pub fn caps(content: &Content, faults: &mut Faults) -> Vec<Cap> {
    let mut caps = Vec::new();
    for row in &content.caps {
        match cap(row, content) {
            Ok(cap) => caps.push(cap),
            Err(reason) => faults.add("decide.cap", &row.cap, reason),
        }
        let bound = content.actions.iter().filter(|action| binds(row, action));
        for action in bound.filter(|action| row.unit == "cost" && !is_countable(action.cost)) {
            let reason = format!(
                "cost {}: cap \"{}\" counts cost, in millionths, of at most {MOST_COST} an exposure",
                action.cost, row.cap
            );
            faults.add("decide.action", &action.action, reason);
        }
    }
    caps.sort_by_key(|cap| cap.slot);
    caps
}

fn cap(row: &CapRow, content: &Content) -> Result<Cap, String> {
    let per = match row.per.as_str() {
        "user" => Per::User,
        "all" => Per::All,
        "decision" => Per::Decision,
        other => return Err(format!("per \"{other}\" is none of user, all, decision")),
    };
    let is_cost = row.unit == "cost";
    let scale = if is_cost { COST as i64 } else { 1 };
    let limit = in_units(row.max_count, scale, "max_count")?;
    let goal = match row.min_count {
        Some(least) => Some(in_units(least, scale, "min_count")?),
        None => None,
    };
    let bound = content.actions.iter().filter(|action| binds(row, action));
    let amount = |action: &ActionRow| if is_cost { units(action.cost) } else { 1 };
    let amounts: HashMap<i32, i64> = bound
        .map(|action| (action.number, amount(action)))
        .collect();
    let pacing = match row.pacing.as_str() {
        "none" => Pacing::None,
        "even" => Pacing::Even,
        "frontloaded" => Pacing::Frontloaded,
        "forecast" => Pacing::Forecast,
        other => {
            return Err(format!(
                "pacing \"{other}\" is none of none, even, frontloaded, forecast"
            ));
        }
    };
    let span = span(row)?;
    if pacing != Pacing::None && !(per == Per::All && matches!(span, Span::Calendar { .. })) {
        return Err("pacing: only a cap for all users over a calendar window can be paced".into());
    }
    if row.min_count.is_some() && !(per == Per::All && matches!(span, Span::Calendar { .. })) {
        return Err(
            "min_count: only a cap for all users over a calendar window can have a goal".into(),
        );
    }
    if row.min_count.is_some_and(|least| least > row.max_count) {
        return Err("min_count: it is more than max_count".into());
    }
    if per == Per::Decision && row.counts != "decision" {
        return Err("counts: a cap within a decision counts decisions".into());
    }
    let types = &content.event_types;
    if row.counts != "decision"
        && !types.is_empty()
        && !types.iter().any(|t| t.event_type == row.counts)
    {
        return Err(format!(
            "counts: event type \"{}\" is not in decide.event_type",
            row.counts
        ));
    }
    let most = match pacing {
        Pacing::None => MOST_STRIPES,
        _ => MOST_PACED,
    };
    let stripes = row.stripes.unwrap_or_else(|| {
        (row.max_count / SHARE)
            .max(LEAST_STRIPES.min(row.max_count))
            .clamp(1, most) as i32
    });
    let name = match &row.value {
        Some(value) => format!("{} ({value})", row.cap),
        None => row.cap.clone(),
    };
    Ok(Cap {
        slot: row.slot,
        name,
        per,
        limit,
        span,
        counts: (row.counts != "decision").then(|| row.counts.clone()),
        hold: row.hold_us as i64,
        cell: row.cell_us,
        hard: row.hard,
        relax_order: row.relax_order,
        pacing,
        goal,
        scale,
        stripes_wanted: stripes,
        stripes: Cell::new(stripes),
        surface: row.surface.clone(),
        largest: amounts.values().copied().max().unwrap_or(1).max(1),
        least: amounts.values().copied().filter(|&n| n > 0).min(),
        amounts,
        window: Cell::new((0, 0, 0)),
    })
}

fn span(row: &CapRow) -> Result<Span, String> {
    let Some(length) = &row.window_length else {
        return Ok(Span::Forever);
    };
    if row.window_kind == "sliding" {
        return Ok(Span::Sliding((row.window_us as i64).max(1)));
    }
    let parts = [row.window_months, row.window_days, row.window_part_us];
    if parts.iter().filter(|&&part| part != 0.0).count() != 1
        || parts.iter().any(|&part| part < 0.0)
    {
        return Err(format!(
            "window_length {length}: a calendar window is of whole months, of whole days, or of a part of a day"
        ));
    }
    Ok(Span::Calendar {
        length: length.clone(),
        time_zone: row.time_zone.clone(),
        week_start: row.week_start,
    })
}

/// An amount in units, none of which gets lost.
fn in_units(amount: i64, scale: i64, column: &str) -> Result<i64, String> {
    let units = amount
        .checked_mul(scale)
        .filter(|units| (0..=MOST_UNITS).contains(units));
    let most = MOST_UNITS / scale;
    units.ok_or_else(|| format!("{column}: it is not between 0 and {most}"))
}

/// Whether the millionths of a cost can be counted one by one.
fn is_countable(cost: f64) -> bool {
    (0.0..=MOST_COST).contains(&cost)
}

/// A cost in millionths; what is finer counts as one more, unless it comes of the multiplication alone.
fn units(cost: f64) -> i64 {
    let exact = cost * COST;
    let near = exact.round();
    let whole = if (exact - near).abs() <= 4.0 * f64::EPSILON * near.abs().max(1.0) {
        near
    } else {
        exact.ceil()
    };
    whole.clamp(0.0, MOST_COST * COST) as i64
}

/// Whether the cap limits that action, wherever it is shown.
fn binds(row: &CapRow, action: &ActionRow) -> bool {
    let of_campaign = row.campaign.is_none() || row.campaign == action.campaign;
    let of_action = row
        .action
        .as_ref()
        .is_none_or(|only| *only == action.action);
    let has_value = || {
        let Some(attribute) = &row.attribute else {
            return true;
        };
        let wanted = row.attribute_value.as_ref().or(row.value.as_ref());
        wanted.is_some() && attribute_text(action, attribute).as_ref() == wanted
    };
    of_campaign && of_action && has_value()
}

/// An attribute as `attributes ->> name` gives it.
fn attribute_text(action: &ActionRow, name: &str) -> Option<String> {
    let attributes: HashMap<String, Box<RawValue>> =
        serde_json::from_str(action.attributes.get()).ok()?;
    let raw = attributes.get(name)?.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'n' => None,
        _ => Some(raw.to_owned()),
    }
}

/// A hard cap must not bind what is shown without limit.
pub fn check_fallbacks(content: &Content, faults: &mut Faults) {
    for surface in &content.surfaces {
        let fallback = content
            .actions
            .iter()
            .find(|action| surface.fallback_action.as_ref() == Some(&action.action));
        for row in content
            .caps
            .iter()
            .filter(|row| row.hard && row.per != "decision")
        {
            let names_it =
                row.campaign.is_some() || row.action.is_some() || row.attribute.is_some();
            let is_here = row
                .surface
                .as_ref()
                .is_none_or(|only| *only == surface.surface);
            if let Some(action) =
                fallback.filter(|action| names_it && is_here && binds(row, action))
            {
                let reason = format!(
                    "it limits \"{}\", the fallback_action of surface \"{}\", which is shown without limit",
                    action.action, surface.surface
                );
                faults.add("decide.cap", &row.cap, reason);
            }
        }
    }
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;
