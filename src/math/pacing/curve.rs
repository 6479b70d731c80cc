//! Which share of a budget should be spent when which share of its window has passed.

/// A way to spread a budget: from share 0 at the start of the window to share 1 at its end, never falling.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// The same in each part of the window: share(x) = x.
    Even,
    /// More at first: share(x) = 1 − (1 − x)².
    Frontloaded,
    /// Through cumulative points, straight between them.
    Forecast(Points),
}

/// Points (x, share) of a curve that never falls, from (0, 0) to (1, 1). Made by [`Curve::forecast`] alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Points(Vec<[f64; 2]>);

impl Curve {
    /// Through the points `x₁, y₁, x₂, y₂, …`, in any unit of y: shares are y's part of the last y. None if these are
    /// no points of such a curve: x must rise from 0 to 1, y must not fall, and must be more at the end than at first.
    pub fn forecast(numbers: &[f64]) -> Option<Curve> {
        let (points, []) = numbers.as_chunks::<2>() else {
            return None;
        };
        let (&[first, base], &[last, top]) = (points.first()?, points.last()?);
        let rises = points
            .windows(2)
            .all(|pair| pair[1][0] > pair[0][0] && pair[1][1] >= pair[0][1]);
        let spread = top - base;
        if !(rises && first == 0.0 && last == 1.0 && spread > 0.0 && spread.is_finite()) {
            return None;
        }
        let points = points.iter().map(|&[x, y]| [x, (y - base) / spread]);
        Some(Curve::Forecast(Points(points.collect())))
    }

    /// The share that should be spent when the share `x` of the window has passed; outside of [0, 1] (and for NaN) that of the nearer
    /// end.
    pub fn share(&self, x: f64) -> f64 {
        let x = if x > 0.0 { x.min(1.0) } else { 0.0 };
        match self {
            Curve::Even => x,
            Curve::Frontloaded => x * (2.0 - x),
            Curve::Forecast(points) => {
                let [[x0, y0], [x1, y1]] = points.around(x);
                // Each end exactly: y1 − (y1 − y0) need not be y0.
                if x >= x1 {
                    y1
                } else {
                    (y0 + (y1 - y0) * ((x - x0) / (x1 - x0))).min(y1)
                }
            }
        }
    }

    /// How fast the share grows there: its derivative, at a bend that of the stretch before it.
    pub fn rate(&self, x: f64) -> f64 {
        let x = if x > 0.0 { x.min(1.0) } else { 0.0 };
        match self {
            Curve::Even => 1.0,
            Curve::Frontloaded => 2.0 * (1.0 - x),
            Curve::Forecast(points) => {
                let [[x0, y0], [x1, y1]] = points.around(x);
                (y1 - y0) / (x1 - x0)
            }
        }
    }
}

impl Points {
    /// The two points between which `x` is, of [0, 1].
    fn around(&self, x: f64) -> [[f64; 2]; 2] {
        let after = self.0.partition_point(|point| point[0] < x);
        let after = after.clamp(1, self.0.len() - 1);
        [self.0[after - 1], self.0[after]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_named_curves_are_what_they_are_said_to_be() {
        for (x, even, front) in [(0.0, 0.0, 0.0), (0.25, 0.25, 0.4375), (1.0, 1.0, 1.0)] {
            assert_eq!(Curve::Even.share(x), even);
            assert_eq!(Curve::Frontloaded.share(x), front);
        }
        assert_eq!(Curve::Frontloaded.rate(0.0), 2.0);
        let forecast = Curve::forecast(&[0.0, 10.0, 0.5, 10.0, 0.75, 40.0, 1.0, 50.0]).unwrap();
        for (x, share) in [
            (0.25, 0.0),
            (0.5, 0.0),
            (0.625, 0.375),
            (0.75, 0.75),
            (1.0, 1.0),
        ] {
            assert_eq!(forecast.share(x), share);
        }
        assert_eq!(
            (forecast.rate(0.3), forecast.rate(0.6), forecast.rate(1.0)),
            (0.0, 3.0, 1.0)
        );
    }

    #[test]
    fn what_is_no_curve_is_none() {
        for numbers in [
            &[][..],
            &[0.0, 0.0],
            &[0.0, 0.0, 1.0],
            &[0.0, 0.0, 1.0, 0.0],
            &[0.1, 0.0, 1.0, 1.0],
            &[0.0, 0.0, 0.9, 1.0],
            &[0.0, 0.0, 0.5, 2.0, 1.0, 1.0],
            &[0.0, 0.0, 0.5, 0.5, 0.5, 0.7, 1.0, 1.0],
            &[0.0, 0.0, f64::NAN, 0.5, 1.0, 1.0],
            &[0.0, 0.0, 0.5, f64::NAN, 1.0, 1.0],
            &[0.0, 0.0, 1.0, f64::INFINITY],
            &[0.0, f64::MIN, 1.0, f64::MAX],
        ] {
            assert_eq!(Curve::forecast(numbers), None, "{numbers:?}");
        }
    }

    fn curves() -> impl Strategy<Value = Curve> {
        let forecast =
            prop::collection::vec((0.001..1.0f64, 0.0..9.0f64), 1..60).prop_map(|steps| {
                let (mut x, mut y) = (0.0, 0.0);
                let length: f64 = steps.iter().map(|s| s.0).sum();
                let mut numbers = vec![0.0, 0.0];
                for (dx, dy) in &steps {
                    x += dx / length;
                    y += dy;
                    numbers.extend([x, y]);
                }
                let end = numbers.len() - 2;
                numbers[end] = 1.0;
                numbers[end + 1] += 1.0;
                Curve::forecast(&numbers).unwrap_or(Curve::Even)
            });
        prop_oneof![Just(Curve::Even), Just(Curve::Frontloaded), forecast]
    }

    proptest! {
        #[test]
        fn every_curve_rises_from_0_to_1(curve in curves(), a in 0.0..1.0f64, b in 0.0..1.0f64) {
            prop_assert_eq!(curve.share(0.0), 0.0);
            prop_assert_eq!(curve.share(1.0), 1.0);
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(curve.share(a) <= curve.share(b));
            prop_assert!((0.0..=1.0).contains(&curve.share(a)));
        }

        #[test]
        fn the_rate_is_the_derivative(curve in curves(), x in 0.001..0.999f64) {
            let h = 1e-7;
            let slope = (curve.share(x) - curve.share(x - h)) / h;
            let rates = [curve.rate(x), curve.rate(x - h)];
            let (low, high) = (rates[0].min(rates[1]), rates[0].max(rates[1]));
            prop_assert!(low - 1e-5 <= slope && slope <= high + 1e-5, "{} not in {:?}", slope, rates);
        }

        #[test]
        fn nothing_is_outside(curve in curves(), x in any::<f64>()) {
            prop_assert!((0.0..=1.0).contains(&curve.share(x)));
            prop_assert!(curve.rate(x) >= 0.0);
        }
    }
}
