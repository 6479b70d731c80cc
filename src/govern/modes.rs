//! Modes: how freely a surface may choose, set by people while everything runs.
//!
//! `decide.mode_change` keeps every change. Of a surface's changes the newest holds until it expires by
//! the clock, and so does the newest of those for all surfaces; the stricter of the two is in force.

use std::collections::HashMap;

use pgrx::pg_sys::{TEXTOID, TIMESTAMPTZOID};

use super::turn;
use crate::error::{Error, printable};
use crate::pg::catalog::has_no_page;
use crate::pg::invalidation::Watch;
use crate::pg::{Cached, Session, Statement, datum};
use crate::settings;

/// From the freest to the strictest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    #[default]
    Normal,
    /// Fewer candidates, less exploration, tighter caps.
    Cautious,
    /// The fallback only.
    Paused,
}

const ALL: [Mode; 3] = [Mode::Normal, Mode::Cautious, Mode::Paused];

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Normal => "normal",
            Mode::Cautious => "cautious",
            Mode::Paused => "paused",
        }
    }

    pub fn named(name: &str) -> Option<Mode> {
        ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

/// How freely a surface may choose at a moment, by the mode that is in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModeLimits {
    pub mode: Mode,
    /// The share of the open candidates that is kept, the best.
    pub candidates: f64,
    /// What exploration is multiplied by.
    pub exploration: f64,
    /// What limits of caps are multiplied by.
    pub caps: f64,
}

impl ModeLimits {
    /// Reads nothing while no mode is changed, and never writes.
    pub fn at(surface: &str, now: i64) -> ModeLimits {
        match IN_FORCE.with(|kept| kept.with(read, |set| strictest(set, surface, now))) {
            Mode::Normal => ModeLimits::of(Mode::Normal, 1.0, 1.0, 1.0),
            mode => ModeLimits::of(
                mode,
                settings::cautious_candidates(),
                settings::cautious_exploration(),
                settings::cautious_caps(),
            ),
        }
    }

    /// A limit as it is tightened: rounded down, but never from something to nothing by that alone.
    pub fn limit(&self, limit: i64) -> i64 {
        if self.caps >= 1.0 || limit <= 0 {
            return limit;
        }
        let least = i64::from(self.caps > 0.0);
        ((limit as f64 * self.caps) as i64).clamp(least, limit)
    }

    fn of(mode: Mode, candidates: f64, exploration: f64, caps: f64) -> ModeLimits {
        ModeLimits {
            mode,
            candidates,
            exploration,
            caps,
        }
    }
}

thread_local! {
    static IN_FORCE: Cached<Vec<Setting>> = const { Cached::new(Watch::Mode, "decide.mode_change") };

    static READ: Statement = const { Statement::new(
        "SELECT DISTINCT ON (m.surface) m.surface, m.mode, m.until \
           FROM decide.mode_change AS m ORDER BY m.surface, m.number DESC", &[]) };
    static TO_FOLLOW: Statement = const { Statement::new(
        "SELECT l.surface, l.mode, l.why, l.until \
           FROM (SELECT DISTINCT ON (m.surface) m.* FROM decide.mode_change AS m ORDER BY m.surface, m.number DESC) AS l \
          WHERE l.surface IS NOT NULL AND l.mode <> 'normal' AND (l.until IS NULL OR l.until > pg_catalog.clock_timestamp())",
        &[]) };
    static LOCK: Statement = const { Statement::new(
        "LOCK TABLE decide.mode_change IN SHARE ROW EXCLUSIVE MODE", &[]) };
    static NEWEST: Statement = const { Statement::new(
        "SELECT pg_catalog.max(m.number) FROM decide.mode_change AS m", &[]) };
    static KNOWN: Statement = const { Statement::new(
        "SELECT 1 FROM decide.surface AS s WHERE s.surface = $1 \
          UNION ALL \
         SELECT 1 FROM decide.bundle AS b, pg_catalog.jsonb_array_elements(b.content -> 'surfaces') AS s \
          WHERE b.bundle = (SELECT p.bundle FROM decide.publication AS p ORDER BY p.publication DESC LIMIT 1) \
            AND s ->> 'surface' = $1", &[TEXTOID]) };
    static CHANGE: Statement = const { Statement::new(
        "INSERT INTO decide.mode_change (number, surface, mode, why, until, acting_as) \
         SELECT COALESCE(pg_catalog.max(m.number), 0) + 1, $1, $2, $3, $4, $5 FROM decide.mode_change AS m",
        &[TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID]) };
}

/// The newest change of one surface, or of all, that does not set it to normal.
struct Setting {
    surface: Option<String>,
    mode: Mode,
    until: Option<i64>,
}

fn strictest(settings: &[Setting], surface: &str, now: i64) -> Mode {
    let applies = |of: &&Setting| of.surface.as_deref().is_none_or(|name| name == surface);
    let lasts = |of: &&Setting| of.until.is_none_or(|until| now < until);
    let here = settings.iter().filter(applies).filter(lasts);
    here.map(|of| of.mode).max().unwrap_or_default()
}

