//! How one of several candidates is chosen, and with exactly which probability.

mod largest;
mod lower_bound;
mod scored;
mod selection;
mod slate;

pub use lower_bound::{LOWER_BOUND_GAMMA, LowerBound, MIN_LOWER_BOUND};
pub use scored::Scored;
pub use selection::{
    Growth, MIN_PROBABILITY, Parameter, ParameterRange, SELECTIONS, Selection, SelectionRule,
};
pub use slate::Slate;

use largest::Largest;
use scored::{best, finite};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A selection rule with a floor under each probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The rule.
    pub selection: Selection,
    /// f ≥ 0: with n open candidates p′ = f + (1 − n·f)·p while n·f ≤ 1, and else 1/n. 0 for no floor.
    pub min_probability: f64,
}

/// A parameter that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutOfRange {
    /// Its name.
    pub parameter: &'static str,
    /// Where it should be.
    pub range: ParameterRange,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.parameter, self.range)
    }
}

impl std::error::Error for OutOfRange {}

impl Choice {
    /// Whether the rule's numbers make sense. The other functions never fail; given a choice that is not valid they
    /// read ε and the floor as the nearest number in [0, 1] (NaN as 0), a temperature of zero, below, or NaN as greedy,
    /// and so a γ of squarecb that is not finite.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        let (rule, value) = self.selection.parts();
        let own = SELECTIONS[rule].parameter.as_ref();
        let own = own.map(|parameter| (parameter, value));
        let floor = (&MIN_PROBABILITY, self.min_probability);
        for (parameter, value) in own.into_iter().chain([floor]) {
            if !parameter.range.contains(value) {
                return Err(OutOfRange {
                    parameter: parameter.name,
                    range: parameter.range,
                });
            }
        }
        Ok(())
    }

    /// The same choice with its exploration in a measure: the floor times `share`, and the rule as
    /// [`Selection::exploring`] says.
    pub fn exploring(self, share: f64) -> Choice {
        Choice {
            selection: self.selection.exploring(share),
            min_probability: self.min_probability * share,
        }
    }

    /// Whether it is the same rule as another, with no more exploration.
    pub fn explores_no_more_than(&self, other: &Choice) -> bool {
        self.selection.explores_no_more_than(other.selection)
            && self.min_probability <= other.min_probability
    }

    /// The choice in three numbers: the index of its rule, its parameter (0 where it has none), and the floor.
    pub fn to_numbers(self) -> [f64; 3] {
        let (rule, parameter) = self.selection.parts();
        [rule as f64, parameter, self.min_probability]
    }

    /// Back from the three numbers; None for others.
    pub fn from_numbers(numbers: &[f64]) -> Option<Choice> {
        let &[number, parameter, min_probability] = numbers else {
            return None;
        };
        let mut rules = SELECTIONS.iter().enumerate();
        let (_, rule) = rules.find(|&(index, _)| index as f64 == number)?;
        Some(Choice {
            selection: rule.with(parameter),
            min_probability,
        })
    }

    /// Writes the probability of each candidate into `out`: over those not `taken`, summing to 1 (to rounding); taken
    /// ones get 0, and so do all when all are taken.
    ///
    /// Scores need not be finite: NaN counts as the lowest score, and infinities as the largest finite numbers. So do
    /// infinite spreads; NaN and what is below 0 count as no spread.
    ///
    /// # Panics
    /// If scores, `taken` and `out` differ in length.
    pub fn distribution<'a>(&self, scored: impl Into<Scored<'a>>, taken: &[bool], out: &mut [f64]) {
        let scored = scored.into();
        assert!(
            scored.scores.len() == taken.len() && taken.len() == out.len(),
            "scores, taken and out differ in length"
        );
        let open = taken.iter().filter(|&&taken| !taken).count();
        if open == 0 {
            out.fill(0.0);
            return;
        }
        let total = self.weigh(scored, taken, open, &mut Largest::default(), out);
        self.normalise(taken, open, total, out);
    }

    /// Writes weights proportional to the probabilities before the floor, 0 for taken ones, and returns their sum.
    /// `open` ≥ 1 is the number of candidates not taken.
    fn weigh(
        &self,
        scored: Scored<'_>,
        taken: &[bool],
        open: usize,
        largest: &mut Largest,
        out: &mut [f64],
    ) -> f64 {
        let scores = scored.scores;
        match self.selection {
            Selection::Uniform => mix(1.0, None, taken, open, out),
            Selection::EpsilonGreedy { epsilon } => {
                mix(unit(epsilon), best(scores, taken), taken, open, out)
            }
            Selection::Softmax { temperature } if temperature > 0.0 => {
                softmax(scores, taken, temperature, out);
                super::sum(out)
            }
            Selection::Thompson { scale } => largest.chances(scored, scale, taken, out),
            Selection::Ucb { gamma } => {
                let best = first_of_highest(taken, |i| {
                    f64::from(finite(scores[i])) + gamma * scored.spread(i)
                });
                mix(0.0, best, taken, open, out)
            }
            Selection::SquareCb { gamma } if gamma.is_finite() => {
                by_gaps(scores, taken, gamma, open, out)
            }
            Selection::Greedy | Selection::Softmax { .. } | Selection::SquareCb { .. } => {
                mix(0.0, best(scores, taken), taken, open, out)
            }
        }
    }

    /// Divides the weights in `out` by their `total` and lays the floor under them.
    fn normalise(&self, taken: &[bool], open: usize, total: f64, out: &mut [f64]) {
        let n = open as f64;
        let floor = unit(self.min_probability);
        let (floor, rest) = if n * floor <= 1.0 {
            (floor, 1.0 - n * floor)
        } else {
            (1.0 / n, 0.0)
        };
        let scale = rest / total;
        for (p, &taken) in out.iter_mut().zip(taken) {
            let lifted = floor + scale * *p;
            *p = if taken { 0.0 } else { lifted };
        }
    }
}

