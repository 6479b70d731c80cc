//! How sure a model is of its weights.

use super::{LinearModel, Term};

/// Up to so many weights the covariance of each pair is kept; beyond, the variances alone.
pub const FULL_WIDTH: usize = 256;

/// The covariance of a model's weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Covariance {
    width: usize,
    /// The lower triangle row by row, or the diagonal.
    entries: Vec<f64>,
}

impl Covariance {
    /// How many numbers it takes for so many weights.
    pub fn entries_for(width: usize) -> usize {
        match width {
            0..=FULL_WIDTH => width * (width + 1) / 2,
            _ => width,
        }
    }

    /// Of so many weights; None if there are not as many entries as it takes, or if one is not finite or a variance is
    /// below 0.
    pub fn new(width: usize, entries: Vec<f64>) -> Option<Covariance> {
        let covariance = Covariance { width, entries };
        let fits = covariance.entries.len() == Covariance::entries_for(width)
            && covariance.entries.iter().all(|entry| entry.is_finite())
            && (0..width).all(|i| covariance.between(i, i) >= 0.0);
        fits.then_some(covariance)
    }

    /// As [`Covariance::new`] takes them.
    pub fn entries(&self) -> &[f64] {
        &self.entries
    }

    /// Whether it has variances alone.
    pub fn is_diagonal(&self) -> bool {
        self.width > FULL_WIDTH
    }

    /// That of two weights.
    pub fn between(&self, a: usize, b: usize) -> f64 {
        match self.is_diagonal() {
            true if a != b => 0.0,
            true => self.entries[a],
            false => self.entries[triangle(a.max(b), a.min(b))],
        }
    }

    /// Gives the weights of the terms that `is_out` names no variance, as they are known to be 0.
    pub fn silence(&mut self, model: &LinearModel, is_out: impl Fn(&Term) -> bool) {
        let mut first = 0;
        for term in &model.terms {
            let of_term = first..first + term.width().unwrap_or(0);
            first = of_term.end;
            if is_out(term) {
                of_term.for_each(|weight| self.forget(weight));
            }
        }
    }

    fn forget(&mut self, weight: usize) {
        if self.is_diagonal() {
            self.entries[weight] = 0.0;
            return;
        }
        for other in 0..self.width {
            self.entries[triangle(weight.max(other), weight.min(other))] = 0.0;
        }
    }
}

/// Where an entry of the lower triangle is.
fn triangle(row: usize, column: usize) -> usize {
    row * (row + 1) / 2 + column
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Encoding, Factor, Family, Source};

    #[test]
    fn both_shapes_say_what_weights_have_in_common() {
        let full = Covariance::new(2, vec![4.0, 1.0, 9.0]).unwrap();
        assert_eq!((full.between(0, 0), full.between(1, 1)), (4.0, 9.0));
        assert_eq!((full.between(0, 1), full.between(1, 0)), (1.0, 1.0));
        let diagonal = Covariance::new(300, vec![2.0; 300]).unwrap();
        assert_eq!((diagonal.between(7, 7), diagonal.between(7, 8)), (2.0, 0.0));
    }

    #[test]
    fn what_is_no_covariance_is_refused() {
        for entries in [
            vec![1.0, 0.0],
            vec![1.0, f64::NAN, 1.0],
            vec![1.0, 0.0, -1.0],
        ] {
            assert_eq!(Covariance::new(2, entries), None);
        }
        assert_eq!(Covariance::new(300, vec![1.0; 299]), None);
    }

    #[test]
    fn a_silent_term_has_no_variance() {
        let term = |name: &str, width| Term {
            factors: vec![Factor {
                source: Source::Attribute(name.to_owned()),
                encoding: Encoding::Hashed(width),
            }],
        };
        let mut model = LinearModel {
            family: Family::Linear,
            terms: vec![term("a", 1), term("b", 2)],
            weights: Vec::new(),
        };
        let silent = |term: &Term| term.to_string() == "action.b";
        let mut full = Covariance::new(3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        full.silence(&model, silent);
        assert_eq!(full.entries(), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        model.terms[1] = term("b", 299);
        let mut diagonal = Covariance::new(300, vec![2.0; 300]).unwrap();
        diagonal.silence(&model, silent);
        assert_eq!(diagonal.between(0, 0), 2.0);
        assert_eq!(diagonal.entries()[1..], [0.0; 299]);
    }
}
