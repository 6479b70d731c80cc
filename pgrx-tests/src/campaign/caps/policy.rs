//! Policies of the simulator: a few surfaces, actions and caps, drawn by chance, and the SQL that writes them.

use std::fmt::Write as _;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Cost is counted in millionths, time in microseconds.
pub const UNIT: i64 = 1_000_000;
pub const SECOND: i64 = 1_000_000;
pub const DAY: i64 = 86_400 * SECOND;

pub const SURFACES: [&str; 3] = ["s1", "s2", "s3"];
const CAMPAIGNS: [&str; 2] = ["c1", "c2"];

/// Zones that keep one offset all year.
const ZONES: [(&str, i64); 4] = [
    ("UTC", 0),
    ("Asia/Kolkata", 19_800 * SECOND),
    ("Etc/GMT+5", -18_000 * SECOND),
    ("Asia/Kathmandu", 20_700 * SECOND),
];

#[derive(Clone, Copy, PartialEq)]
pub enum Window {
    ForEver,
    Sliding(i64),
    /// A part of a day, or a whole one, from the midnight of a zone.
    Calendar {
        length: i64,
        zone: &'static str,
        offset: i64,
    },
}

#[derive(Clone, PartialEq)]
pub struct Action {
    pub name: String,
    pub campaign: Option<&'static str>,
    /// Empty: all of them.
    pub surfaces: Vec<&'static str>,
    pub cost: i64,
    pub present: bool,
}

#[derive(Clone, PartialEq)]
pub struct Cap {
    pub name: String,
    pub per_user: bool,
    pub surface: Option<&'static str>,
    pub campaign: Option<&'static str>,
    pub action: Option<usize>,
    pub max: i64,
    pub of_cost: bool,
    pub window: Window,
    /// decision, or a type of event.
    pub counts: &'static str,
    pub hold: i64,
    pub hard: bool,
    pub order: i32,
    pub stripes: Option<i32>,
    pub present: bool,
}

/// All policy tables, as they are or as a bundle has them.
#[derive(Clone, PartialEq)]
pub struct Policy {
    pub slots: [usize; 3],
    pub actions: Vec<Action>,
    pub caps: Vec<Cap>,
}

/// One change of the tables.
#[derive(Clone, Debug)]
pub enum Edit {
    Max(usize, i64),
    Hold(usize, i64),
    Hard(usize, bool),
    TakeCap(usize),
    BringCap(usize),
    Cost(usize, i64),
    Move(usize, Option<&'static str>),
    TakeAction(usize),
    BringAction(usize),
}

impl Window {
    fn draw(chance: &mut StdRng) -> Self {
        let kind = chance.random_range(0..10);
        let mut pick = |lengths: &[i64]| *lengths.choose(chance).expect("there are some");
        match kind {
            0..=2 => Self::ForEver,
            3..=5 => Self::Sliding(pick(&[SECOND / 2, SECOND, 2 * SECOND, 3600 * SECOND, DAY])),
            _ => {
                let length = pick(&[
                    SECOND / 2,
                    7 * SECOND / 10,
                    SECOND,
                    60 * SECOND,
                    3600 * SECOND,
                    DAY,
                ]);
                let (zone, offset) = *ZONES.choose(chance).expect("there are some");
                Self::Calendar {
                    length,
                    zone,
                    offset,
                }
            }
        }
    }

    /// First moment of the window that a moment is in, and the first one behind it.
    pub fn around(&self, t: i64) -> (i64, i64) {
        match *self {
            Self::ForEver => (i64::MIN, i64::MAX),
            Self::Sliding(length) => (t - length + 1, i64::MAX),
            Self::Calendar { length, offset, .. } => {
                let local = t + offset;
                let midnight = local.div_euclid(DAY) * DAY;
                let start = midnight + (local - midnight) / length * length;
                (
                    start - offset,
                    (start + length).min(midnight + DAY) - offset,
                )
            }
        }
    }

    /// Whether an exposure of that moment is in the window that t is in.
    pub fn has(&self, at: i64, t: i64) -> bool {
        let (starts, ends) = self.around(t);
        (starts..ends).contains(&at)
    }

