//! The traffic of each hour of the week, learned from counts and forgotten week by week, and the curve that follows it.

use super::Curve;

/// Hours of a week: Monday from midnight is 0.
pub const HOURS: usize = 168;

/// The weight of a week relative to the next one.
const KEPT: f64 = 0.7;
/// The prior of each hour: this much of a week in which it was like the same hour of other days.
const PRIOR: f64 = 0.25;
/// The least that an hour is expected to have, as a part of the mean hour.
const LEAST: f64 = 0.02;
/// One hour in microseconds.
const HOUR: i64 = 3_600_000_000;
/// The most points of a curve; beyond, hours are merged.
const MOST_POINTS: usize = 1024;
/// Longer windows are even: the hour of the week does not matter in them.
const LONGEST: u64 = 400 * 24;

/// Decayed counts per hour of the week.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Per hour: the decayed sum of its counts.
    pub counts: Vec<f64>,
    /// Per hour: the decayed number of weeks in which it was seen.
    pub weeks: Vec<f64>,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile::new(&[], &[])
    }
}

impl Profile {
    /// From stored numbers; a missing or invalid number is an hour that was never seen.
    pub fn new(counts: &[f64], weeks: &[f64]) -> Profile {
        let cell = |numbers: &[f64], hour: usize| {
            let number: f64 = numbers.get(hour).copied().unwrap_or(0.0);
            if number.is_finite() {
                number.max(0.0)
            } else {
                0.0
            }
        };
        Profile {
            counts: (0..HOURS).map(|hour| cell(counts, hour)).collect(),
            weeks: (0..HOURS).map(|hour| cell(weeks, hour)).collect(),
        }
    }

    /// Learns the count of one hour that is over, by its hour of the week.
    pub fn learn(&mut self, hour: usize, count: f64) {
        if count.is_finite() && count >= 0.0 {
            let hour = hour % HOURS;
            self.counts[hour] = KEPT * self.counts[hour] + count;
            self.weeks[hour] = KEPT * self.weeks[hour] + 1.0;
        }
    }

    /// Expected counts per hour of the week; None if nothing is known.
    pub fn expected(&self) -> Option<Vec<f64>> {
        let total = mean(self, 0..HOURS).filter(|&mean| mean > 0.0)?;
        let hours = (0..HOURS).map(|hour| {
            let days = (0..7).map(|day| day * 24 + hour % 24);
            let like_it = mean(self, days).unwrap_or(total);
            let seen = self.counts[hour] + PRIOR * like_it;
            (seen / (self.weeks[hour] + PRIOR)).max(LEAST * total)
        });
        Some(hours.collect())
    }

    /// The cumulative points, for [`Curve::forecast`], of a window from `starts` to `ends` (microseconds); `hour_of`
    /// says which hour of the week a moment is in. Straight where nothing is known.
    pub fn points(&self, starts: i64, ends: i64, hour_of: impl Fn(i64) -> usize) -> Vec<f64> {
        let length = ends.abs_diff(starts);
        let hours = length / HOUR as u64 + 2;
        let expected = self
            .expected()
            .filter(|_| starts < ends && hours <= LONGEST);
        let Some(expected) = expected else {
            return vec![0.0, 0.0, 1.0, 1.0];
        };
        let together = hours.div_ceil(MOST_POINTS as u64 - 1);
        let mut points = vec![0.0, 0.0];
        let (mut at, mut sum, mut passed) = (starts, 0.0, 0);
        while at < ends {
            // To the next full hour, which is one in most zones.
            let next = (at.div_euclid(HOUR) + 1).saturating_mul(HOUR).min(ends);
            sum += expected[hour_of(at) % HOURS] * (next.abs_diff(at) as f64 / HOUR as f64);
            passed += 1;
            at = next;
            if at == ends {
                points.extend([1.0, sum]);
            } else if passed % together == 0 {
                points.extend([at.abs_diff(starts) as f64 / length as f64, sum]);
            }
        }
        points
    }

