//! Whether intervals hold what they promise: a thousand experiments with chance in them, each by its own seed.

use super::*;
use crate::random::Draws;

const SEEDS: u64 = 1_000;

const LEVELS: Levels = Levels {
    alpha: 0.05,
    tuning: 1_000.0,
};

/// Moments of units that are added one by one, by Welford's recurrence.
#[derive(Default)]
struct Units {
    n: f64,
    means: [f64; 3],
    products: [[f64; 3]; 3],
}

impl Units {
    /// Adds outcome, denominator and covariate of a unit.
    fn push(&mut self, unit: [f64; 3]) {
        self.n += 1.0;
        let before: [f64; 3] = std::array::from_fn(|i| unit[i] - self.means[i]);
        for (mean, distance) in self.means.iter_mut().zip(before) {
            *mean += distance / self.n;
        }
        let after: [f64; 3] = std::array::from_fn(|i| unit[i] - self.means[i]);
        for (row, before) in self.products.iter_mut().zip(before) {
            for (product, after) in row.iter_mut().zip(after) {
                *product += before * after;
            }
        }
    }

    fn moments(&self) -> Moments {
        let over = |i: usize, j: usize| self.products[i][j] / (self.n - 1.0);
        Moments {
            n: self.n,
            outcome: self.means[0],
            outcome_variance: over(0, 0),
            denominator: self.means[1],
            denominator_variance: over(1, 1),
            outcome_denominator: over(0, 1),
            covariate: self.means[2],
            covariate_variance: over(2, 2),
            outcome_covariate: over(0, 2),
        }
    }
}

/// A unit with 1 to 8 decisions, of which a part succeeds that is the unit's own, and a covariate that knows that part. The true
/// mean of a decision is 0.3 + `lift` / 2, since that part is the lift at most and half of it on average.
fn unit(draws: &mut Draws, lift: f64) -> [f64; 3] {
    let decisions = 1.0 + (draws.unit() * 8.0).floor();
    let own = draws.unit();
    let chance = 0.1 + 0.4 * own + lift * draws.unit();
    let successes = (0..decisions as usize).filter(|_| draws.unit() < chance);
    [
        successes.count() as f64,
        decisions,
        own + 0.2 * draws.unit(),
    ]
}

/// The rate at which something happens over all seeds.
fn rate(mut happens: impl FnMut(&mut Draws) -> bool) -> f64 {
    let hits = (0..SEEDS).filter(|&seed| happens(&mut Draws::from_seed(seed)));
    hits.count() as f64 / SEEDS as f64
}

fn both(draws: &mut Draws, n: usize, lift: f64) -> (Moments, Moments) {
    let mut sides = [Units::default(), Units::default()];
    for _ in 0..n {
        sides[0].push(unit(draws, 0.0));
        sides[1].push(unit(draws, lift));
    }
    (sides[0].moments(), sides[1].moments())
}

#[track_caller]
fn is_near(rate: f64, expected: f64) {
    // four standard deviations of a thousand trials
    let tolerance = 4.0 * (expected * (1.0 - expected) / SEEDS as f64).sqrt();
    assert!(
        (rate - expected).abs() <= tolerance,
        "{rate} for {expected}"
    );
}

#[test]
fn fixed_intervals_cover() {
    let lift = 0.2;
    let covers = |of: Option<Comparison>, truth: f64| {
        let (low, high) = of.unwrap().interval;
        (low..=high).contains(&truth)
    };
    is_near(
        rate(|draws| {
            let (a, b) = both(draws, 150, lift);
            covers(compare(a.mean(), b.mean(), LEVELS), 4.5 * lift / 2.0)
        }),
        0.95,
    );
    is_near(
        rate(|draws| {
            let (a, b) = both(draws, 150, lift);
            covers(compare(a.ratio(), b.ratio(), LEVELS), lift / 2.0)
        }),
        0.95,
    );
    let mut narrower = 0.0;
    is_near(
        rate(|draws| {
            let (a, b) = both(draws, 150, lift);
            let theta = theta(&a, &b);
            let adjusted = compare(a.adjusted(theta), b.adjusted(theta), LEVELS).unwrap();
            let plain = compare(a.mean(), b.mean(), LEVELS).unwrap();
            narrower += adjusted.std_error / plain.std_error / SEEDS as f64;
            covers(Some(adjusted), 4.5 * lift / 2.0)
        }),
        0.95,
    );
    assert!(narrower < 0.95, "{narrower}");
}

#[test]
fn lifts_cover() {
    let covered = rate(|draws| {
        let (a, b) = both(draws, 400, 0.2);
        let (_, low, high) = compare(a.ratio(), b.ratio(), LEVELS).unwrap().lift.unwrap();
        (low..=high).contains(&(0.1 / 0.3))
    });
    is_near(covered, 0.95);
}

/// Without an effect every p-value is as likely as any other.
#[test]
fn p_values_are_uniform() {
    let mut tenths = [0.0; 10];
    for seed in 0..SEEDS {
        let (a, b) = both(&mut Draws::from_seed(seed), 100, 0.0);
        let p = compare(a.ratio(), b.ratio(), LEVELS).unwrap().p_value;
        tenths[((p * 10.0) as usize).min(9)] += 1.0;
    }
    assert!(sample_ratio(&tenths, &[1.0; 10]) > 1e-4, "{tenths:?}");
}

/// Who looks forty times and stops at the first look that excludes the truth errs no more often than promised with the always-valid
/// interval, and several times as often with the fixed one.
#[test]
fn always_valid_intervals_bear_peeking() {
    let (mut fixed, mut always) = (0.0, 0.0);
    for seed in 0..SEEDS {
        let draws = &mut Draws::from_seed(seed);
        let mut sides = [Units::default(), Units::default()];
        let (mut of_fixed, mut of_always) = (false, false);
        for _ in 0..40 {
            for _ in 0..50 {
                sides
                    .iter_mut()
                    .for_each(|side| side.push(unit(draws, 0.0)));
            }
            let (a, b) = (sides[0].moments(), sides[1].moments());
            let found = compare(a.mean(), b.mean(), LEVELS).unwrap();
            let excludes = |(low, high): (f64, f64)| low > 0.0 || high < 0.0;
            of_fixed |= excludes(found.interval);
            of_always |= excludes(found.always);
            assert_eq!(excludes(found.always), found.always_p < LEVELS.alpha);
        }
        fixed += f64::from(u8::from(of_fixed)) / SEEDS as f64;
        always += f64::from(u8::from(of_always)) / SEEDS as f64;
    }
    assert!(always < 0.05, "{always}");
    assert!(fixed > 0.15, "{fixed}");
}

#[test]
fn sample_ratios_alarm_as_often_as_promised() {
    let alarms = rate(|draws| {
        let mut counts = [0.0; 3];
        for _ in 0..1_000 {
            let at = draws.unit();
            counts[usize::from(at > 0.2) + usize::from(at > 0.5)] += 1.0;
        }
        sample_ratio(&counts, &[2.0, 3.0, 5.0]) < 0.05
    });
    is_near(alarms, 0.05);
    let found = rate(|draws| {
        let first = (0..10_000).filter(|_| draws.unit() < 0.47).count() as f64;
        sample_ratio(&[first, 10_000.0 - first], &[0.5, 0.5]) < 0.001
    });
    assert!(found > 0.99, "{found}");
}
