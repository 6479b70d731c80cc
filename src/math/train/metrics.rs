//! How good predictions are on rows that they were not learned from.

use super::design::Design;
use super::fit::fit;
use crate::model::Family;
use crate::sum;
use serde::{Deserialize, Serialize};

/// Probabilities are kept this far from 0 and 1 where their logarithm is taken.
const CLIP: f64 = 1e-15;

/// Weighted measures of predictions against labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The number of rows.
    pub rows: usize,
    /// The sum of their weights.
    pub weight: f64,
    /// The weighted mean of the labels.
    pub mean_label: f64,
    /// The weighted mean of the predictions; near `mean_label` if the model is unbiased.
    pub mean_prediction: f64,
    /// √ of the weighted mean of (label − prediction)².
    pub rmse: f64,
    /// Logistic alone: the weighted mean of −y·log p − (1 − y)·log(1 − p), with p kept 1e-15 away from 0 and 1.
    pub log_loss: Option<f64>,
    /// Logistic alone: the chance that a positive row is predicted above a negative one, ties counting half (the area
    /// under the ROC curve; J. A. Hanley, B. J. McNeil, 1982). A label y between 0 and 1 is y of a positive row and
    /// 1 − y of a negative one. None if there is only one kind.
    pub auc: Option<f64>,
    /// 1 if predictions are neither overconfident (below 1) nor underconfident (above 1). Linear: of the regression of labels on
    /// predictions. Logistic: of the logistic regression of labels on the logits of predictions (D. R. Cox, 1958).
    /// None if it cannot be computed.
    pub calibration_slope: Option<f64>,
    /// The intercept of the same regression, 0 at best.
    pub calibration_intercept: Option<f64>,
}

impl Metrics {
    /// Measures predictions. None if there are no rows, if their weights sum to 0, or if a number is not finite.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn measure(
        family: Family,
        predictions: &[f64],
        labels: &[f64],
        weights: &[f64],
    ) -> Option<Metrics> {
        assert!(
            predictions.len() == labels.len() && labels.len() == weights.len(),
            "the slices differ in length"
        );
        let rows = Rows {
            predictions,
            labels,
            weights,
        };
        let weight = sum(weights);
        let mean_prediction = rows.mean(|p, _| p);
        let mean_label = rows.mean(|_, y| y);
        let rmse = rows.mean(|p, y| (y - p) * (y - p)).sqrt();
        if !(weight > 0.0
            && mean_prediction.is_finite()
            && mean_label.is_finite()
            && rmse.is_finite())
        {
            return None;
        }
        let (log_loss, auc, line) = match family {
            Family::Linear => (
                None,
                None,
                rows.linear_calibration(mean_prediction, mean_label),
            ),
            Family::Logistic => {
                let auc = rows.auc();
                (Some(rows.log_loss()), auc, rows.logistic_calibration(auc))
            }
        };
        let (calibration_slope, calibration_intercept) = line.unzip();
        let rows = labels.len();
        Some(Metrics {
            rows,
            weight,
            mean_label,
            mean_prediction,
            rmse,
            log_loss,
            auc,
            calibration_slope,
            calibration_intercept,
        })
    }
}

struct Rows<'a> {
    predictions: &'a [f64],
    labels: &'a [f64],
    weights: &'a [f64],
}

