//! Calendar windows in UTC, where every day has 24 hours: what decide.cap_window says, without a statement.

use chrono::{Datelike, NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

/// The length of a window: one of these is more than 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Length {
    pub months: i32,
    pub days: i32,
    /// Microseconds of a day.
    pub part: i64,
}

const DAY: i64 = 86_400_000_000;

/// Where the window before begins, where that of a moment does, and where it ends; None beyond the dates that can be told.
pub fn windows(at: i64, length: Length, week_start: i32) -> Option<(i64, i64, i64)> {
    let (starts, ends) = window(at, length, week_start)?;
    let (before, _) = window(starts.checked_sub(1)?, length, week_start)?;
    Some((before, starts, ends))
}

fn window(at: i64, length: Length, week_start: i32) -> Option<(i64, i64)> {
    let day = at.div_euclid(DAY);
    if length.months > 0 {
        let date = first_day()?.checked_add_signed(TimeDelta::try_days(day)?)?;
        let month = date.year() * 12 + date.month0() as i32;
        let first = month - month.rem_euclid(length.months);
        return Some((month_start(first)?, month_start(first + length.months)?));
    }
    let days = i64::from(length.days.max(1));
    // The third day of 2000 was a Monday.
    let number = day - 2 - i64::from(week_start) + 1;
    let starts = (day - number.rem_euclid(days)).checked_mul(DAY)?;
    let ends = starts.checked_add(days.checked_mul(DAY)?)?;
    if length.part == 0 {
        return Some((starts, ends));
    }
    let starts = at - (at - starts) % length.part;
    Some((starts, ends.min(starts.checked_add(length.part)?)))
}

/// A month, counted from January of the year 0.
fn month_start(month: i32) -> Option<i64> {
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) as u32 + 1);
    let date = NaiveDate::from_ymd_opt(year, month, 1)?;
    date.signed_duration_since(first_day()?)
        .num_days()
        .checked_mul(DAY)
}

/// That of the server's clock.
fn first_day() -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(2000, 1, 1)
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::pg_sys::{INT4OID, TEXTOID, TIMESTAMPTZOID};
    use pgrx::prelude::*;

    use super::*;
    use crate::pg::{Session, Statement, datum};

    thread_local! {
        static WINDOW: Statement = const { Statement::new(
            "SELECT b.starts, w.starts, w.ends FROM decide.cap_window($1, $2::interval, 'UTC', $3) AS w \
              CROSS JOIN LATERAL decide.cap_window(w.starts - interval '1 microsecond', $2::interval, 'UTC', $3) AS b",
            &[TIMESTAMPTZOID, TEXTOID, INT4OID]) };
    }

    #[pg_test]
    fn windows_in_utc_are_those_of_sql() {
        let _session = Session::open();
        let hour = DAY / 24;
        let moments = [0, 1, -1, DAY, 59 * DAY - 1, 60 * DAY, 848_311_234_567_891];
        let moments = moments.into_iter().chain([
            -1_000 * 365 * DAY,
            -2_100 * 365 * DAY - 1,
            3_000 * 365 * DAY + 7,
        ]);
        for at in moments {
            for (text, months, days, part) in [
                ("1 day", 0, 1, 0),
                ("7 days", 0, 7, 0),
                ("10 days", 0, 10, 0),
                ("1 mon", 1, 0, 0),
                ("3 mons", 3, 0, 0),
                ("5 years", 60, 0, 0),
                ("01:00:00", 0, 0, hour),
                ("05:00:00", 0, 0, 5 * hour),
                ("00:00:00.7", 0, 0, 700_000),
            ] {
                for week_start in [1, 7] {
                    let mut said = None;
                    let args = [
                        datum::timestamp(at),
                        datum::text(text),
                        datum::int4(week_start),
                    ];
                    WINDOW.with(|statement| {
                        statement.read(&args, |row| {
                            said = row.timestamp(1).zip(row.timestamp(2)).zip(row.timestamp(3))
                        })
                    });
                    let said = said.map(|((before, starts), ends)| (before, starts, ends));
                    let length = Length { months, days, part };
                    let found = windows(at, length, week_start);
                    assert_eq!(found, said, "{at} {text} {week_start}");
                }
            }
        }
        let month = Length {
            months: 1,
            days: 0,
            part: 0,
        };
        assert_eq!(windows(i64::MAX, month, 1), None);
        assert_eq!(windows(i64::MIN, month, 1), None);
    }
}
