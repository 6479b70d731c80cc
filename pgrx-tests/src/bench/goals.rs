//! The goals, and whether what was measured meets them.

use std::ops::RangeInclusive;

use super::plan::{self, decide_of};
use super::results::{Ratio, Results};
use super::sessions;

/// One goal: how a workload must compare with another one of its set.
pub(super) struct Goal<'a> {
    what: &'a str,
    set: &'a str,
    workload: String,
    to: String,
    wanted: RangeInclusive<f64>,
}

/// The goals, each with what was measured.
pub fn goals(results: &Results) -> Vec<String> {
    let off = "8 clients, synchronous_commit off";
    let on = "8 clients, synchronous_commit on";
    let (tracking_off, tracking_on) = (plan::tracking_title(false), plan::tracking_title(true));
    let least = |what, goal: f64, set, to: &str| Goal {
        what,
        set,
        workload: "decide".into(),
        to: to.into(),
        wanted: goal..=f64::INFINITY,
    };
    let most = |what, goal, to| Goal {
        what,
        set: plan::SIZES,
        workload: decide_of(100, 1),
        to,
        wanted: 0.0..=goal,
    };
    let (caps_off, caps_on) = (plan::caps_title(false), plan::caps_title(true));
    let capped = |what, goal: f64, durable, to: &str| Goal {
        what,
        set: if durable { &caps_on } else { &caps_off },
        workload: plan::ONE_CAP.into(),
        to: to.into(),
        wanted: goal..=f64::INFINITY,
    };
    let same = |what, to: &str| Goal {
        what,
        set: plan::SIZES_OF_CAPS,
        workload: plan::ONE_CAP.into(),
        to: to.into(),
        wanted: 0.0..=1.2,
    };
    let track = |what, goal: f64, workload: &str, durable| Goal {
        what,
        set: if durable { &tracking_on } else { &tracking_off },
        workload: workload.into(),
        to: plan::floor_of(workload),
        wanted: goal..=f64::INFINITY,
    };
    let goals = [
        least(
            "decide at least 1.2 × floor, 8 clients, sync off",
            1.2,
            off,
            "floor",
        ),
        least(
            "decide at least 1.0 × floor, 8 clients, sync on",
            1.0,
            on,
            "floor",
        ),
        least(
            "decide at least 8 × hand, 8 clients, sync off",
            8.0,
            off,
            "hand",
        ),
        most(
            "1,000 candidates at most 2.5 × the time of 100",
            2.5,
            decide_of(1000, 1),
        ),
        most(
            "many users at most 1.2 × the time of 100,000",
            1.2,
            plan::MANY.into(),
        ),
        Goal {
            what: "… and their floor, for comparison",
            set: plan::SIZES,
            workload: plan::READS.into(),
            to: plan::READS_OF_MANY.into(),
            wanted: 0.0..=f64::INFINITY,
        },
        capped(
            "with caps at least 1.0 × floor, 8 clients, sync off",
            1.0,
            false,
            "floor",
        ),
        capped(
            "with caps at least 1.0 × floor, 8 clients, sync on",
            1.0,
            true,
            "floor",
        ),
        capped(
            "with caps at least 8 × hand, 8 clients, sync off",
            8.0,
            false,
            "hand",
        ),
        Goal {
            what: "with caps, no table read: at least 1.0 × floor, off",
            set: &caps_off,
            workload: plan::PLAIN_CAPS.into(),
            to: "floor".into(),
            wanted: 1.0..=f64::INFINITY,
        },
        Goal {
            what: "with caps, no table read: at least 1.0 × floor, on",
            set: &caps_on,
            workload: plan::PLAIN_CAPS.into(),
            to: "floor".into(),
            wanted: 1.0..=f64::INFINITY,
        },
        Goal {
            what: "with caps at least 1.0 × floor that reads the shop",
            set: &caps_off,
            workload: plan::ONE_CAP.into(),
            to: plan::STOCK_FLOOR.into(),
            wanted: 1.0..=f64::INFINITY,
        },
        Goal {
            what: "ten caps at most 1.6 × the time of two",
            set: &caps_off,
            workload: plan::ONE_CAP.into(),
            to: plan::TEN_CAPS.into(),
            wanted: 0.0..=1.6,
        },
        Goal {
            what: "one budget, 32 clients, at least 0.85 × without",
            set: plan::CROWD,
            workload: plan::BUDGET.into(),
            to: "decide".into(),
            wanted: 0.85..=f64::INFINITY,
        },
        Goal {
            what: "100 features at least 0.9 × the speed of 10",
            set: plan::OF_FEATURES,
            workload: plan::with_features(100),
            to: plan::with_features(10),
            wanted: 0.9..=f64::INFINITY,
        },
        Goal {
            what: "… and the floor with rows as much wider, for comparison",
            set: plan::OF_FEATURES,
            workload: plan::floor_with_features(100),
            to: plan::floor_with_features(10),
            wanted: 0.0..=f64::INFINITY,
        },
        same(
            "1,000 caps elsewhere at most 1.2 × the time",
            plan::CAPS_ELSEWHERE,
        ),
        same(
            "with caps, many users at most 1.2 × the time",
            plan::CAPS_OF_MANY,
        ),
        Goal {
            what: "… and their floor, for comparison",
            set: plan::SIZES_OF_CAPS,
            workload: plan::FLOOR.into(),
            to: plan::FLOOR_OF_MANY.into(),
            wanted: 0.0..=f64::INFINITY,
        },
        track(
            "track at least 0.8 × its floor, 8 clients, sync off",
            0.8,
            "track",
            false,
        ),
        track(
            "track at least 0.8 × its floor, 8 clients, sync on",
            0.8,
            "track",
            true,
        ),
        track(
            "1,000 events at least 0.7 × their floor, sync off",
            0.7,
            plan::BULK,
            false,
        ),
        track(
            "1,000 events at least 0.7 × their floor, sync on",
            0.7,
            plan::BULK,
            true,
        ),
    ];
    let goals = goals.iter().map(|goal| goal.verdict(results));
    goals
        .chain(together(results))
        .chain(of_sessions(results))
        .collect()
}