impl Rows<'_> {
    fn iter(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.predictions
            .iter()
            .zip(self.labels)
            .zip(self.weights)
            .map(|((&p, &y), &w)| (p, y, w))
    }

    /// The weighted mean of a function of prediction and label.
    fn mean(&self, f: impl Fn(f64, f64) -> f64) -> f64 {
        let values: Vec<f64> = self.iter().map(|(p, y, w)| w * f(p, y)).collect();
        sum(&values) / sum(self.weights)
    }

    fn log_loss(&self) -> f64 {
        self.mean(|p, y| {
            let p = p.clamp(CLIP, 1.0 - CLIP);
            -y * libm::log(p) - (1.0 - y) * libm::log1p(-p)
        })
    }

    fn auc(&self) -> Option<f64> {
        let mut sorted: Vec<_> = self.iter().collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut positive, mut negative, mut won) = (0.0, 0.0, 0.0);
        for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
            let of_tie = tied
                .iter()
                .map(|&(_, y, w)| w * y)
                .fold(0.0, |sum, x| sum + x);
            let against = tied
                .iter()
                .map(|&(_, y, w)| w * (1.0 - y))
                .fold(0.0, |sum, x| sum + x);
            won += of_tie * (negative + against / 2.0);
            positive += of_tie;
            negative += against;
        }
        (positive > 0.0 && negative > 0.0).then(|| won / (positive * negative))
    }

    fn linear_calibration(&self, mean_prediction: f64, mean_label: f64) -> Option<(f64, f64)> {
        // Labels that are all the same say nothing of the slope.
        if self.labels.iter().all(|label| *label == self.labels[0]) {
            return None;
        }
        let spread = self.mean(|p, _| (p - mean_prediction) * (p - mean_prediction));
        let slope = self.mean(|p, y| (p - mean_prediction) * (y - mean_label)) / spread;
        (spread > 0.0 && slope.is_finite()).then_some((slope, mean_label - slope * mean_prediction))
    }

    /// None if the predictions are all the same, or separate the labels so that no slope is steep enough.
    fn logistic_calibration(&self, auc: Option<f64>) -> Option<(f64, f64)> {
        let auc = auc?;
        let same = self.predictions.iter().all(|p| *p == self.predictions[0]);
        if same || auc <= 0.0 || auc >= 1.0 {
            return None;
        }
        let mut design = Design::new();
        for (p, y, w) in self.iter() {
            let logit = Family::Logistic.link(p);
            design.push(&[(0, 1.0), (1, logit as f32)], y, w);
        }
        let fit = fit(&design, 2, Family::Logistic, 0.0, &|_| false, &mut || ())
            .ok()
            .filter(|fit| fit.converged)?;
        Some((fit.weights[1], fit.weights[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        /// Prediction, label, weight.
        rows: Vec<[f64; 3]>,
        rmse: f64,
        log_loss: f64,
        auc: f64,
        linear: [f64; 2],
        logistic: [f64; 2],
    }

    fn measured(family: Family, rows: &[[f64; 3]]) -> Option<Metrics> {
        let column = |i: usize| rows.iter().map(|row| row[i]).collect::<Vec<_>>();
        Metrics::measure(family, &column(0), &column(1), &column(2))
    }

    fn near(found: Option<f64>, expected: f64, precision: f64) {
        let found = found.unwrap();
        assert!(
            (found - expected).abs() <= precision * expected.abs(),
            "{found}, not {expected}"
        );
    }

    #[test]
    fn agrees_with_the_reference() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../../pgrx-tests/golden/metrics.json")).unwrap();
        let metrics = measured(Family::Logistic, &golden.rows).unwrap();
        near(Some(metrics.rmse), golden.rmse, 1e-12);
        near(metrics.log_loss, golden.log_loss, 1e-12);
        near(metrics.auc, golden.auc, 1e-12);
        near(metrics.calibration_slope, golden.logistic[0], 1e-7);
        near(metrics.calibration_intercept, golden.logistic[1], 1e-7);
        let metrics = measured(Family::Linear, &golden.rows).unwrap();
        near(metrics.calibration_slope, golden.linear[0], 1e-10);
        near(metrics.calibration_intercept, golden.linear[1], 1e-10);
        assert_eq!((metrics.log_loss, metrics.auc), (None, None));
    }

    #[test]
    fn small_cases_by_hand() {
        let metrics = measured(
            Family::Logistic,
            &[[0.2, 0.0, 1.0], [0.2, 1.0, 1.0], [0.7, 1.0, 2.0]],
        )
        .unwrap();
        assert_eq!(
            (metrics.rows, metrics.weight, metrics.mean_label),
            (3, 4.0, 0.75)
        );
        near(Some(metrics.mean_prediction), 0.45, 1e-15);
        near(metrics.auc, (0.5 + 2.0) / 3.0, 1e-15);
        // a row of label 1/4 is a quarter of a positive and three quarters of a negative one
        let shared = measured(Family::Logistic, &[[0.5, 0.25, 4.0], [0.9, 1.0, 1.0]]).unwrap();
        let apart = measured(
            Family::Logistic,
            &[[0.5, 1.0, 1.0], [0.5, 0.0, 3.0], [0.9, 1.0, 1.0]],
        )
        .unwrap();
        assert_eq!(shared.auc, apart.auc);
        near(shared.log_loss, apart.log_loss.unwrap(), 1e-15);
    }

    #[test]
    fn what_cannot_be_told_is_not_told() {
        assert_eq!(measured(Family::Linear, &[]), None);
        assert_eq!(measured(Family::Linear, &[[1.0, 1.0, 0.0]]), None);
        assert_eq!(measured(Family::Linear, &[[f64::NAN, 1.0, 1.0]]), None);
        let one_kind = measured(Family::Logistic, &[[0.2, 0.0, 1.0], [0.3, 0.0, 1.0]]).unwrap();
        assert_eq!((one_kind.auc, one_kind.calibration_slope), (None, None));
        let equal = measured(Family::Linear, &[[0.2, 3.0, 1.0], [0.3, 3.0, 1.0]]).unwrap();
        assert_eq!(
            (equal.calibration_slope, equal.calibration_intercept),
            (None, None)
        );
        let constant = measured(Family::Logistic, &[[0.2, 0.0, 1.0], [0.2, 1.0, 1.0]]).unwrap();
        assert_eq!(
            (constant.auc, constant.calibration_slope),
            (Some(0.5), None)
        );
        let perfect = measured(Family::Logistic, &[[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]).unwrap();
        assert_eq!((perfect.auc, perfect.calibration_slope), (Some(1.0), None));
        assert!(perfect.log_loss.unwrap() < 1e-14);
        let wrong = measured(Family::Logistic, &[[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]).unwrap();
        assert!(wrong.log_loss.unwrap().is_finite());
    }
}
