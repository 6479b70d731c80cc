//! Areas as causalml has them. A curve has a point for each row, and is 0 at 0. From there to the first point that can be
//! computed, the lift (for `auuc`, which needs a row of both groups) or the height (for `qini`, which needs one of the control group) is a
//! straight line. Heights are shares of the last one, and the area is their mean. So the order of tied rows matters, a
//! random order has an `auuc` of about 0.5, and outcomes may be any numbers.

use super::rows::{Group, Row};

/// How a curve begins, and goes on.
struct Curve {
    height: fn(&Group) -> f64,
    exists: fn(&Group) -> bool,
    /// The sum of the heights before the first point that exists, which is at that row and so high.
    before: fn(f64, f64) -> f64,
}

/// causalml's `auuc_score`: the mean of the gain of the first rows, as a share of that of all.
pub fn causalml_auuc(sorted: &[Row]) -> Option<f64> {
    mean_height(
        sorted,
        &Curve {
            height: Group::gain,
            exists: |group| group.treated > 0 && group.control > 0,
            // heights are lifts times rows, so squares: Σ i² for i < at is (at − 1)·at·(2·at − 1) / 6
            before: |at, height| height / at * (at - 1.0) * (2.0 * at - 1.0) / 6.0,
        },
    )
}

/// causalml's `qini_score`: the same of the Qini curve, less that of a straight line.
pub fn causalml_qini(sorted: &[Row]) -> Option<f64> {
    let whole = Group::of(sorted);
    let height = mean_height(
        sorted,
        &Curve {
            height: Group::qini,
            exists: |group| group.control > 0,
            before: |at, height| height * (at - 1.0) / 2.0,
        },
    );
    // the mean of a straight line from 0 to 1, or to −1
    Some(height? - 0.5 * whole.qini().signum())
}

fn mean_height(sorted: &[Row], curve: &Curve) -> Option<f64> {
    let (mut down_to, mut sum, mut first) = (Group::default(), 0.0, None);
    for (i, row) in sorted.iter().enumerate() {
        down_to.add(row);
        if (curve.exists)(&down_to) {
            let here = (curve.height)(&down_to);
            first.get_or_insert((i + 1, here));
            sum += here;
        }
    }
    let (at, first) = first?;
    let both = down_to.treated > 0 && down_to.control > 0;
    let last = (curve.height)(&down_to).abs();
    let before = (curve.before)(at as f64, first);
    (both && last > 0.0).then(|| (sum + before) / last / (sorted.len() + 1) as f64)
}
