//! The normal distribution from a table, as fast as quadrature over many candidates needs it, with the same bits on
//! every machine.

use std::sync::LazyLock;

/// Beyond this many standard deviations the distribution function is 0 or 1.
pub const END: f64 = 8.5;

/// Entries of the table for each standard deviation.
const PER_UNIT: usize = 8;

/// Entries from −END to END.
const ENTRIES: usize = 2 * PER_UNIT * END as usize + PER_UNIT;

/// Coefficients of the powers 0 to 7 of an entry's distance: a cache line.
type Entry = [f64; 8];

/// Taylor's series of Φ around the middle of each entry. What is cut off is below 2e-13.
static TABLE: LazyLock<Vec<Entry>> = LazyLock::new(|| (0..ENTRIES).map(entry).collect());

fn entry(index: usize) -> Entry {
    let z = (index as f64 + 0.5) / PER_UNIT as f64 - END;
    let density = libm::exp(-0.5 * z * z) * INVERSE_ROOT_2PI;
    // Φ^(k+1) = (−1)^k · He_k · φ, with Hermite's polynomials He_(k+1) = z·He_k − k·He_(k−1).
    let mut entry = [0.0; 8];
    entry[0] = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
    let (mut before, mut hermite) = (0.0, 1.0);
    let (mut sign, mut factorial) = (1.0, 1.0);
    for (power, coefficient) in entry.iter_mut().enumerate().skip(1) {
        factorial *= power as f64;
        *coefficient = sign * hermite * density / factorial;
        let next = z * hermite - (power - 1) as f64 * before;
        (before, hermite) = (hermite, next);
        sign = -sign;
    }
    entry
}

/// 1 / √(2π).
const INVERSE_ROOT_2PI: f64 = 0.398_942_280_401_432_7;

/// Φ and φ, its derivative, from one table.
#[derive(Clone, Copy)]
pub struct Normal(&'static [Entry]);

impl Normal {
    /// The table, which is made at its first use.
    pub fn new() -> Normal {
        Normal(&TABLE)
    }

    /// (Φ(z), φ(z)): to 2e-13 and 2e-11. (0, 0) and (1, 0) beyond [`END`]; NaN counts as below.
    #[inline]
    pub fn at(self, z: f64) -> (f64, f64) {
        let place = (z + END) * PER_UNIT as f64;
        if place.is_nan() || place < 0.0 {
            return (0.0, 0.0);
        }
        let Some(&[a, b, c, d, e, f, g, h]) = self.0.get(place as usize) else {
            return (1.0, 0.0);
        };
        let x = (place - (place as usize as f64 + 0.5)) / PER_UNIT as f64;
        let squared = x * x;
        let fourth = squared * squared;
        let value =
            ((a + b * x) + (c + d * x) * squared) + ((e + f * x) + (g + h * x) * squared) * fourth;
        let slope = ((b + 2.0 * c * x) + (3.0 * d + 4.0 * e * x) * squared)
            + ((5.0 * f + 6.0 * g * x) + 7.0 * h * squared) * fourth;
        (value.max(0.0), slope.max(0.0))
    }
}

impl Default for Normal {
    fn default() -> Normal {
        Normal::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_erfc() {
        let normal = Normal::new();
        let mut last = 0.0;
        for i in -90_000..=90_000 {
            let z = f64::from(i) / 10_000.0;
            let (value, slope) = normal.at(z);
            let exact = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
            let density = libm::exp(-0.5 * z * z) * INVERSE_ROOT_2PI;
            assert!((value - exact).abs() < 2e-13, "{z}: {value}, not {exact}");
            assert!(
                (slope - density).abs() < 2e-11,
                "{z}: {slope}, not {density}"
            );
            assert!(value >= last - 4e-13, "{z}");
            last = value;
        }
    }

    #[test]
    fn beyond_its_ends_it_is_zero_or_one() {
        let normal = Normal::new();
        assert_eq!(normal.at(-9.0), (0.0, 0.0));
        assert_eq!(normal.at(f64::NEG_INFINITY), (0.0, 0.0));
        assert_eq!(normal.at(f64::NAN), (0.0, 0.0));
        assert_eq!(normal.at(9.0), (1.0, 0.0));
        assert_eq!(normal.at(f64::INFINITY), (1.0, 0.0));
    }
}
