//! Sorted rows in bins: the uplift of each, and whether the scores promise it.

use super::rows::{Group, Row, Strategy};

/// z for 95 %.
const Z95: f64 = 1.959_963_984_540_054;

/// The rows of one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    pub group: Group,
    treated_squares: f64,
    control_squares: f64,
    scores: f64,
}

impl Bin {
    fn add(&mut self, row: &Row) {
        self.group.add(row);
        self.scores += row.score;
        let square = row.outcome * row.outcome;
        match row.treated {
            true => self.treated_squares += square,
            false => self.control_squares += square,
        }
    }

    /// The mean outcome of the treated rows, and of the others; None without any.
    pub fn treated_mean(&self) -> Option<f64> {
        mean(self.group.treated_sum, self.group.treated)
    }

    pub fn control_mean(&self) -> Option<f64> {
        mean(self.group.control_sum, self.group.control)
    }

    /// The mean score: the uplift that is promised.
    pub fn score(&self) -> Option<f64> {
        mean(self.scores, self.group.rows())
    }

    /// The standard error of the difference, with the variances of both groups divided by their rows. For outcomes that are
    /// 0 or 1 these are p·(1 − p).
    pub fn standard_error(&self) -> Option<f64> {
        self.group.difference()?;
        let variance = |squares: f64, sum: f64, rows: u64| {
            let (n, mean) = (rows as f64, sum / rows as f64);
            (squares / n - mean * mean).max(0.0) / n
        };
        let Group {
            treated,
            control,
            treated_sum,
            control_sum,
        } = self.group;
        let of_treated = variance(self.treated_squares, treated_sum, treated);
        Some((of_treated + variance(self.control_squares, control_sum, control)).sqrt())
    }

    /// The 95 % interval of the uplift, by the normal approximation.
    pub fn interval(&self) -> Option<(f64, f64)> {
        let (value, reach) = (self.group.difference()?, Z95 * self.standard_error()?);
        Some((value - reach, value + reach))
    }
}

fn mean(sum: f64, rows: u64) -> Option<f64> {
    (rows > 0).then(|| sum / rows as f64)
}

/// The bin of the i-th of n rows, where bins are as equal as can be and the first ones are larger by one row.
fn bin_of(i: u64, n: u64, bins: u64) -> usize {
    let (size, larger) = (n / bins, n % bins);
    let in_larger = larger * (size + 1);
    let bin = match i < in_larger {
        true => i / (size + 1),
        false => larger + (i - in_larger) / size,
    };
    bin as usize
}

/// Sorted rows in so many bins, the highest scores first: of all rows, or of each group by itself.
pub fn bins(sorted: &[Row], count: usize, strategy: Strategy) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); count];
    let whole = Group::of(sorted);
    let mut seen = Group::default();
    for row in sorted {
        let (i, n) = match (strategy, row.treated) {
            (Strategy::Overall, _) => (seen.rows(), whole.rows()),
            (Strategy::ByGroup, true) => (seen.treated, whole.treated),
            (Strategy::ByGroup, false) => (seen.control, whole.control),
        };
        bins[bin_of(i, n, count as u64)].add(row);
        seen.add(row);
    }
    bins
}

/// Whether bins have the uplift that their scores promise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Bins with rows of both groups; the others do not count.
    pub bins: usize,
    /// The line through observed against promised uplift, weighted by rows: 1 and 0 are best. None if all bins promise the same.
    pub slope: Option<f64>,
    pub intercept: Option<f64>,
    /// The mean of |observed − promised|, weighted by rows.
    pub error: f64,
    /// The mean of |observed − promised| / |observed|, over bins with an observed uplift other than 0.
    pub relative_error: Option<f64>,
    /// Kendall's τ-b of promised and observed uplift: 1 if the order is right, −1 if it is reversed.
    pub kendall: Option<f64>,
}

/// None if no bin has rows of both groups.
pub fn calibration(bins: &[Bin]) -> Option<Calibration> {
    let points = bins.iter().filter_map(|bin| {
        let observed = bin.group.difference()?;
        Some((bin.score()?, observed, bin.group.rows() as f64))
    });
    let points: Vec<(f64, f64, f64)> = points.collect();
    let total: f64 = points.iter().map(|point| point.2).sum();
    if points.is_empty() {
        return None;
    }
    let weigh = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        let terms = points.iter().map(|&(x, y, n)| of(x, y) * n);
        terms.sum::<f64>() / total
    };
    let (x_mean, y_mean) = (weigh(&|x, _| x), weigh(&|_, y| y));
    let spread = weigh(&|x, _| (x - x_mean) * (x - x_mean));
    let together = weigh(&|x, y| (x - x_mean) * (y - y_mean));
    let slope = (spread > 0.0).then(|| together / spread);
    let relative = points.iter().filter(|point| point.1 != 0.0);
    let relative: Vec<f64> = relative.map(|&(x, y, _)| ((y - x) / y).abs()).collect();
    let pairs: Vec<(f64, f64)> = points.iter().map(|&(x, y, _)| (x, y)).collect();
    Some(Calibration {
        bins: points.len(),
        slope,
        intercept: slope.map(|slope| y_mean - slope * x_mean),
        error: weigh(&|x, y| (y - x).abs()),
        relative_error: mean(relative.iter().sum(), relative.len() as u64),
        kendall: kendall(&pairs),
    })
}

/// Kendall's τ-b: pairs in the same order less those in the other, with ties left out of the scale (M. G. Kendall, 1945). None if
/// one side has no two different values. Takes as many steps as there are pairs of points.
pub fn kendall(points: &[(f64, f64)]) -> Option<f64> {
    let (mut order, mut untied_x, mut untied_y) = (0i64, 0u64, 0u64);
    for (i, a) in points.iter().enumerate() {
        for b in &points[..i] {
            let sign = |d: f64| i64::from(d > 0.0) - i64::from(d < 0.0);
            let (x, y) = (sign(a.0 - b.0), sign(a.1 - b.1));
            order += x * y;
            untied_x += x.unsigned_abs();
            untied_y += y.unsigned_abs();
        }
    }
    let scale = (untied_x as f64 * untied_y as f64).sqrt();
    (scale > 0.0).then(|| order as f64 / scale)
}
