//! A matrix of weights cut into panels of neighbouring actions, so that one pass over the request vector reads each
//! panel from its beginning to its end and keeps its sums in the processor's registers.

use serde::{Deserialize, Serialize};

use super::coordinate::Coordinate;
use crate::slab::Slab;

/// Columns of a wide panel: eight registers of four sums, which every x86-64 and ARM64 processor has.
const WIDE: usize = 32;

/// Columns of the narrow panels, at the end; the last columns of the last one may be for no action.
const NARROW: usize = 4;

/// One row for each coordinate, one column for each action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panels {
    coordinates: usize,
    /// Panel by panel, and in each one coordinate by coordinate.
    weights: Slab<f32>,
}

impl Panels {
    /// Cuts up a matrix that is given row by row.
    pub fn cut(rows: &[f32], actions: usize) -> Panels {
        let coordinates = rows.len().checked_div(actions).unwrap_or(0);
        let wide = actions - actions % WIDE;
        let mut weights = Vec::with_capacity(coordinates * actions.next_multiple_of(NARROW));
        let firsts = (0..wide).step_by(WIDE).map(|first| (first, WIDE));
        let narrow = (wide..actions).step_by(NARROW).map(|first| (first, NARROW));
        for (first, width) in firsts.chain(narrow) {
            for row in rows.chunks_exact(actions) {
                let of_panel = &row[first..actions.min(first + width)];
                weights.extend_from_slice(of_panel);
                weights.resize(weights.len() + width - of_panel.len(), 0.0);
            }
        }
        Panels {
            coordinates,
            weights: weights.into(),
        }
    }

    /// Writes `start` + Σⱼ x[j] · W[j − first][a] for each action, summed in the order of j.
    pub fn add(&self, x: &[Coordinate], first: usize, start: f32, scores: &mut [f32]) {
        if self.coordinates == 0 {
            return scores.fill(start);
        }
        let (wide, narrow) = scores.as_chunks_mut::<WIDE>();
        let (of_wide, of_narrow) = self.weights.split_at(self.coordinates * WIDE * wide.len());
        let panels = of_wide.chunks_exact(self.coordinates * WIDE);
        for (scores, panel) in wide.iter_mut().zip(panels) {
            *scores = sums(x, first, start, panel);
        }
        let panels = of_narrow.chunks_exact(self.coordinates * NARROW);
        for (scores, panel) in narrow.chunks_mut(NARROW).zip(panels) {
            let sums: [f32; NARROW] = sums(x, first, start, panel);
            scores.copy_from_slice(&sums[..scores.len()]);
        }
    }
}

/// The sums of one panel of that width.
fn sums<const WIDTH: usize>(
    x: &[Coordinate],
    first: usize,
    start: f32,
    panel: &[f32],
) -> [f32; WIDTH] {
    let (rows, _) = panel.as_chunks::<WIDTH>();
    let mut sums = [start; WIDTH];
    for &Coordinate { index, value } in x {
        for (sum, &weight) in sums.iter_mut().zip(&rows[index as usize - first]) {
            *sum += value * weight;
        }
    }
    sums
}