    /// How much longer a reservation of a budget may bind than by its own moment: it is merged with later ones.
    pub fn merged(&self) -> i64 {
        match *self {
            Self::Sliding(length) => length / 64,
            Self::ForEver | Self::Calendar { .. } => 0,
        }
    }

    fn length(&self) -> Option<i64> {
        match *self {
            Self::ForEver => None,
            Self::Sliding(length) | Self::Calendar { length, .. } => Some(length),
        }
    }
}

impl Cap {
    fn draw(chance: &mut StdRng, name: String, actions: usize) -> Self {
        let some_surface = SURFACES.choose(chance).copied();
        let some_campaign = CAMPAIGNS.choose(chance).copied();
        let some_action = Some(chance.random_range(0..actions));
        let (surface, campaign, action) = match chance.random_range(0..10) {
            0..=2 => (None, None, some_action),
            3..=5 => (None, some_campaign, None),
            6 => (some_surface, some_campaign, None),
            7 => (some_surface, None, some_action),
            8 => (some_surface, None, None),
            _ => (None, None, None),
        };
        let per_user = chance.random_bool(0.5);
        let of_cost = chance.random_bool(0.4);
        Self {
            name,
            per_user,
            surface,
            campaign,
            action,
            max: chance.random_range(0..7),
            of_cost,
            window: Window::draw(chance),
            counts: [
                "decision",
                "decision",
                "impression",
                "impression",
                "impression",
                "click",
            ]
            .choose(chance)
            .copied()
            .expect("there are some"),
            hold: draw_hold(chance),
            hard: chance.random_bool(0.8),
            order: chance.random_range(0..3),
            stripes: (!per_user && chance.random_bool(0.5)).then(|| chance.random_range(1..4)),
            present: chance.random_bool(0.9),
        }
    }

    /// The limit, in the smallest units.
    pub fn limit(&self) -> i64 {
        self.max * if self.of_cost { UNIT } else { 1 }
    }

    /// What one exposure takes.
    pub fn amount(&self, action: &Action) -> i64 {
        if self.of_cost { action.cost } else { 1 }
    }

    /// Whether exposures of an action are in its scope, apart from the surface.
    pub fn bears_on(&self, place: usize, action: &Action) -> bool {
        self.present
            && self.action.is_none_or(|of| of == place)
            && self.campaign.is_none_or(|of| action.campaign == Some(of))
    }
}

fn draw_hold(chance: &mut StdRng) -> i64 {
    *[SECOND / 5, SECOND / 2, 1800 * SECOND]
        .choose(chance)
        .expect("there are some")
}

fn draw_cost(chance: &mut StdRng) -> i64 {
    *[0, 250_000, 400_000, UNIT, 2_500_000, 3 * UNIT]
        .choose(chance)
        .expect("there are some")
}

impl Action {
    fn sql(&self) -> String {
        format!(
            "INSERT INTO decide.action (action, campaign, surfaces, cost) VALUES ('{}', {}, '{{{}}}', {});",
            self.name,
            quoted(self.campaign),
            self.surfaces.join(","),
            self.cost as f64 / UNIT as f64
        )
    }
}

impl Policy {
    /// Draws one; names carry the mark, so that counters of two sequences in one database have nothing in common.
    pub fn draw(chance: &mut StdRng, mark: &str) -> Self {
        let number = chance.random_range(2..6);
        let actions = (0..number)
            .map(|place| Action {
                name: format!("a{place}_{mark}"),
                campaign: (chance.random_bool(0.7))
                    .then(|| *CAMPAIGNS.choose(chance).expect("there are some")),
                surfaces: match chance.random_range(0..4) {
                    0 => vec!["s1"],
                    1 => vec!["s1", "s2"],
                    _ => Vec::new(),
                },
                cost: draw_cost(chance),
                present: true,
            })
            .collect();
        let caps = (0..chance.random_range(1..5))
            .map(|place| Cap::draw(chance, format!("k{place}_{mark}"), number))
            .collect();
        Self {
            slots: [1, chance.random_range(1..4), 1],
            actions,
            caps,
        }
    }