/// Those of pages and batches.
fn together(results: &Results) -> Vec<String> {
    let mut verdicts = Vec::new();
    for durable in [false, true] {
        let set = &plan::together_title(durable);
        let sync = if durable { "on" } else { "off" };
        let verdict = |what: &str, workload: &str, to: &str, wanted| {
            let goal = Goal {
                what: &format!("{what}, {sync}"),
                set,
                workload: workload.into(),
                to: to.into(),
                wanted,
            };
            goal.verdict(results)
        };
        // Five surfaces in 2.2 times the time of one.
        let wanted = 0.0..=2.2 / 5.0;
        let what = "one of 5 surfaces at most 0.44 × the time of one";
        verdicts.push(verdict(what, "decide", plan::PAGE, wanted.clone()));
        let what = "… with caps of the page";
        verdicts.push(verdict(what, plan::OF_PAGE, plan::CAPPED_PAGE, wanted));
        // Without a flush for each call there is less to save.
        let least = if durable { 3.0 } else { 0.0 };
        let wanted = least..=f64::INFINITY;
        let what = match durable {
            true => "a batch decides at least 3 × as many as single calls",
            false => "a batch and single calls, for comparison",
        };
        verdicts.push(verdict(what, plan::BATCH, "decide", wanted.clone()));
        let what = "… with caps";
        verdicts.push(verdict(what, plan::CAPPED_BATCH, plan::ONE_CAP, wanted));
        for workload in [plan::BATCH, plan::CAPPED_BATCH] {
            let what = format!("{workload}: at most 40 µs of CPU each, {sync}");
            let found = results.cpu_of_decision(set, workload);
            verdicts.push(amount(&what, found, 40.0, "µs"));
        }
    }
    verdicts
}

