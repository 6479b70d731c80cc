//! Curves over the rows down to each score, and the first rows.

use super::rows::{Group, Row, Strategy, thresholds};

/// How a curve is drawn: what of the rows down to a score it shows.
type Height = fn(&Group) -> f64;

/// The area below the curve from (0, 0) through these points, by trapezoids.
fn area(points: impl Iterator<Item = Group>, height: Height) -> f64 {
    let (mut area, mut x, mut y) = (0.0, 0.0, 0.0);
    for group in points {
        let (to_x, to_y) = (group.rows() as f64, height(&group));
        area += (to_x - x) * (y + to_y) / 2.0;
        (x, y) = (to_x, to_y);
    }
    area
}

/// The area between a curve and the diagonal to its end, as a share of that of the perfect order. None where there is no
/// such share: without both groups, or if outcomes are all the same.
fn coefficient(sorted: &[Row], height: Height, perfect: [Group; 4]) -> Option<f64> {
    let whole = Group::of(sorted);
    let all = whole.rows() as f64;
    let positive = whole.treated_sum + whole.control_sum;
    if whole.treated == 0 || whole.control == 0 || positive == 0.0 || positive == all {
        return None;
    }
    let diagonal = all * height(&whole) / 2.0;
    let mut down_to = Group::default();
    let best = perfect.into_iter().filter(|group| group.rows() > 0);
    let best = best.map(|group| {
        down_to = down_to.and(group);
        down_to
    });
    let best = area(best, height) - diagonal;
    let actual = area(thresholds(sorted).map(|(_, group)| group), height) - diagonal;
    (best != 0.0).then(|| actual / best)
}

/// Treated rows with and without the outcome, and control rows with and without.
fn fourfold(sorted: &[Row]) -> [Group; 4] {
    let whole = Group::of(sorted);
    let treated = |rows: f64, sum: f64| Group {
        treated: rows as u64,
        treated_sum: sum,
        ..Group::default()
    };
    let control = |rows: f64, sum: f64| Group {
        control: rows as u64,
        control_sum: sum,
        ..Group::default()
    };
    let (of_treated, of_control) = (whole.treated_sum, whole.control_sum);
    [
        treated(of_treated, of_treated),
        treated(whole.treated as f64 - of_treated, 0.0),
        control(of_control, of_control),
        control(whole.control as f64 - of_control, 0.0),
    ]
}

/// The Qini coefficient of outcomes that are 0 or 1: 1 for the perfect order, 0 for a random one.
pub fn qini(sorted: &[Row]) -> Option<f64> {
    let [treated_with, treated_without, control_with, control_without] = fourfold(sorted);
    let neither = treated_without.and(control_without);
    let perfect = [treated_with, neither, control_with, Group::default()];
    coefficient(sorted, Group::qini, perfect)
}

/// The area under the uplift curve of outcomes that are 0 or 1, on the same scale.
pub fn auuc(sorted: &[Row]) -> Option<f64> {
    let [treated_with, treated_without, control_with, control_without] = fourfold(sorted);
    let last = match control_with.control > treated_without.treated {
        true => [control_with, treated_without],
        false => [treated_without, control_with],
    };
    let perfect = [treated_with, control_without, last[0], last[1]];
    coefficient(sorted, Group::gain, perfect)
}

/// How many rows a k stands for: a share below 1, or a number of rows.
fn count(k: f64, rows: u64) -> u64 {
    if k < 1.0 {
        (rows as f64 * k) as u64
    } else {
        k as u64
    }
}

/// The difference of the means in the first rows: in the first k of all (`overall`), or in the first k of each group
/// (`by_group`). A k below 1 is a share. None if k is not less than there are rows (overall), or more than a group has, or
/// if a group has no row.
pub fn uplift_at(sorted: &[Row], k: f64, strategy: Strategy) -> Option<f64> {
    let whole = Group::of(sorted);
    let first = match strategy {
        Strategy::Overall => {
            let most = count(k, whole.rows());
            if k >= 1.0 && most >= whole.rows() {
                return None;
            }
            Group::of(&sorted[..most as usize])
        }
        Strategy::ByGroup => {
            let (treated, control) = (count(k, whole.treated), count(k, whole.control));
            if treated > whole.treated || control > whole.control {
                return None;
            }
            let mut first = Group::default();
            for row in sorted {
                let taken = match row.treated {
                    true => first.treated < treated,
                    false => first.control < control,
                };
                if taken {
                    first.add(row);
                }
            }
            first
        }
    };
    first.difference()
}