    /// Draws a change.
    pub fn draw_edit(&self, chance: &mut StdRng) -> Edit {
        let cap = chance.random_range(0..self.caps.len());
        let action = chance.random_range(0..self.actions.len());
        match chance.random_range(0..12) {
            0..=2 => Edit::Max(cap, chance.random_range(0..8)),
            3 => Edit::Hold(cap, draw_hold(chance)),
            4 => Edit::Hard(cap, chance.random_bool(0.5)),
            5 => Edit::TakeCap(cap),
            6 => Edit::BringCap(cap),
            7 | 8 => Edit::Cost(action, draw_cost(chance)),
            9 => Edit::Move(action, CAMPAIGNS.choose(chance).copied()),
            10 => Edit::TakeAction(action),
            _ => Edit::BringAction(action),
        }
    }

    /// Makes a change. One that cannot be made changes nothing: an action that a cap names stays.
    pub fn apply(&mut self, edit: &Edit) {
        match *edit {
            Edit::Max(cap, max) => self.caps[cap].max = max,
            Edit::Hold(cap, hold) => self.caps[cap].hold = hold,
            Edit::Hard(cap, hard) => self.caps[cap].hard = hard,
            Edit::TakeCap(cap) => self.caps[cap].present = false,
            Edit::BringCap(cap) => {
                self.caps[cap].present = self.caps[cap]
                    .action
                    .is_none_or(|action| self.actions[action].present);
            }
            Edit::Cost(action, cost) => self.actions[action].cost = cost,
            Edit::Move(action, campaign) => self.actions[action].campaign = campaign,
            Edit::TakeAction(action) => {
                let named = |cap: &Cap| cap.present && cap.action == Some(action);
                if !self.caps.iter().any(named) {
                    self.actions[action].present = false;
                }
            }
            Edit::BringAction(action) => self.actions[action].present = true,
        }
    }

    /// Whether an action may be shown on a surface, limits apart.
    pub fn is_on(&self, action: usize, surface: &str) -> bool {
        let action = &self.actions[action];
        action.present && (action.surfaces.is_empty() || action.surfaces.contains(&surface))
    }

    /// SQL that makes the tables say this, whatever they said before.
    pub fn sql(&self) -> String {
        let mut sql = String::from(
            "DELETE FROM decide.cap; DELETE FROM decide.policy; DELETE FROM decide.action; DELETE FROM decide.campaign;\n\
             DELETE FROM decide.surface;\n",
        );
        let [one, two, three] = self.slots;
        let _ = writeln!(
            sql,
            "INSERT INTO decide.surface (surface, slots, fallback_action)\n\
             \x20 VALUES ('s1', {one}, 'none'), ('s2', {two}, 'none'), ('s3', {three}, 'none'), ('nowhere', 1, 'none');\n\
             INSERT INTO decide.campaign (campaign) VALUES ('c1'), ('c2');\n\
             INSERT INTO decide.action (action, surfaces) VALUES ('none', '{{nowhere}}');\n\
             INSERT INTO decide.policy (policy, surface, selection) VALUES ('p1', 's1', 'uniform'), ('p2', 's2', 'uniform'), ('p3', 's3', 'uniform');"
        );
        for action in self.actions.iter().filter(|action| action.present) {
            let _ = writeln!(sql, "{}", action.sql());
        }
        for cap in self.caps.iter().filter(|cap| cap.present) {
            let _ = writeln!(sql, "{}", self.cap_sql(cap));
        }
        sql
    }

