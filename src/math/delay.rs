//! How long outcomes take: survival S(t) = exp(−(t / scale)^shape) of the delay, fitted from decisions of which some have had
//! their outcome and the others may yet have it.
//!
//! Two questions are fitted. [`exponential`] and [`weibull`] take every time as that of something that happens for certain, and
//! has not happened yet where it is censored. [`conversions`] knows that most decisions never have an outcome: a share of them
//! has, after a delay of that form (a mixture with a cured part), by expectation and maximization.

/// A time that was observed, so many times: of what has happened then, or had not happened until then.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    pub time: f64,
    pub weight: f64,
    pub happened: bool,
}

/// S(t) = exp(−(t / scale)^shape). With the shape 1 it is exponential: λ = 1 / scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    pub scale: f64,
    pub shape: f64,
}

/// A delay with the logarithm of its likelihood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    pub delay: Delay,
    pub log_likelihood: f64,
}

/// Which share of decisions has an outcome sooner or later, and after what delay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversions {
    pub share: f64,
    pub fit: Fit,
}

/// Shapes that are looked for: beyond these all happens at once, or next to never.
const SHAPES: (f64, f64) = (0.02, 50.0);

/// How much twice the logarithm of the likelihood must gain for a Weibull distribution: the 95 % quantile of chi-square with
/// one degree of freedom.
const GAIN: f64 = 3.841_458_820_694_124;

/// Steps of a search, and of expectation and maximization.
const MOST_STEPS: usize = 100;
const MOST_ROUNDS: usize = 2_000;

impl Delay {
    /// The probability that it takes longer than that.
    pub fn survival(&self, time: f64) -> f64 {
        match time > 0.0 {
            true => libm::exp(-self.hazard(time)),
            false => 1.0,
        }
    }

    /// The integrated hazard (t / scale)^shape.
    fn hazard(&self, time: f64) -> f64 {
        match self.shape == 1.0 {
            true => time / self.scale,
            false => libm::pow(time / self.scale, self.shape),
        }
    }

    /// The logarithm of the density.
    fn log_density(&self, time: f64) -> f64 {
        let log = libm::log(time / self.scale);
        libm::log(self.shape / self.scale) + (self.shape - 1.0) * log - self.hazard(time)
    }

    pub fn is_exponential(&self) -> bool {
        self.shape == 1.0
    }
}

/// The maximum of the likelihood among exponential delays; None where nothing has happened.
pub fn exponential(observed: &[Observed]) -> Option<Fit> {
    fit(observed, exponential_delay(observed)?)
}

/// The same among Weibull delays.
pub fn weibull(observed: &[Observed]) -> Option<Fit> {
    fit(observed, weibull_delay(observed, 1.0)?)
}

fn fit(observed: &[Observed], delay: Delay) -> Option<Fit> {
    let log_likelihood = observed.iter().map(|of| {
        of.weight
            * match of.happened {
                true => delay.log_density(of.time),
                false => -delay.hazard(of.time),
            }
    });
    let log_likelihood: f64 = log_likelihood.sum();
    log_likelihood.is_finite().then_some(Fit {
        delay,
        log_likelihood,
    })
}

fn exponential_delay(observed: &[Observed]) -> Option<Delay> {
    let (mut time, mut happened) = (0.0, 0.0);
    for of in observed {
        time += of.weight * of.time;
        happened += of.weight * f64::from(u8::from(of.happened));
    }
    let scale = time / happened;
    (scale.is_finite() && scale > 0.0).then_some(Delay { scale, shape: 1.0 })
}

/// With one shape given, the best scale is known: scale^shape = Σ w t^shape / Σ w of what has happened. What is left is one
/// equation, 1 / shape + mean of ln t − Σ w t^shape ln t / Σ w t^shape = 0, whose left side falls.
fn weibull_delay(observed: &[Observed], near: f64) -> Option<Delay> {
    let longest = observed.iter().map(|of| of.time).fold(0.0, f64::max);
    let (mut logs, mut happened) = (0.0, 0.0);
    for of in observed.iter().filter(|of| of.happened) {
        logs += of.weight * libm::log(of.time / longest);
        happened += of.weight;
    }
    if !(happened > 0.0 && longest > 0.0 && longest.is_finite()) {
        return None;
    }
    let mean = logs / happened;
    let moments = |shape: f64| {
        let mut sums = [0.0; 3];
        for of in observed {
            let log = libm::log(of.time / longest);
            let power = of.weight * libm::exp(shape * log);
            sums[0] += power;
            sums[1] += power * log;
            sums[2] += power * log * log;
        }
        sums
    };
    let (mut low, mut high) = SHAPES;
    let mut shape = near.clamp(low, high);
    for _ in 0..MOST_STEPS {
        let [sum, first, second] = moments(shape);
        let ratio = first / sum;
        let slope = -1.0 / (shape * shape) - (second / sum - ratio * ratio);
        let value = 1.0 / shape + mean - ratio;
        match value > 0.0 {
            true => low = shape,
            false => high = shape,
        }
        let newton = shape - value / slope;
        let next = match newton > low && newton < high {
            true => newton,
            false => (low + high) / 2.0,
        };
        let is_there = (next - shape).abs() <= 1e-13 * shape;
        shape = next;
        if is_there {
            break;
        }
    }
    let scale = longest * libm::pow(moments(shape)[0] / happened, 1.0 / shape);
    (scale.is_finite() && scale > 0.0).then_some(Delay { scale, shape })
}

