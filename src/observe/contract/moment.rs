//! Points in time as producers write them.

use chrono::DateTime;

use crate::pg::clock::from_unix_micros;

/// The first moment of the year 1, in microseconds since 1970. Postgres keeps older ones only down
/// to 4714 BC, and no event is that old.
const FIRST: i64 = -62_135_596_800_000_000;

/// Other forms: as Postgres prints it, with a zone as `strftime` prints it (+0530), and without seconds.
const OTHERS: [&str; 4] = [
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
];

/// A moment with its time zone, as ISO 8601 or as Postgres prints it; in microseconds since 2000.
pub fn parse(text: &str) -> Option<i64> {
    let parsed = DateTime::parse_from_rfc3339(text).ok();
    let mut others = OTHERS.iter();
    let parsed =
        parsed.or_else(|| others.find_map(|form| DateTime::parse_from_str(text, form).ok()))?;
    let micros = parsed.timestamp_micros();
    (micros >= FIRST).then(|| from_unix_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn moments_need_a_zone_and_a_real_date() {
        let noon = parse("2026-11-24T12:00:00Z");
        assert_eq!(noon, Some(848_836_800_000_000));
        assert_eq!(parse("2026-11-24T13:00:00.000000+01:00"), noon);
        for same in [
            "2026-11-24 12:00:00+00",
            "2026-11-24T17:30:00+0530",
            "2026-11-24T17:30:00.000+05:30",
            "2026-11-24T13:00:00+01",
            "2026-11-24T12:00Z",
            "2026-11-24 13:00+01:00",
        ] {
            assert_eq!(parse(same), noon, "{same}");
        }
        assert!(parse("0001-01-01T00:00:00Z").is_some());
        for bad in [
            "2026-11-24T12:00:00",
            "2026-11-24T12:00",
            "2026-11-24T12Z",
            "2026-02-30T12:00:00Z",
            "now",
            "infinity",
            "",
            "1e400",
            "0000-12-31T23:59:59Z",
            "-9999-01-01 00:00:00+00",
            "-262143-01-01 00:00:00+00",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
