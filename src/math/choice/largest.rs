//! The chance that each of several independent normal variables is the largest.
//!
//! P(i) = ∫ φᵢ(t) · Π over j ≠ i of Φⱼ(t) dt, by Gauss and Legendre's rule over panels that all variables share. With
//! F = Π Φⱼ, the distribution function of the largest, that is ∫ F · φᵢ/Φᵢ dt: at each node F and the ratios take one
//! pass over the variables.
//!
//! What counts lies above the lowest point that no variable is likely to stay below, and there only those matter that
//! reach up to it. No panel is wider than [`WIDTH`] times the least spread of those that do not end before it, so the
//! panels grow as they go up, and their number depends on the ratio of the spreads by its logarithm alone. They are gone through from the
//! top downwards until F is nothing.

use super::scored::{Scored, best, finite};
use crate::normal::Normal;
use crate::sum;

/// A variable that is taken to have no spread: it is its mean.
const LEAST_SPREAD: f64 = 1e-100;

/// The widest spread.
const LARGEST_SPREAD: f64 = 1e100;

/// Where F is less, nothing is left to integrate.
const NOTHING: f64 = 3e-11;

/// How wide a panel is for one variable, in the least of its spreads. The largest of n variables is narrower than they
/// are, by about √(1 + 2·log n).
const WIDTH: f64 = 6.0;

/// More panels than any spreads in f32 call for.
const MOST_PANELS: usize = 4096;

/// Panels that there may be for any number of variables.
const LEAST_PANELS: usize = 64;

/// How often Φ is computed at most, within these bounds: some tenths of a second. With more variables than any surface
/// has, and spreads over many orders of magnitude, what is left is one panel.
const MOST_EVALUATIONS: usize = 1 << 26;

/// Nodes and weights on [−1, 1], from the highest.
#[rustfmt::skip]
const NODES: [(f64, f64); 16] = [
    (0.989_400_934_991_649_9, 0.027_152_459_411_754_176),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_456),
    (0.865_631_202_387_831_8, 0.095_158_511_682_492_6),
    (0.755_404_408_355_003, 0.124_628_971_255_534_07),
    (0.617_876_244_402_643_8, 0.149_595_988_816_576_7),
    (0.458_016_777_657_227_37, 0.169_156_519_395_002_65),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_64),
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_64),
    (-0.095_012_509_837_637_44, 0.189_450_610_455_068_64),
    (-0.281_603_550_779_258_9, 0.182_603_415_044_923_64),
    (-0.458_016_777_657_227_37, 0.169_156_519_395_002_65),
    (-0.617_876_244_402_643_8, 0.149_595_988_816_576_7),
    (-0.755_404_408_355_003, 0.124_628_971_255_534_07),
    (-0.865_631_202_387_831_8, 0.095_158_511_682_492_6),
    (-0.944_575_023_073_232_6, 0.062_253_523_938_647_456),
    (-0.989_400_934_991_649_9, 0.027_152_459_411_754_176),
];

/// Buffers for one computation after another.
#[derive(Clone, Debug, Default)]
pub struct Largest {
    /// Those that reach up to what counts, by their upper ends, the highest first.
    reaching: Vec<Variable>,
    /// The ends of the panels, ascending.
    ends: Vec<f64>,
    /// Of each variable at one node: φᵢ/Φᵢ.
    ratios: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Variable {
    index: usize,
    /// From the origin.
    mean: f64,
    spread: f64,
    /// One over the spread.
    precision: f64,
    /// It is not above this one.
    end: f64,
    /// The least spread of this one and those before it.
    least_spread: f64,
}

impl Largest {
    /// Writes the chance of each candidate that is not taken to be the largest, where each is normal around its
    /// score with its spread times `scale` as the standard deviation; 0 for the others. Candidates without spread are
    /// their score; of equal ones the first is the largest. Returns the sum, which is 1 to 1e-9.
    pub fn chances(
        &mut self,
        scored: Scored<'_>,
        scale: f64,
        taken: &[bool],
        out: &mut [f64],
    ) -> f64 {
        let scores = scored.scores;
        out.fill(0.0);
        let spread = |i: usize| {
            let spread = scale * scored.spread(i);
            let is_spread = spread >= LEAST_SPREAD;
            is_spread.then_some(spread.min(LARGEST_SPREAD))
        };
        let mean = |i: usize| f64::from(finite(scores[i]));
        let open = || (0..scores.len()).filter(|&i| !taken[i]);
        let reach = reach(open().count());
        let (mut certain, mut lowest) = (None::<usize>, None::<(usize, f64)>);
        for i in open() {
            match spread(i) {
                None if certain.is_none_or(|best| mean(i) > mean(best)) => certain = Some(i),
                None => {}
                Some(spread) => {
                    let low = mean(i) - reach * spread;
                    if lowest.is_none_or(|(_, lowest)| low > lowest) {
                        lowest = Some((i, low));
                    }
                }
            }
        }
        // All is measured from a mean, so that small spreads far from 0 keep their digits.
        let (origin, from, certain) = match (certain, lowest) {
            (Some(certain), Some((_, low))) if mean(certain) >= low => {
                (mean(certain), 0.0, Some(certain))
            }
            (_, Some((lowest, _))) => {
                let spread = spread(lowest).unwrap_or(0.0);
                (mean(lowest), -reach * spread, None)
            }
            (Some(certain), None) => {
                out[certain] = 1.0;
                return 1.0;
            }
            (None, None) => return 0.0,
        };
        self.reaching.clear();
        for index in open() {
            let Some(spread) = spread(index) else {
                continue;
            };
            let mean = mean(index) - origin;
            let end = mean + reach * spread;
            if end > from {
                self.reaching.push(Variable {
                    index,
                    mean,
                    spread,
                    precision: 1.0 / spread,
                    end,
                    least_spread: spread,
                });
            }
        }
        self.cut(from);
        self.integrate(certain.map(|certain| (certain, from)), out);
        let total = sum(out);
        if total > 0.0 {
            return total;
        }
        if let Some(best) = best(scores, taken) {
            out[best] = 1.0;
        }
        1.0
    }