/// The modes in force.
fn read() -> Vec<Setting> {
    let mut settings = Vec::new();
    if has_no_page("mode_change") {
        return settings;
    }
    READ.with(|statement| {
        statement.read(&[], |row| {
            let mode = Mode::named(row.must(2)).unwrap_or_default();
            if mode != Mode::Normal {
                let (surface, until) = (row.get(1), row.timestamp(3));
                settings.push(Setting {
                    surface,
                    mode,
                    until,
                });
            }
        })
    });
    settings
}

/// Sets the mode of a surface, or of all, from commit on.
pub fn set(
    surface: Option<&str>,
    mode: &str,
    why: &str,
    until: Option<i64>,
    caller: &str,
) -> Result<(), Error> {
    if Mode::named(mode).is_none() {
        return Err(Error::UnknownMode(printable(mode)));
    }
    turn::check(why, until)?;
    let _session = Session::open();
    turn::take(&LOCK, &NEWEST, "changed a mode")?;
    if let Some(surface) = surface
        && KNOWN.with(|statement| statement.write(&[datum::text(surface)], |_| {})) == 0
    {
        return Err(Error::Unknown {
            kind: "surface",
            name: printable(surface),
            detail: "Neither decide.surface nor the bundle in force has one of that name.",
            hint: "decide.surface lists them; null stands for all.",
        });
    }
    change(surface, mode, why, until, caller);
    IN_FORCE.with(Cached::announce);
    Ok(())
}

fn change(surface: Option<&str>, mode: &str, why: &str, until: Option<i64>, caller: &str) {
    CHANGE.with(|statement| {
        let args = [
            datum::optional_text(surface),
            datum::text(mode),
            datum::text(why),
            until.and_then(datum::timestamp),
            datum::text(caller),
        ];
        statement.write(&args, |_| {})
    });
}

/// Gives surfaces that were renamed, pairs of their old and new names, the modes that they had.
pub fn follow(renamed: &[(&str, &str)], caller: &str) -> Result<(), Error> {
    if renamed.is_empty() || of_surfaces().is_empty() {
        return Ok(());
    }
    turn::take(&LOCK, &NEWEST, "changed a mode")?;
    let modes = of_surfaces();
    let follows = |(old, _): &&(&str, &str)| modes.contains_key(*old);
    let following: Vec<_> = renamed.iter().filter(follows).collect();
    for (old, new) in &following {
        if !following.iter().any(|(_, other)| other == old) {
            let why = format!("renamed to \"{new}\"");
            change(Some(old), Mode::Normal.as_str(), &why, None, caller);
        }
    }
    for (old, new) in &following {
        let SurfaceMode { mode, why, until } = &modes[*old];
        change(Some(new), mode, why, *until, caller);
    }
    IN_FORCE.with(Cached::announce);
    Ok(())
}

/// The mode of a surface that is not normal.
struct SurfaceMode {
    mode: String,
    why: String,
    until: Option<i64>,
}

/// By surface.
fn of_surfaces() -> HashMap<String, SurfaceMode> {
    let mut modes = HashMap::new();
    TO_FOLLOW.with(|statement| {
        statement.write(&[], |row| {
            let mode = SurfaceMode {
                mode: row.must(2),
                why: row.must(3),
                until: row.timestamp(4),
            };
            modes.insert(row.must(1), mode);
        })
    });
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(surface: Option<&str>, mode: Mode, until: Option<i64>) -> Setting {
        let surface = surface.map(str::to_owned);
        Setting {
            surface,
            mode,
            until,
        }
    }

    #[test]
    fn the_stricter_holds_until_it_expires() {
        let set = [
            setting(None, Mode::Cautious, None),
            setting(Some("home"), Mode::Paused, Some(10)),
        ];
        assert_eq!(strictest(&set, "home", 9), Mode::Paused);
        assert_eq!(strictest(&set, "home", 10), Mode::Cautious);
        assert_eq!(strictest(&set, "feed", 9), Mode::Cautious);
        assert_eq!(strictest(&[], "home", 9), Mode::Normal);
    }

    #[test]
    fn limits_are_tightened() {
        let limits = |caps| {
            [0, 1, 2, 3, 10, i64::MAX]
                .map(|n| ModeLimits::of(Mode::Cautious, 1.0, 1.0, caps).limit(n))
        };
        assert_eq!(limits(1.0), [0, 1, 2, 3, 10, i64::MAX]);
        assert_eq!(limits(0.8)[..5], [0, 1, 1, 2, 8]);
        assert_eq!(limits(0.0), [0; 6]);
    }

    #[test]
    fn names_lead_back() {
        assert!(
            ALL.iter()
                .all(|mode| Mode::named(mode.as_str()) == Some(*mode))
        );
        assert_eq!(Mode::named("Paused"), None);
    }
}
