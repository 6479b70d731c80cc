//! Windows, with the clock passed in, tried inside a server.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::*;
    use crate::caps::Cap;
    use crate::math::ledger::{self, COUNTED};
    use crate::pg::{Session, Statement, datum};
    use crate::policy::{self, Bundle};

    const MINUTE: i64 = 60_000_000;
    const DAY: i64 = 24 * 60 * MINUTE;

    thread_local! {
        static MOMENT: Statement = const { Statement::new("SELECT $1::timestamptz", &[pg_sys::TEXTOID]) };
        static LOCAL_DAY: Statement = const { Statement::new(
            "SELECT ($1 AT TIME ZONE 'Europe/Berlin')::date::text", &[pg_sys::TIMESTAMPTZOID]) };
    }

    fn moment(text: &str) -> i64 {
        let mut at = None;
        MOMENT.with(|s| s.read(&[datum::text(text)], |row| at = row.timestamp(1)));
        at.expect("a time")
    }

    fn local_day(at: i64) -> String {
        let mut day = String::new();
        LOCAL_DAY.with(|s| s.read(&[datum::timestamp(at)], |row| day = row.must(1)));
        day
    }

    /// Publishes a cap of three, with these columns, and hands it to `then`.
    fn with_cap(columns: &str, values: &str, then: impl FnOnce(&Cap)) {
        Spi::run("INSERT INTO decide.surface (surface, fallback_action) VALUES ('home', 'rest'), ('out', 'rest')").unwrap();
        Spi::run("INSERT INTO decide.action (action, surfaces) VALUES ('rest', '{out}'), ('a', '{home}')").unwrap();
        Spi::run(&format!(
            "INSERT INTO decide.cap (cap, action, per, max_count, {columns}) VALUES ('three', 'a', 'user', 3, {values})"
        ))
        .unwrap();
        Spi::run("SELECT decide.publish('three')").unwrap();
        let bundle: std::rc::Rc<Bundle> = policy::live().unwrap();
        let _session = Session::open();
        then(&bundle.caps[0]);
    }

    /// Asks for an exposure every few minutes, and takes what is free; answers when.
    fn spend(cap: &Cap, from: i64, to: i64, step: i64) -> Vec<i64> {
        let (mut ledger, mut taken) = (Vec::new(), Vec::new());
        for at in (from..to).step_by(step as usize) {
            let terms = cap.terms(at);
            if ledger::used(&ledger, &terms) < cap.limit {
                ledger::take(&mut ledger, (at, 1, COUNTED), &terms);
                taken.push(at);
            }
        }
        taken
    }

    /// Three on each local day, its first moments among them, over days of 23 and of 25 hours.
    fn three_a_local_day(from: &str) {
        with_cap(
            "window_length, time_zone",
            "'1 day', 'Europe/Berlin'",
            |cap| {
                let from = moment(from);
                let taken = spend(cap, from, from + 4 * DAY, 7 * MINUTE);
                let mut days = std::collections::BTreeMap::<String, Vec<i64>>::new();
                for at in taken {
                    days.entry(local_day(at)).or_default().push(at);
                }
                // The days at both ends are parts of one.
                for (day, at) in &days {
                    assert_eq!(at.len(), 3, "on {day}");
                    let starts = cap.window(at[0]).0;
                    assert!(
                        at[0] == from || at[0] - starts < 7 * MINUTE,
                        "{day} begins late"
                    );
                    assert_ne!(local_day(starts - 1), *day);
                }
                assert!(days.len() >= 4);
            },
        );
    }

    #[pg_test]
    fn a_day_of_23_hours_has_its_three() {
        three_a_local_day("2026-03-27 12:00+00");
    }

    #[pg_test]
    fn a_day_of_25_hours_has_its_three() {
        three_a_local_day("2026-10-23 12:00+00");
    }

    #[pg_test]
    fn a_window_ends_where_the_next_begins() {
        with_cap(
            "window_length, time_zone",
            "'1 day', 'Europe/Berlin'",
            |cap| {
                let mut at = moment("2026-03-01 00:30+01");
                for _ in 0..300 {
                    let (starts, ends) = cap.window(at);
                    assert!(starts <= at && at < ends);
                    assert_eq!(cap.window(ends - 1), (starts, ends));
                    assert_eq!(cap.window(starts), (starts, ends));
                    let hours = (ends - starts) / (60 * MINUTE);
                    assert!((23..=25).contains(&hours));
                    at = ends;
                }
            },
        );
    }

    #[pg_test]
    fn an_event_finds_the_window_of_its_own_time() {
        with_cap(
            "window_length, time_zone, counts",
            "'1 day', 'Europe/Berlin', 'impression'",
            |cap| {
                for now in [
                    "2026-03-29 12:00+00",
                    "2026-10-25 00:30+00",
                    "2026-10-25 23:00+00",
                ] {
                    let now = moment(now);
                    let terms = cap.terms(now);
                    assert_eq!(terms.kept_from, cap.window(terms.from - 1).0);
                    for hours in -60..60 {
                        let at = now + hours * 60 * MINUTE;
                        assert_eq!(cap.window_of(at, &terms), cap.window(at), "{hours} hours");
                    }
                }
            },
        );
    }

    #[pg_test]
    fn a_sliding_day_has_no_more_than_three_in_any_24_hours() {
        with_cap("window_length, window_kind", "'1 day', 'sliding'", |cap| {
            let from = moment("2026-03-28 22:00+00");
            let taken = spend(cap, from, from + 3 * DAY, 11 * MINUTE);
            assert!(taken.windows(4).all(|four| four[3] - four[0] >= DAY));
            assert!(taken.len() >= 9, "{}", taken.len());
        });
    }

    #[pg_test]
    fn a_clock_that_goes_back_over_midnight_gives_nothing_twice() {
        with_cap("window_length", "'1 day'", |cap| {
            let midnight = moment("2026-11-24 00:00+00");
            let mut ledger = Vec::new();
            for at in [midnight + 1, midnight + 2, midnight + 3] {
                ledger::take(&mut ledger, (at, 1, COUNTED), &cap.terms(at));
            }
            // What was taken after the midnight that is yet to come counts before it as well.
            let terms = cap.terms(midnight - 1);
            assert_eq!(ledger::used(&ledger, &terms), 3);
        });
    }
}

