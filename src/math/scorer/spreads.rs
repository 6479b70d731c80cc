//! How sure a model is of its scores: s(x)² = xᵀ·Σ·x for each action, where x is the row of the model matrix.
//!
//! A row has few entries that are not 0, and they are products of a coordinate of the request vector and a number of
//! the action. So s² is a sum over pairs of coordinates, x[j] · x[k] times a cell for each action, and the cells are
//! computed when the model is compiled. A pair whose cells are all 0 is left out: coordinates that no action has both
//! of, and, of a covariance that is diagonal, those of two terms.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::coordinate::Coordinate;
use crate::model::{Covariance, ModelError};
use crate::slab::{Slab, range_of};

/// Columns of a panel: eight registers of two sums.
const WIDE: usize = 16;

/// The most cells (256 MiB).
const MAX_CELLS: usize = 1 << 25;

/// Coordinates that share their request part.
pub struct Group {
    /// How many.
    pub width: usize,
    pub parts: Vec<Part>,
}

/// A term of a group.
#[derive(Clone)]
pub struct Part {
    /// For each coordinate the column of the model matrix at which what the actions select from begins.
    pub columns: Vec<usize>,
    /// For each action that the term is for, ascending: how far from there its column is, and its number.
    pub of_actions: Vec<(usize, usize, f64)>,
}

/// What is computed of a covariance for a fixed list of actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spreads {
    /// Where the pairs of each coordinate end, with those at or before it.
    ends: Slab<u32>,
    /// The other coordinate of each pair, ascending in each list.
    others: Slab<u32>,
    /// Panel by panel of actions, and in each pair by pair.
    cells: Slab<f64>,
}

/// A pair of coordinates that are not 0, and their product.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairValue {
    pair: u32,
    value: f64,
}

impl Spreads {
    /// Computes the cells of groups that follow each other.
    pub fn compile(
        groups: &[Group],
        covariance: &Covariance,
        actions: usize,
    ) -> Result<Spreads, ModelError> {
        let mut first = 0;
        let firsts = groups.iter().map(|group| {
            first += group.width;
            first - group.width
        });
        let firsts: Vec<usize> = firsts.collect();
        let partners = partners(groups, covariance, actions);
        let (mut ends, mut others) = (Vec::new(), Vec::new());
        let mut rows: Vec<f64> = Vec::new();
        let mut row = vec![0.0; actions];
        for (g, group) in groups.iter().enumerate() {
            for coordinate in 0..group.width {
                for &h in &partners[g] {
                    let coordinates = match h == g {
                        true if covariance.is_diagonal() => coordinate..coordinate + 1,
                        true => 0..coordinate + 1,
                        false => 0..groups[h].width,
                    };
                    for other in coordinates {
                        row.fill(0.0);
                        let twice = h != g || other != coordinate;
                        let pair = ((group, coordinate), (&groups[h], other));
                        add_cells(pair, covariance, if twice { 2.0 } else { 1.0 }, &mut row);
                        if row.iter().all(|&cell| cell == 0.0) {
                            continue;
                        }
                        others.push((firsts[h] + other) as u32);
                        let width = actions.next_multiple_of(WIDE);
                        if others
                            .len()
                            .checked_mul(width)
                            .is_none_or(|cells| cells > MAX_CELLS)
                        {
                            return Err(ModelError::TooManyCells {
                                coordinates: others.len(),
                                actions,
                            });
                        }
                        rows.extend_from_slice(&row);
                    }
                }
                ends.push(others.len() as u32);
            }
        }
        let mut cells = Vec::with_capacity(others.len() * actions.next_multiple_of(WIDE));
        for first in (0..actions).step_by(WIDE) {
            for row in rows.chunks_exact(actions) {
                let of_panel = &row[first..actions.min(first + WIDE)];
                cells.extend_from_slice(of_panel);
                cells.resize(cells.len() + WIDE - of_panel.len(), 0.0);
            }
        }
        Ok(Spreads {
            ends: ends.into(),
            others: others.into(),
            cells: cells.into(),
        })
    }

    /// How many pairs it has cells for.
    #[cfg(test)]
    pub fn pairs(&self) -> usize {
        self.others.len()
    }

