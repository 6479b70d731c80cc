//! Distribution functions: normal, t and χ².

/// Steps of a series or a continued fraction; all converge in far fewer.
const MOST_STEPS: usize = 20_000;

const EPSILON: f64 = 1e-16;

/// The chance that a standard normal variable is beyond z.
pub fn normal_beyond(z: f64) -> f64 {
    0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Beyond which a standard normal variable is with that chance.
pub fn normal_quantile(chance: f64) -> f64 {
    root(normal_beyond, chance, -40.0, 40.0)
}

/// The chance that |t| is beyond a value, which is not negative, with so many degrees of freedom.
pub fn t_beyond(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() || freedom <= 0.0 {
        return f64::NAN;
    }
    let square = t * t / freedom;
    if freedom <= 1000.0 {
        return beta_share(freedom / 2.0, 0.5, 1.0 / (1.0 + square));
    }
    // An expansion around the normal distribution (Hill 1970, algorithm 395 of the ACM).
    let a = freedom - 0.5;
    let b = 48.0 * a * a;
    let y = a * libm::log1p(square);
    let rest =
        ((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b;
    2.0 * normal_beyond((rest + 1.0) * y.sqrt())
}

/// Beyond which |t| is with that chance.
pub fn t_quantile(chance: f64, freedom: f64) -> f64 {
    let mut high = 2.0;
    while t_beyond(high, freedom) > chance && high < 1e300 {
        high *= 2.0;
    }
    root(|t| t_beyond(t, freedom), chance, 0.0, high)
}

/// The chance that a χ² variable is beyond a value.
pub fn chi_square_beyond(value: f64, freedom: f64) -> f64 {
    match value > 0.0 {
        true => gamma_beyond(freedom / 2.0, value / 2.0),
        false => 1.0,
    }
}

/// Where a falling function has a value, by bisection.
fn root(f: impl Fn(f64) -> f64, value: f64, mut low: f64, mut high: f64) -> f64 {
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        if f(middle) > value {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The regularized incomplete beta function I_x(a, b).
fn beta_share(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_share(b, a, 1.0 - x);
    }
    let front = libm::exp(
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
            + a * libm::log(x)
            + b * libm::log1p(-x),
    );
    let term = |step: usize| {
        let m = (step / 2) as f64;
        match step {
            0 => 1.0,
            step if step % 2 == 0 => m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            _ => -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        }
    };
    front * continued(term, |_| 1.0) / a
}

/// 1 − the regularized lower incomplete gamma function P(a, x).
fn gamma_beyond(a: f64, x: f64) -> f64 {
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut sum, mut term) = (1.0 / a, 1.0 / a);
        for step in 1..MOST_STEPS {
            term *= x / (a + step as f64);
            sum += term;
            if term < sum * EPSILON {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    let numerator = |step: usize| match step {
        0 => 1.0,
        step => step as f64 * (a - step as f64),
    };
    front * continued(numerator, |step| x + 2.0 * step as f64 + 1.0 - a)
}

/// The continued fraction n₀ / (d₀ + n₁ / (d₁ + …)), by Lentz's method.
fn continued(numerator: impl Fn(usize) -> f64, denominator: impl Fn(usize) -> f64) -> f64 {
    const TINY: f64 = 1e-300;
    let not_zero = |x: f64| if x.abs() < TINY { TINY } else { x };
    let (mut value, mut c, mut d) = (TINY, TINY, 0.0);
    for step in 0..MOST_STEPS {
        let (n, own) = (numerator(step), denominator(step));
        d = 1.0 / not_zero(own + n * d);
        c = not_zero(own + n / c);
        let factor = c * d;
        value *= factor;
        if (factor - 1.0).abs() < EPSILON {
            break;
        }
    }
    value
}
