//! The rows to learn from.

use crate::model::Family;

/// A sparse matrix of facts in compressed rows, with a label and a weight for each row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Design {
    /// Where each row ends in `columns` and `values`.
    ends: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    labels: Vec<f64>,
    weights: Vec<f64>,
}

impl Design {
    /// A design without rows.
    pub fn new() -> Design {
        Design::default()
    }

    /// Adds a row of (column, value), the label to predict, and how much the row counts (1 for an ordinary row, or for
    /// instance 1 / propensity). What cannot be learned from, such as a label that is NaN, is found by
    /// [`super::fit`].
    pub fn push(&mut self, row: &[(u32, f32)], label: f64, weight: f64) {
        self.columns.extend(row.iter().map(|&(column, _)| column));
        self.values.extend(row.iter().map(|&(_, value)| value));
        self.ends.push(self.columns.len());
        self.labels.push(label);
        self.weights.push(weight);
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The labels, row by row.
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }

    /// The weights, row by row.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The rows as slices of columns and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let range = std::mem::replace(&mut start, end)..end;
            (&self.columns[range.clone()], &self.values[range])
        })
    }

    /// X·v: for each row the weighted sum of its values, in the order of its entries.
    ///
    /// # Panics
    /// If a row has a column beyond the end of `v`.
    pub fn times(&self, v: &[f64]) -> Vec<f64> {
        let dot = |(columns, values): (&[u32], &[f32])| {
            columns
                .iter()
                .zip(values)
                .map(|(&j, &x)| f64::from(x) * v[j as usize])
                .fold(0.0, |sum, x| sum + x)
        };
        self.iter().map(dot).collect()
    }

    /// Xᵀ·r: adds each row times its number in `r` to `out`, in the order of rows.
    pub(super) fn add_transposed(&self, r: &[f64], out: &mut [f64]) {
        for ((columns, values), &r) in self.iter().zip(r) {
            for (&j, &x) in columns.iter().zip(values) {
                out[j as usize] += f64::from(x) * r;
            }
        }
    }

    /// The diagonal of Xᵀ·diag(r)·X, added to `out`. A column that occurs twice in a row counts as two here.
    pub(super) fn add_squares(&self, r: &[f64], out: &mut [f64]) {
        for ((columns, values), &r) in self.iter().zip(r) {
            for (&j, &x) in columns.iter().zip(values) {
                out[j as usize] += f64::from(x) * f64::from(x) * r;
            }
        }
    }

    /// Columns that have the same value, other than 0, in every row, as the intercept has.
    pub fn constant_columns(&self, width: usize) -> Vec<usize> {
        let mut first: Vec<Option<f32>> = vec![None; width];
        let mut rows = vec![0usize; width];
        for (columns, values) in self.iter() {
            for (&column, &value) in columns.iter().zip(values) {
                let column = column as usize;
                if column < width && *first[column].get_or_insert(value) == value {
                    rows[column] += 1;
                }
            }
        }
        let is_constant = |&column: &usize| {
            rows[column] == self.rows() && first[column].is_some_and(|value| value != 0.0)
        };
        (0..width).filter(is_constant).collect()
    }

    /// What a model with these weights predicts for each row.
    pub fn predict(&self, family: Family, weights: &[f64]) -> Vec<f64> {
        let mut predictions = self.times(weights);
        for prediction in &mut predictions {
            *prediction = family.mean(*prediction);
        }
        predictions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_are_the_same_in_every_row_are_found() {
        let mut design = Design::new();
        design.push(&[(0, 1.0), (1, 2.5), (2, 1.0), (4, 0.0)], 1.0, 1.0);
        design.push(
            &[(0, 1.0), (1, 2.5), (2, 2.0), (3, 1.0), (4, 0.0)],
            0.0,
            1.0,
        );
        assert_eq!(design.constant_columns(6), [0, 1]);
        assert!(Design::new().constant_columns(2).is_empty());
    }
}
