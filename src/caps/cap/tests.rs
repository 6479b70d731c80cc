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