    /// SQL that changes the tables from what they said before.
    pub fn sql_from(&self, before: &Self) -> String {
        let mut sql = String::new();
        for (cap, old) in self.caps.iter().zip(&before.caps) {
            let name = &cap.name;
            if old.present && !cap.present {
                let _ = writeln!(sql, "DELETE FROM decide.cap WHERE cap = '{name}';");
            } else if old.present && cap != old {
                let _ = writeln!(
                    sql,
                    "UPDATE decide.cap SET max_count = {}, hold = '{} us', hard = {} WHERE cap = '{name}';",
                    cap.max, cap.hold, cap.hard
                );
            }
        }
        for (action, old) in self.actions.iter().zip(&before.actions) {
            let name = &action.name;
            match (old.present, action.present) {
                (true, false) => {
                    let _ = writeln!(sql, "DELETE FROM decide.action WHERE action = '{name}';");
                }
                (false, true) => {
                    let _ = writeln!(sql, "{}", action.sql());
                }
                (true, true) if action != old => {
                    let (campaign, cost) =
                        (quoted(action.campaign), action.cost as f64 / UNIT as f64);
                    let _ = writeln!(
                        sql,
                        "UPDATE decide.action SET campaign = {campaign}, cost = {cost} WHERE action = '{name}';"
                    );
                }
                _ => {}
            }
        }
        for (cap, old) in self.caps.iter().zip(&before.caps) {
            if cap.present && !old.present {
                let _ = writeln!(sql, "{}", self.cap_sql(cap));
            }
        }
        sql
    }

    fn cap_sql(&self, cap: &Cap) -> String {
        let (kind, zone) = match cap.window {
            Window::Sliding(_) => ("sliding", "UTC"),
            Window::Calendar { zone, .. } => ("calendar", zone),
            Window::ForEver => ("calendar", "UTC"),
        };
        let length = cap.window.length().map(|length| format!("{length} us"));
        let action = cap.action.map(|place| self.actions[place].name.as_str());
        format!(
            "INSERT INTO decide.cap (cap, surface, campaign, action, per, max_count, unit, window_length, window_kind, time_zone,\n\
             \x20 counts, hold, hard, relax_order, stripes) VALUES ('{}', {}, {}, {}, '{}', {}, '{}', {}, '{kind}', '{zone}', '{}', '{} us', {}, {}, {});",
            cap.name,
            quoted(cap.surface),
            quoted(cap.campaign),
            quoted(action),
            if cap.per_user { "user" } else { "all" },
            cap.max,
            if cap.of_cost { "cost" } else { "count" },
            quoted(length.as_deref()),
            cap.counts,
            cap.hold,
            cap.hard,
            cap.order,
            cap.stripes
                .map_or("NULL".to_owned(), |stripes| stripes.to_string()),
        )
    }
}

/// A text as SQL, or NULL.
pub fn quoted(text: Option<&str>) -> String {
    text.map_or("NULL".to_owned(), |text| format!("'{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-27 00:00 in UTC.
    const MIDNIGHT: i64 = 1_795_737_600 * SECOND;

    #[test]
    fn calendar_windows_begin_at_the_midnight_of_their_zone() {
        let day = Window::Calendar {
            length: DAY,
            zone: "Asia/Kolkata",
            offset: 19_800 * SECOND,
        };
        let starts = MIDNIGHT - 19_800 * SECOND;
        assert_eq!(day.around(MIDNIGHT), (starts, starts + DAY));
        assert!(!day.has(starts - 1, MIDNIGHT));
        assert!(day.has(starts, MIDNIGHT));
    }

    #[test]
    fn the_last_part_of_a_day_is_cut_off() {
        let part = Window::Calendar {
            length: 7 * SECOND / 10,
            zone: "UTC",
            offset: 0,
        };
        let last = part.around(MIDNIGHT - 1);
        assert_eq!(last, (MIDNIGHT - 4 * SECOND / 10, MIDNIGHT));
        assert_eq!(part.around(MIDNIGHT).0, MIDNIGHT);
    }

    #[test]
    fn sliding_windows_let_go_what_is_as_old_as_they_are_long() {
        let second = Window::Sliding(SECOND);
        assert!(!second.has(MIDNIGHT - SECOND, MIDNIGHT));
        assert!(second.has(MIDNIGHT - SECOND + 1, MIDNIGHT));
        assert!(second.has(MIDNIGHT + SECOND, MIDNIGHT));
    }
}
