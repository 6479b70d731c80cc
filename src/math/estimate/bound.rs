//! Intervals about an estimate: the normal one, and one that holds for any number of rows.

/// The interval that covers the truth with the probability `level`, if the estimate is normally distributed about it.
/// None unless the level is between 0 and 1.
pub fn normal(value: f64, standard_error: f64, level: f64) -> Option<(f64, f64)> {
    let reach = z(level)? * standard_error;
    Some((value - reach, value + reach))
}

/// How many standard deviations to both sides of its mean a normal distribution has the share `level`: 1.96 for 0.95.
/// The z with erfc(z/√2) = 1 − level, by bisection. None if the level is not between 0 and 1.
pub fn z(level: f64) -> Option<f64> {
    if !(level > 0.0 && level < 1.0) {
        return None;
    }
    let (mut low, mut high) = (0.0, 40.0);
    loop {
        let middle = (low + high) / 2.0;
        if middle <= low || middle >= high {
            return Some(middle);
        }
        if libm::erfc(middle * std::f64::consts::FRAC_1_SQRT_2) > 1.0 - level {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The interval that covers the mean of independent rows with at least the probability `level`, whatever the distribution: the empirical
/// Bernstein bound (A. Maurer, M. Pontil, "Empirical Bernstein bounds and sample variance penalization", COLT 2009,
/// theorem 4), with half of 1 − level to each side. `range` is the
/// largest value that a row can have less the smallest, by what is known beforehand: where the data say it, nothing holds.
/// Much wider than the normal one where rows are few; None unless there are two rows, a range and a level.
pub fn bernstein(
    value: f64,
    standard_error: f64,
    rows: u64,
    range: f64,
    level: f64,
) -> Option<(f64, f64)> {
    let known = rows > 1 && range >= 0.0 && range.is_finite() && level > 0.0 && level < 1.0;
    if !known {
        return None;
    }
    // each side may fail with (1 − level) / 2, and the theorem has ln(2 / δ)
    let log = (4.0 / (1.0 - level)).ln();
    let reach = standard_error * (2.0 * log).sqrt() + 7.0 * range * log / (3.0 * (rows - 1) as f64);
    Some((value - reach, value + reach))
}

#[cfg(test)]
mod tests {
    use super::bernstein;

    #[test]
    fn has_the_form_of_the_theorem() {
        // variance 0.25 over 100 rows, range 1: √(2·0.25·ln 80/100) + 7·ln 80/(3·99)
        let (low, high) = bernstein(0.5, 0.05, 100, 1.0, 0.95).unwrap();
        let reach = (2.0 * 0.25 * 80f64.ln() / 100.0).sqrt() + 7.0 * 80f64.ln() / 297.0;
        assert!((high - 0.5 - reach).abs() < 1e-12 && (0.5 - low - reach).abs() < 1e-12);
    }

    #[test]
    fn needs_rows_a_range_and_a_level() {
        assert_eq!(bernstein(0.5, 0.0, 1, 1.0, 0.95), None);
        for range in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(bernstein(0.5, 0.1, 9, range, 0.95), None);
        }
        for level in [0.0, 1.0, 2.0, f64::NAN] {
            assert_eq!(bernstein(0.5, 0.1, 9, 1.0, level), None);
        }
        assert!(bernstein(0.5, 0.0, 2, 0.0, 0.95).is_some());
    }
}
