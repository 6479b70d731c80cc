//! What a choice knows of its candidates.

/// Scores, and their standard deviations where there are any.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// One for each candidate.
    pub scores: &'a [f32],
    /// The same, or none: then no score has a spread.
    pub spreads: &'a [f32],
}

impl Scored<'_> {
    /// The standard deviation of a score, finite and from 0 up.
    pub(super) fn spread(self, candidate: usize) -> f64 {
        let spread = self.spreads.get(candidate).copied().unwrap_or(0.0);
        // A comparison with NaN is false.
        let spread = if spread > 0.0 { spread } else { 0.0 };
        f64::from(spread.min(f32::MAX))
    }
}

impl<'a> From<&'a [f32]> for Scored<'a> {
    fn from(scores: &'a [f32]) -> Scored<'a> {
        Scored {
            scores,
            spreads: &[],
        }
    }
}

impl<'a> From<&'a Vec<f32>> for Scored<'a> {
    fn from(scores: &'a Vec<f32>) -> Scored<'a> {
        Scored::from(&scores[..])
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for Scored<'a> {
    fn from(scores: &'a [f32; N]) -> Scored<'a> {
        Scored::from(&scores[..])
    }
}

/// The first open candidate with the highest score.
pub(super) fn best(scores: &[f32], taken: &[bool]) -> Option<usize> {
    let mut best = None;
    for (i, (&score, &taken)) in scores.iter().zip(taken).enumerate() {
        let score = finite(score);
        if !taken && best.is_none_or(|(_, high)| score > high) {
            best = Some((i, score));
        }
    }
    best.map(|(i, _)| i)
}

/// A score as a finite number: NaN is the lowest, infinities are the ends. (A comparison with NaN is false.)
pub(super) fn finite(score: f32) -> f32 {
    let score = if score > f32::MIN { score } else { f32::MIN };
    if score < f32::MAX { score } else { f32::MAX }
}