    /// The curve through these points.
    pub fn curve(&self, starts: i64, ends: i64, hour_of: impl Fn(i64) -> usize) -> Curve {
        Curve::forecast(&self.points(starts, ends, hour_of)).unwrap_or(Curve::Even)
    }
}

/// The mean count of those hours that were seen; None if none was.
fn mean(profile: &Profile, hours: impl Iterator<Item = usize>) -> Option<f64> {
    let (count, weeks) = hours.fold((0.0, 0.0), |(count, weeks), hour| {
        (count + profile.counts[hour], weeks + profile.weeks[hour])
    });
    (weeks > 0.0).then(|| count / weeks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The Unix epoch was a Thursday.
    fn hour_of(at: i64) -> usize {
        (at.div_euclid(HOUR) + 3 * 24).rem_euclid(HOURS as i64) as usize
    }

    const MONDAY: i64 = 4 * 24 * HOUR;

    #[test]
    fn follows_the_hours_that_it_has_seen() {
        let mut profile = Profile::default();
        for _ in 0..4 {
            (0..HOURS)
                .for_each(|hour| profile.learn(hour, if hour % 24 < 12 { 30.0 } else { 90.0 }));
        }
        let curve = profile.curve(MONDAY, MONDAY + 24 * HOUR, hour_of);
        for (x, share) in [(0.25, 0.125), (0.5, 0.25), (0.75, 0.625)] {
            assert!(
                (curve.share(x) - share).abs() < 1e-9,
                "{} at {x}",
                curve.share(x)
            );
        }
        // From noon to noon, and from the middle of an hour.
        let curve = profile.curve(MONDAY + 12 * HOUR, MONDAY + 36 * HOUR, hour_of);
        assert!((curve.share(0.5) - 0.75).abs() < 1e-9);
        let curve = profile.curve(MONDAY + 23 * HOUR / 2, MONDAY + 25 * HOUR / 2, hour_of);
        assert!((curve.share(0.5) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn newer_weeks_weigh_more() {
        let mut profile = Profile::default();
        (0..20).for_each(|_| profile.learn(5, 100.0));
        (0..3).for_each(|_| profile.learn(5, 10.0));
        let expected = profile.expected().unwrap()[5];
        assert!((10.0..60.0).contains(&expected), "{expected}");
    }

    #[test]
    fn an_hour_that_was_never_seen_is_like_that_of_other_days_and_an_empty_one_has_a_little() {
        let mut profile = Profile::default();
        (0..24).for_each(|hour| profile.learn(hour, if hour == 3 { 0.0 } else { 48.0 }));
        let expected = profile.expected().unwrap();
        assert_eq!(expected[24 + 5], 48.0);
        assert!(expected[3] > 0.0 && expected[3] < 2.0);
        assert!(expected.iter().all(|&count| count > 0.0));
    }

    #[test]
    fn nothing_known_is_even() {
        assert_eq!(Profile::default().expected(), None);
        let curve = Profile::default().curve(0, HOUR, hour_of);
        assert_eq!(curve.share(0.3), 0.3);
        let mut profile = Profile::new(&[f64::NAN, -1.0], &[f64::INFINITY, 1.0]);
        profile.learn(0, f64::NAN);
        profile.learn(0, -1.0);
        assert_eq!(profile.expected(), None);
        profile.learn(7, 3.0);
        for (starts, ends) in [(0, 0), (5, 1), (i64::MIN, i64::MAX), (0, i64::MAX)] {
            assert_eq!(profile.points(starts, ends, hour_of), [0.0, 0.0, 1.0, 1.0]);
        }
    }

    proptest! {
        #[test]
        fn the_points_are_those_of_a_curve(
            counts in prop::collection::vec(0.0..1e6f64, 0..HOURS),
            starts in 0..1_000_000 * HOUR,
            length in 1..9000 * HOUR,
        ) {
            let mut profile = Profile::default();
            profile.learn(0, 1.0);
            counts.iter().enumerate().for_each(|(hour, &count)| profile.learn(hour, count));
            let points = profile.points(starts, starts + length, hour_of);
            prop_assert!(points.len() <= 2 * MOST_POINTS);
            prop_assert!(Curve::forecast(&points).is_some());
        }
    }
}