/// The candidate that the number `u` of [0, 1) falls on when the probabilities are laid end to end in order (inverse
/// of the distribution function). Never one with probability 0: a `u` beyond the sum, which can be a rounding short of
/// 1, falls on the last that has any. None if none has.
pub fn pick(probabilities: &[f64], u: f64) -> Option<usize> {
    let mut last = None;
    let mut reached = 0.0;
    for (i, &p) in probabilities.iter().enumerate() {
        if p > 0.0 {
            reached += p;
            last = Some(i);
            if u < reached {
                break;
            }
        }
    }
    last
}

/// ε/n for each open candidate and 1 − ε more for the best. Returns the sum, which is 1.
fn mix(epsilon: f64, best: Option<usize>, taken: &[bool], open: usize, out: &mut [f64]) -> f64 {
    let share = epsilon / open as f64;
    for (p, &taken) in out.iter_mut().zip(taken) {
        *p = if taken { 0.0 } else { share };
    }
    if let Some(best) = best {
        out[best] += 1.0 - epsilon;
    }
    1.0
}

/// 1 / (open + γ · gap to the best) for each open candidate, and for the best what is left of 1. Returns the sum, which
/// is 1.
fn by_gaps(scores: &[f32], taken: &[bool], gamma: f64, open: usize, out: &mut [f64]) -> f64 {
    let Some(best) = best(scores, taken) else {
        return mix(1.0, None, taken, open, out);
    };
    let (candidates, highest) = (open as f64, f64::from(finite(scores[best])));
    let gamma = gamma.max(0.0);
    for ((p, &score), &taken) in out.iter_mut().zip(scores).zip(taken) {
        let gap = highest - f64::from(finite(score));
        *p = if taken {
            0.0
        } else {
            1.0 / (candidates + gamma * gap)
        };
    }
    out[best] = 0.0;
    out[best] = 1.0 - super::sum(out);
    1.0
}

/// The first open candidate with the highest value; a value that is NaN is below all others.
fn first_of_highest(taken: &[bool], value: impl Fn(usize) -> f64) -> Option<usize> {
    let mut highest: Option<(usize, f64)> = None;
    for i in (0..taken.len()).filter(|&i| !taken[i]) {
        let value = value(i);
        if highest.is_none_or(|(_, high)| value > high || high.is_nan() && !value.is_nan()) {
            highest = Some((i, value));
        }
    }
    highest.map(|(i, _)| i)
}

/// e^((score − highest open score) / temperature) for each open candidate. The best has weight 1, so the sum is ≥ 1.
fn softmax(scores: &[f32], taken: &[bool], temperature: f64, out: &mut [f64]) {
    let highest = f64::from(highest(scores, taken));
    // the divisions apart from the exponentials, so that they are done several at a time
    for (p, &score) in out.iter_mut().zip(scores) {
        *p = (f64::from(finite(score)) - highest) / temperature;
    }
    for (p, &taken) in out.iter_mut().zip(taken) {
        *p = if taken { 0.0 } else { libm::exp(*p) };
    }
}

/// The highest open score, or the lowest number if none is open; in eight lanes, as the order does not matter.
fn highest(scores: &[f32], taken: &[bool]) -> f32 {
    let higher = |high: f32, score: f32, taken: bool| {
        let score = if taken { f32::MIN } else { finite(score) };
        if score > high { score } else { high }
    };
    let mut lanes = [f32::MIN; 8];
    let (chunks, rest) = scores.as_chunks::<8>();
    let (taken_chunks, taken_rest) = taken.as_chunks::<8>();
    for (scores, taken) in chunks.iter().zip(taken_chunks) {
        for i in 0..8 {
            lanes[i] = higher(lanes[i], scores[i], taken[i]);
        }
    }
    let rest = rest.iter().zip(taken_rest);
    let high = rest.fold(f32::MIN, |high, (&score, &taken)| {
        higher(high, score, taken)
    });
    lanes
        .into_iter()
        .fold(high, |high, lane| higher(high, lane, false))
}

/// The nearest number in [0, 1]; NaN is 0.
fn unit(x: f64) -> f64 {
    if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests;