/// Those of many and of new sessions.
fn of_sessions(results: &Results) -> Vec<String> {
    let mut verdicts = Vec::new();
    for durable in [true, false] {
        for clients in sessions::CLIENTS {
            let sync = if durable { "on" } else { "off" };
            let least = if durable { 0.75 } else { 0.55 };
            let mut verdict = |what: &str, set: String, workload: &str, least: f64| {
                let goal = Goal {
                    what: &format!("{what} at least {least:.2} × INSERT, {clients}, {sync}"),
                    set: &set,
                    workload: workload.into(),
                    to: sessions::INSERT.into(),
                    wanted: least..=f64::INFINITY,
                };
                verdicts.push(goal.verdict(results));
            };
            let set = sessions::title(clients, durable);
            verdict("with caps", set, plan::ONE_CAP, least);
            if clients < 200 {
                let set = sessions::tracking_title(clients, durable);
                verdict("track", set, "track", least + 0.05);
            }
        }
    }
    let under_publish = Goal {
        what: "64 sessions under a publish each second at least 0.9",
        set: sessions::PUBLISHING,
        workload: sessions::UNDER_PUBLISH.into(),
        to: "decide".into(),
        wanted: 0.9..=f64::INFINITY,
    };
    verdicts.push(under_publish.verdict(results));
    let mut firsts = vec![(sessions::FIRST_OF_FEW.to_owned(), 2.0)];
    let goals = [2.0, 5.0];
    firsts.extend(
        sessions::ACTIONS
            .into_iter()
            .map(sessions::first_among)
            .zip(goals),
    );
    for (workload, most) in firsts {
        let what = format!("{workload}: at most {most} ms more than SELECT 1");
        let found = results.difference(sessions::FIRST, &workload, sessions::NOTHING, |run| {
            Some(run.latency_ms)
        });
        verdicts.push(amount(&what, found, most, "ms"));
    }
    let of_crowd = sessions::title(200, false);
    for (set, workload) in [
        (of_crowd.as_str(), plan::ONE_CAP.to_owned()),
        (sessions::FIRST, sessions::first_among(100_000)),
    ] {
        let what = format!("{workload}: at most 2 MB of its own for a session");
        let found = results.of(set, &workload, |run| Some(run.own_kb? / 1024.0));
        verdicts.push(amount(&what, found, 2.0, "MB"));
    }
    verdicts
}

/// One line about an amount that should be no larger.
fn amount(what: &str, found: Option<Ratio>, most: f64, unit: &str) -> String {
    match found {
        None => format!("not measured  {what}"),
        Some(Ratio { median, min, max }) => {
            let met = if median <= most { "met" } else { "not met" };
            format!("{met:<12}  {what:<51} {median:.1} ({min:.1}–{max:.1}) {unit}")
        }
    }
}

/// From how much on rounds differ too much for their ratio to be trusted.
const TOO_FAR_APART: f64 = 1.6;

impl Goal<'_> {
    /// One line: whether the median is in the wanted range, the range of all rounds, and processor time.
    fn verdict(&self, results: &Results) -> String {
        let Self {
            what,
            set,
            workload,
            to,
            ..
        } = self;
        let Some(Ratio { median, min, max }) = results.ratio(set, workload, to) else {
            return format!("not measured  {what}");
        };
        let met = if self.wanted.contains(&median) {
            "met"
        } else {
            "not met"
        };
        let cpu = results.cpu_ratio(set, workload, to);
        let cpu = cpu.map_or_else(String::new, |cpu| {
            format!("; by CPU {:.2} ({:.2}–{:.2})", cpu.median, cpu.min, cpu.max)
        });
        let doubt = match max / min > TOO_FAR_APART {
            true => "; rounds differ too much to trust it",
            false => "",
        };
        format!("{met:<12}  {what:<51} {median:.2} ({min:.2}–{max:.2}){cpu}{doubt}")
    }
}
