//! The difference of two policies on the same decisions, with the interval of that difference: what both have in common
//! cancels out.

use super::{Estimate, Moments, Overflow, estimate, mean_modelled};

/// The rows of two policies, side by side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pairs {
    /// Value and weight of the one, value and weight of the other.
    sides: Moments<4>,
    /// The difference of the values.
    apart: Moments<1>,
}

/// What rounding leaves of a sum of squares that is 0, as a share of its terms.
const ROUNDING: f64 = 1e-14;

impl Pairs {
    /// Adds a decision: value and weight for each of the two.
    pub fn push(&mut self, one: [f64; 2], other: [f64; 2]) {
        self.sides.push([one[0], one[1], other[0], other[1]]);
        self.apart.push([one[0] - other[0]]);
    }

    /// The difference of the means of the values: of IPS, clipped IPS or DR. None without rows.
    pub fn of_means(&self) -> Option<Result<Estimate, Overflow>> {
        mean_modelled(&self.apart)
    }

    /// The difference of two self-normalized values; None without rows, or where all weights of one are 0.
    pub fn of_ratios(&self) -> Option<Result<Estimate, Overflow>> {
        let rows = self.sides.settled();
        let (first, second) = (rows.mean(1), rows.mean(3));
        if !(first > 0.0 && second > 0.0) {
            return None;
        }
        let (one, other) = (rows.mean(0) / first, rows.mean(2) / second);
        // the residual of a row is (x − V·w) / mean of w, of the one less that of the other
        let residual = [1.0 / first, -one / first, -1.0 / second, other / second];
        let (mut squares, mut size) = (0.0, 0.0);
        for (i, a) in residual.iter().enumerate() {
            for (j, b) in residual.iter().enumerate() {
                let term = a * b * rows.products(i, j);
                squares += term;
                size += term.abs();
            }
        }
        if squares < ROUNDING * size {
            squares = 0.0;
        }
        Some(estimate(one - other, squares, rows.rows()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[f64; 4]> {
        (0..50)
            .map(|i| {
                let (x, y) = (f64::from(i % 7), f64::from(i % 4));
                [x, 0.5 + y / 3.0, x * 0.9 + y / 10.0, 0.6 + x / 8.0]
            })
            .collect()
    }

    fn pairs(rows: &[[f64; 4]]) -> Pairs {
        let mut pairs = Pairs::default();
        for &[x, w, y, v] in rows {
            pairs.push([x, w], [y, v]);
        }
        pairs
    }

    fn error(residuals: &[f64]) -> f64 {
        let n = residuals.len() as f64;
        (residuals.iter().map(|e| e * e).sum::<f64>() / (n * (n - 1.0))).sqrt()
    }

    #[test]
    fn a_difference_of_means_is_the_mean_of_differences() {
        let rows = rows();
        let found = pairs(&rows).of_means().unwrap().unwrap();
        let differences: Vec<f64> = rows.iter().map(|row| row[0] - row[2]).collect();
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        let residuals: Vec<f64> = differences.iter().map(|d| d - mean).collect();
        assert!((found.value.unwrap() - mean).abs() < 1e-12);
        assert!((found.standard_error.unwrap() - error(&residuals)).abs() < 1e-12);
    }

    #[test]
    fn a_difference_of_ratios_has_the_residuals_of_both() {
        let rows = rows();
        let found = pairs(&rows).of_ratios().unwrap().unwrap();
        let mean = |k: usize| rows.iter().map(|row| row[k]).sum::<f64>() / rows.len() as f64;
        let (one, other) = (mean(0) / mean(1), mean(2) / mean(3));
        let residual = |row: &[f64; 4]| {
            (row[0] - one * row[1]) / mean(1) - (row[2] - other * row[3]) / mean(3)
        };
        let residuals: Vec<f64> = rows.iter().map(residual).collect();
        assert!((found.value.unwrap() - (one - other)).abs() < 1e-12);
        assert!((found.standard_error.unwrap() - error(&residuals)).abs() < 1e-12);
    }

    #[test]
    fn a_policy_does_not_differ_from_itself() {
        let rows = rows().into_iter().map(|[x, w, ..]| [x, w, x, w]);
        let rows: Vec<[f64; 4]> = rows.collect();
        for found in [pairs(&rows).of_means(), pairs(&rows).of_ratios()] {
            let found = found.unwrap().unwrap();
            assert!(found.value.unwrap() == 0.0 && found.standard_error == Some(0.0));
        }
        assert_eq!(Pairs::default().of_means(), None);
        assert_eq!(pairs(&[[0.0, 0.0, 1.0, 1.0]]).of_ratios(), None);
    }
}