/// The share of decisions that have an outcome sooner or later, and its delay: exponential, or Weibull where the likelihood
/// says so. None where nothing has happened, or a time is no positive number.
pub fn conversions(observed: &[Observed]) -> Option<Conversions> {
    let is_sound = |of: &Observed| {
        of.time > 0.0 && of.time.is_finite() && of.weight >= 0.0 && of.weight.is_finite()
    };
    if !observed.iter().all(is_sound) {
        return None;
    }
    let simple = mixture(observed, |observed, _| exponential_delay(observed))?;
    let rich = mixture(observed, |observed, last| {
        weibull_delay(observed, last.map_or(1.0, |delay| delay.shape))
    });
    Some(match rich {
        Some(rich) if 2.0 * (rich.fit.log_likelihood - simple.fit.log_likelihood) > GAIN => rich,
        _ => simple,
    })
}

/// Expectation: the chance of each decision without an outcome to have it yet. Maximization: the delay fitted with these as
/// weights of censored times, and the share that they add up to.
fn mixture(
    observed: &[Observed],
    maximize: impl Fn(&[Observed], Option<Delay>) -> Option<Delay>,
) -> Option<Conversions> {
    let all: f64 = observed.iter().map(|of| of.weight).sum();
    let happened: f64 = observed
        .iter()
        .filter(|of| of.happened)
        .map(|of| of.weight)
        .sum();
    let done: Vec<Observed> = observed.iter().filter(|of| of.happened).copied().collect();
    let mut delay = maximize(&done, None)?;
    let mut share = happened / all;
    let mut weighted = observed.to_vec();
    for _ in 0..MOST_ROUNDS {
        let mut expected = happened;
        for (of, weighted) in observed
            .iter()
            .zip(&mut weighted)
            .filter(|(of, _)| !of.happened)
        {
            weighted.weight = of.weight * still(share, delay.survival(of.time));
            expected += weighted.weight;
        }
        let next = maximize(&weighted, Some(delay))?;
        let next_share = (expected / all).min(1.0);
        let is_there = (next_share - share).abs() <= 1e-10 * share
            && (next.scale - delay.scale).abs() <= 1e-10 * delay.scale
            && (next.shape - delay.shape).abs() <= 1e-10 * delay.shape;
        (delay, share) = (next, next_share);
        if is_there {
            break;
        }
    }
    let log_likelihood = observed.iter().map(|of| {
        of.weight
            * match of.happened {
                true => libm::log(share) + delay.log_density(of.time),
                false => libm::log(1.0 - share + share * delay.survival(of.time)),
            }
    });
    let log_likelihood: f64 = log_likelihood.sum();
    log_likelihood.is_finite().then_some(Conversions {
        share,
        fit: Fit {
            delay,
            log_likelihood,
        },
    })
}

/// The chance that an outcome is still to come, where it has not come while that much of the delays survive.
fn still(share: f64, survival: f64) -> f64 {
    let left = share * survival;
    left / (1.0 - share + left)
}

impl Conversions {
    /// The chance that a decision of that age, which has had no outcome, has one before the end of the window.
    pub fn to_come(&self, age: f64, window: f64) -> f64 {
        if age >= window {
            return 0.0;
        }
        let (now, end) = (
            self.fit.delay.survival(age),
            self.fit.delay.survival(window),
        );
        let chance = self.share * (now - end) / (1.0 - self.share + self.share * now);
        if chance.is_finite() {
            chance.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// How much of what happens within the window has happened at that age.
    pub fn seen(&self, age: f64, window: f64) -> f64 {
        if age >= window {
            return 1.0;
        }
        let (now, end) = (
            self.fit.delay.survival(age),
            self.fit.delay.survival(window),
        );
        let seen = (1.0 - now) / (1.0 - end);
        if seen.is_finite() {
            seen.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests;