#[cfg(test)]
mod costs {
    use crate::caps::cap::{in_units, is_countable, units};

    #[test]
    fn costs_that_cannot_be_counted_by_millionths_are_not_countable() {
        for cost in [0.0, 1e-9, 0.1, 9_007_199_254.0] {
            assert!(is_countable(cost), "{cost}");
        }
        for cost in [
            9_007_199_254.1,
            1e12,
            9e12,
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
            -1e-9,
            -1.0,
        ] {
            assert!(!is_countable(cost), "{cost}");
        }
    }

    #[test]
    fn limits_leave_room_for_the_exposures_of_an_answer() {
        assert_eq!(in_units(3, 1_000_000, "max_count"), Ok(3_000_000));
        assert!(in_units(4_611_686_018_427, 1_000_000, "max_count").is_ok());
        for (amount, scale) in [
            (4_611_686_018_428, 1_000_000),
            (i64::MAX, 1_000_000),
            (i64::MAX, 1),
            (-1, 1),
        ] {
            assert!(in_units(amount, scale, "max_count").is_err(), "{amount}");
        }
        let (limit, slots) = (in_units(4_611_686_018_427, 1_000_000, "max_count"), 100);
        assert!(
            units(9_007_199_254.0)
                .checked_mul(slots)
                .unwrap()
                .checked_add(limit.unwrap())
                .is_some()
        );
    }

    #[test]
    fn costs_are_rounded_up_and_what_the_multiplication_adds_is_not() {
        for (cost, millionths) in [
            (0.0, 0),
            (0.1, 100_000),
            (0.3, 300_000),
            (1.1, 1_100_000),
            (4.35, 4_350_000),
            (1234567.89, 1_234_567_890_000),
            (0.000_001, 1),
            (0.000_001_4, 2),
            (0.333_333_3, 333_334),
            (1.000_000_2, 1_000_001),
            (3.000_000_4, 3_000_001),
            (12_345.678_901_4, 12_345_678_902),
        ] {
            assert_eq!(units(cost), millionths, "of {cost}");
        }
        assert_eq!(units(9_007_199_254.0), 9_007_199_254_000_000);
        for cents in 0..2_000_000 {
            assert_eq!(units(f64::from(cents) / 100.0), i64::from(cents) * 10_000);
        }
    }
}
