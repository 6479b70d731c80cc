//! Conjugate gradients with a diagonal preconditioner, for symmetric positive semi-definite systems.
//!
//! Source: M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems", 1952; the
//! preconditioned form as in Y. Saad, "Iterative methods for sparse linear systems", 2nd ed., algorithm 9.1.

use crate::sum;
use ndarray::{Array1, Zip};

/// What [`solve`] found.
pub(super) struct Solution {
    /// The approximate solution.
    pub x: Array1<f64>,
    /// How many products with the matrix it took.
    pub iterations: usize,
    /// Whether the residual became as small as asked.
    pub converged: bool,
}

/// Solves A·x = b from x = 0, until the residual r has √(rᵀ·M⁻¹·r) ≤ `tolerance` times its value at the start, for at
/// most `limit` iterations. `times(v)` is A·v; `diagonal` is M, the diagonal of A, where a zero counts as 1.
/// `interrupt` is called once in each iteration. None if a sum is beyond the range of f64.
pub(super) fn solve(
    times: &dyn Fn(&Array1<f64>) -> Array1<f64>,
    b: Array1<f64>,
    diagonal: &Array1<f64>,
    tolerance: f64,
    limit: usize,
    interrupt: &mut dyn FnMut(),
) -> Option<Solution> {
    let precondition = |r: &Array1<f64>| {
        Zip::from(r)
            .and(diagonal)
            .map_collect(|&r, &d| if d > 0.0 { r / d } else { r })
    };
    let mut x = Array1::zeros(b.len());
    let mut r = b;
    let mut z = precondition(&r);
    let mut direction = z.clone();
    let mut size = finite(dot(&r, &z))?;
    let enough = tolerance * tolerance * size;
    let mut iterations = 0;
    while size > enough && iterations < limit {
        interrupt();
        let image = times(&direction);
        let curvature = finite(dot(&direction, &image))?;
        if curvature <= 0.0 {
            break; // the matrix does not see this direction: what is left of b is out of its reach
        }
        let step = size / curvature;
        x.scaled_add(step, &direction);
        r.scaled_add(-step, &image);
        z = precondition(&r);
        let next = finite(dot(&r, &z))?;
        direction *= next / size;
        direction += &z;
        size = next;
        iterations += 1;
    }
    let converged = size <= enough;
    Some(Solution {
        x,
        iterations,
        converged,
    })
}

fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

/// Σᵢ aᵢ·bᵢ in the order of [`sum`].
pub(super) fn dot(a: &Array1<f64>, b: &Array1<f64>) -> f64 {
    sum(Zip::from(a)
        .and(b)
        .map_collect(|&a, &b| a * b)
        .as_slice()
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Solves diag(1, 0, 4)·x = b.
    fn solved(b: Array1<f64>, limit: usize) -> Option<Solution> {
        let matrix = array![1.0, 0.0, 4.0];
        solve(&|v| &matrix * v, b, &matrix, 1e-12, limit, &mut || ())
    }

    #[test]
    fn what_is_within_reach_is_solved() {
        let found = solved(array![2.0, 0.0, 2.0], 10).unwrap();
        assert!(found.converged);
        assert_eq!(found.x, array![2.0, 0.0, 0.5]);
        assert_eq!(solved(array![0.0, 0.0, 0.0], 10).unwrap().iterations, 0);
    }

    #[test]
    fn what_is_out_of_reach_is_told() {
        assert!(!solved(array![0.0, 1.0, 0.0], 10).unwrap().converged);
        assert!(!solved(array![2.0, 0.0, 2.0], 0).unwrap().converged);
        assert!(solved(array![1e200, 0.0, 0.0], 10).is_none());
    }
}