    /// Writes s for each action, in f64 over the pairs in order of their coordinates, rounded once; `pairs` is a
    /// buffer. Does not allocate when that has the capacity.
    pub fn write(&self, x: &[Coordinate], pairs: &mut Vec<PairValue>, spreads: &mut [f32]) {
        self.find_pairs(x, pairs);
        if self.others.is_empty() {
            return spreads.fill(0.0);
        }
        let panels = self.cells.chunks_exact(self.others.len() * WIDE);
        for (spreads, panel) in spreads.chunks_mut(WIDE).zip(panels) {
            let (rows, _) = panel.as_chunks::<WIDE>();
            let mut sums = [0.0f64; WIDE];
            for &PairValue { pair, value } in &*pairs {
                for (sum, &cell) in sums.iter_mut().zip(&rows[pair as usize]) {
                    *sum += value * cell;
                }
            }
            for (spread, sum) in spreads.iter_mut().zip(sums) {
                // Rounding can take it below 0.
                *spread = crate::to_f32(sum.max(0.0).sqrt());
            }
        }
    }

    fn find_pairs(&self, x: &[Coordinate], pairs: &mut Vec<PairValue>) {
        pairs.clear();
        for (i, &Coordinate { index, value }) in x.iter().enumerate() {
            let range = range_of(&self.ends, index as usize);
            let (first, others) = (range.start, &self.others[range]);
            let mut add = |place: usize, other: f32| {
                pairs.push(PairValue {
                    pair: (first + place) as u32,
                    value: f64::from(value) * f64::from(other),
                })
            };
            if others.len() > i {
                let is_whole = others.len() == index as usize + 1;
                for other in &x[..=i] {
                    let place = match is_whole {
                        true => Ok(other.index as usize),
                        false => others.binary_search(&other.index),
                    };
                    if let Ok(place) = place {
                        add(place, other.value);
                    }
                }
            } else {
                for (place, other) in others.iter().enumerate() {
                    let other = x[..=i].binary_search_by_key(other, |of| of.index);
                    if let Ok(other) = other {
                        add(place, x[other].value);
                    }
                }
            }
        }
    }
}

/// For each group those at or before it, ascending, that some action has as well.
fn partners(groups: &[Group], covariance: &Covariance, actions: usize) -> Vec<Vec<usize>> {
    if covariance.is_diagonal() {
        return (0..groups.len()).map(|group| vec![group]).collect();
    }
    let mut of_actions = vec![Vec::new(); actions];
    for (g, group) in groups.iter().enumerate() {
        let mut have: Vec<usize> = group.parts.iter().flat_map(Part::actions).collect();
        have.sort_unstable();
        have.dedup();
        have.into_iter()
            .for_each(|action| of_actions[action].push(g));
    }
    let lists: BTreeSet<Vec<usize>> = of_actions.into_iter().collect();
    let mut partners = vec![BTreeSet::new(); groups.len()];
    for list in lists {
        for (i, &group) in list.iter().enumerate() {
            partners[group].extend(&list[..=i]);
        }
    }
    partners
        .into_iter()
        .map(|partners| partners.into_iter().collect())
        .collect()
}

impl Part {
    fn actions(&self) -> impl Iterator<Item = usize> {
        self.of_actions.iter().map(|&(action, _, _)| action)
    }
}

/// Adds to the cell of each action `times` the covariance of what two coordinates are multiplied by.
fn add_cells(
    ((group, coordinate), (other_group, other)): ((&Group, usize), (&Group, usize)),
    covariance: &Covariance,
    times: f64,
    row: &mut [f64],
) {
    for part in &group.parts {
        for other_part in &other_group.parts {
            let (from, to) = (part.columns[coordinate], other_part.columns[other]);
            let mut others = other_part.of_actions.iter().peekable();
            for &(action, offset, value) in &part.of_actions {
                while others.next_if(|of| of.0 < action).is_some() {}
                let Some(&&(_, other_offset, other_value)) =
                    others.peek().filter(|of| of.0 == action)
                else {
                    continue;
                };
                let common = covariance.between(from + offset, to + other_offset);
                row[action] += times * common * value * other_value;
            }
        }
    }
}