    /// Sorts the variables by their ends, and cuts what lies above `from` into panels.
    fn cut(&mut self, from: f64) {
        let by_end =
            |a: &Variable, b: &Variable| b.end.total_cmp(&a.end).then(a.index.cmp(&b.index));
        self.reaching.sort_unstable_by(by_end);
        let mut least = f64::INFINITY;
        for variable in &mut self.reaching {
            least = least.min(variable.spread);
            variable.least_spread = least;
        }
        self.ends.clear();
        self.ends.push(from);
        let (mut at, mut last) = (from, self.reaching.len());
        let top = self.reaching.first().map_or(from, |first| first.end);
        let most = MOST_EVALUATIONS / NODES.len() / last.max(1);
        let most = most.clamp(LEAST_PANELS, MOST_PANELS);
        while at < top {
            while last > 1 && self.reaching[last - 1].end <= at {
                last -= 1;
            }
            let narrower = (1.0 + 2.0 * libm::log(last as f64)).sqrt();
            let width = WIDTH * self.reaching[last - 1].least_spread / narrower;
            let next = match self.ends.len() < most {
                true => (at + width).min(top),
                false => top,
            };
            // What is left is too narrow to be told from nothing.
            at = if next > at { next } else { top };
            self.ends.push(at);
        }
    }

    /// Adds up the nodes, from the highest; `certain` gets what is left below its score.
    fn integrate(&mut self, certain: Option<(usize, f64)>, out: &mut [f64]) {
        let normal = Normal::new();
        self.ratios.clear();
        self.ratios.resize(self.reaching.len(), 0.0);
        let mut above = 0;
        for panel in self.ends.windows(2).rev() {
            let (low, high) = (panel[0], panel[1]);
            while self.reaching.get(above).is_some_and(|of| of.end > low) {
                above += 1;
            }
            let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
            let reaching = &self.reaching[..above];
            for &(node, weight) in &NODES {
                let below = largest_below(normal, reaching, middle + half * node, &mut self.ratios);
                if below < NOTHING {
                    return;
                }
                let weight = weight * half * below;
                for (variable, ratio) in reaching.iter().zip(&self.ratios) {
                    out[variable.index] += weight * ratio;
                }
            }
        }
        if let Some((certain, at)) = certain {
            out[certain] = largest_below(normal, &self.reaching, at, &mut self.ratios);
        }
    }
}

/// F at a point, with the ratio of each variable; four products side by side.
fn largest_below(normal: Normal, variables: &[Variable], at: f64, ratios: &mut [f64]) -> f64 {
    let mut lanes = [1.0f64; 4];
    let (fours, rest) = variables.as_chunks::<4>();
    let (of_fours, of_rest) = ratios[..variables.len()].as_chunks_mut::<4>();
    for (variables, ratios) in fours.iter().zip(of_fours) {
        for lane in 0..4 {
            let variable = &variables[lane];
            let (below, density) = normal.at((at - variable.mean) * variable.precision);
            lanes[lane] *= below;
            ratios[lane] = density * variable.precision / below;
        }
    }
    for (variable, ratio) in rest.iter().zip(of_rest) {
        let (below, density) = normal.at((at - variable.mean) * variable.precision);
        lanes[0] *= below;
        *ratio = density * variable.precision / below;
    }
    (lanes[0] * lanes[1]) * (lanes[2] * lanes[3])
}

/// How many standard deviations around its mean a variable is looked at, so that all of so many together are beyond
/// with a chance of 3e-11 at most (to 100,000 of them).
fn reach(variables: usize) -> f64 {
    match variables {
        0..=8 => 6.9,
        9..=100 => 7.2,
        101..=1000 => 7.5,
        _ => 8.2,
    }
}

#[cfg(test)]
mod tests;
