//! What a model predicts of decisions that were made, beside what came of them; and a version of it whose predictions have
//! been brought into line with that.

use std::collections::HashMap;

use pgrx::pg_sys::{FLOAT4ARRAYOID, FLOAT8ARRAYOID, INT4OID, Oid, TEXTOID};
use serde_json::json;
use uuid::Uuid;

use super::cohorts::check_name;
use super::log::Log;
use super::support;
use crate::decide::{Judge, Logged};
use crate::error::{Error, printable};
use crate::math::model::{Family, LinearModel};
use crate::math::to_f32;
use crate::math::train::Metrics;
use crate::pg::record::Timestamp;
use crate::pg::{Session, Statement, array, datum};
use crate::policy::{ModelVersion, Target, read_model};

thread_local! {
    static LOCK: Statement = const { Statement::new(
        "LOCK TABLE decide.model_version IN SHARE ROW EXCLUSIVE MODE", &[]) };
    static WRITE: Statement = const { Statement::new(
        "INSERT INTO decide.model_version (model, version, family, terms, spec, weights, window_from, window_to, rows, hyperparameters, metrics, seed, \
                created_by, created_as, covariance) \
         SELECT m.model, (SELECT pg_catalog.max(l.version) + 1 FROM decide.model_version AS l WHERE l.model = m.model), m.family, m.terms, m.spec, $3, \
                m.window_from, m.window_to, m.rows, COALESCE(m.hyperparameters, '{}') || $4::jsonb, COALESCE(m.metrics, '{}') || $5::jsonb, m.seed, \
                SESSION_USER, $6, $7 \
           FROM decide.model_version AS m WHERE m.model = $1 AND m.version = $2 \
         RETURNING version",
        &[TEXTOID, INT4OID, FLOAT4ARRAYOID, TEXTOID, TEXTOID, TEXTOID, FLOAT8ARRAYOID]) };
}

/// A slot that a policy has filled.
pub struct Prediction<'a> {
    pub decision_id: Uuid,
    pub decided_at: Timestamp,
    pub slot: i32,
    pub action: &'a str,
    /// The probability with which it was chosen.
    pub propensity: f64,
    /// What the model says of the action that was shown, and of the baseline of the surface.
    pub predicted: f64,
    pub baseline: Option<f64>,
    pub reward: f64,
    /// What the model predicts: the reward, or whether there was one.
    pub label: f64,
    pub cohort: Option<&'a str>,
}

/// A model on a surface.
pub struct Predictor {
    judge: Judge,
    family: Family,
    /// Its name and version, and what it knows.
    pub name: String,
    pub version: i32,
    known: ModelVersion,
}

impl Predictor {
    /// `model`, for its newest approved version, or `model:version`.
    pub fn of(model: &str, surface: &str) -> Result<Predictor, Error> {
        let target = Target::of_model(model, surface)?;
        let (name, version) = target.model_version();
        let (name, version) = (name.to_owned(), version);
        let _session = Session::open();
        let known = read_model(&name, version)
            .map_err(|reason| {
                let model = printable(&name);
                Error::Evaluation(
                    format!("model {model}:{version}: {reason}"),
                    "Import it again.",
                )
            })?
            .ok_or_else(|| Error::UnknownVersion(printable(&name), version))?;
        Ok(Predictor {
            judge: Judge::new(surface, target, None)?,
            family: known.model.family,
            name,
            version,
            known,
        })
    }

    /// Hands on what it predicts of each slot of the log that a policy has filled. What came of all slots together is
    /// with the last one.
    pub fn each(
        &mut self,
        log: &Log<'_>,
        caller: Oid,
        mut then: impl FnMut(Prediction<'_>),
    ) -> Result<(), Error> {
        let mut names: HashMap<i32, String> = HashMap::new();
        log.each(caller, |logged: &Logged| {
            if logged.is_forced() {
                return Ok(());
            }
            let family = self.family;
            logged.cohort().map_or(Ok(()), check_name)?;
            self.judge.judge(logged)?;
            let baseline = self.judge.expected_of_baseline();
            for (place, (number, slot)) in logged.shown().zip(self.judge.slots()).enumerate() {
                let action = names
                    .entry(number)
                    .or_insert_with(|| support::name_of(number));
                let label = match family {
                    Family::Linear => slot.reward,
                    Family::Logistic => f64::from(u8::from(slot.reward > 0.0)),
                };
                then(Prediction {
                    decision_id: logged.decision_id(),
                    decided_at: logged.decided_at(),
                    slot: logged.first_slot() + place as i32,
                    action,
                    propensity: slot.logged,
                    predicted: slot.q_logged,
                    baseline,
                    reward: slot.reward,
                    label,
                    cohort: logged.cohort(),
                });
            }
            Ok(())
        })
    }

    /// Writes a version whose predictions are a line of those of this one, on the scale of log odds if it is logistic:
    /// the line that fits what came of the decisions of the log best. Its slope must be within 1 / most_slope and
    /// most_slope. Answers the version.
    pub fn calibrate(
        &mut self,
        log: &Log<'_>,
        most_slope: f64,
        (reader, caller): (Oid, &str),
    ) -> Result<i32, Error> {
        let (mut predictions, mut labels) = (Vec::new(), Vec::new());
        self.each(log, reader, |of| {
            predictions.push(of.predicted);
            labels.push(of.label);
        })?;
        let weights = vec![1.0; labels.len()];
        let measure =
            |predictions: &[f64]| Metrics::measure(self.family, predictions, &labels, &weights);
        let before = measure(&predictions);
        let line = before
            .as_ref()
            .and_then(|of| of.calibration_slope.zip(of.calibration_intercept));
        let (slope, intercept) = line.ok_or_else(|| {
            Error::Evaluation(
                format!(
                    "what came of {} slots says nothing of how well model {}:{} is calibrated",
                    labels.len(),
                    printable(&self.name),
                    self.version
                ),
                "Its predictions or the outcomes are all the same, or tell them apart without a mistake: widen decided_from and decided_to.",
            )
        })?;
        if !(slope >= 1.0 / most_slope && slope <= most_slope) {
            return Err(Error::Evaluation(
                format!(
                    "the slope of calibration of model {}:{} is {slope:.4}, which is not within {:.4} and {most_slope}",
                    printable(&self.name),
                    self.version,
                    1.0 / most_slope
                ),
                "Its order is not to be trusted either: train it again. Or raise most_slope.",
            ));
        }
        let moved = moved(&self.known, slope, intercept).ok_or_else(|| {
            Error::Evaluation(
                format!(
                    "model {}:{} has no intercept that could be moved",
                    printable(&self.name),
                    self.version
                ),
                "Give it a term without factors.",
            )
        })?;
        let family = self.family;
        let after: Vec<f64> = predictions
            .iter()
            .map(|&p| family.mean(slope * family.link(p) + intercept))
            .collect();
        let of_calibration = json!({
            "slope": slope, "intercept": intercept, "rows": labels.len(), "of_version": self.version,
            "surface": log.surface, "outcome": log.outcome,
        });
        let hyperparameters = json!({ "calibrated": of_calibration }).to_string();
        let metrics =
            json!({ "calibration": {"before": before, "after": measure(&after)} }).to_string();
        let mut version = 0;
        let _session = Session::open();
        LOCK.with(|statement| statement.write(&[], |_| {}));
        WRITE.with(|statement| {
            let row = [
                datum::text(&self.name),
                datum::int4(self.version),
                Some(array::from_slice(&moved.weights)),
                datum::text(&hyperparameters),
                datum::text(&metrics),
                datum::text(caller),
                moved.covariance.as_deref().map(array::from_slice),
            ];
            statement.write(&row, |row| version = row.must(1))
        });
        Ok(version)
    }
}

/// The weights and the covariance of a model whose linear predictor is slope · η + intercept.
struct Moved {
    weights: Vec<f32>,
    covariance: Option<Vec<f64>>,
}

fn moved(known: &ModelVersion, slope: f64, intercept: f64) -> Option<Moved> {
    let place = constant(&known.model)?;
    let weights = known.model.weights.iter().enumerate().map(|(i, &weight)| {
        let own = if i == place { intercept } else { 0.0 };
        to_f32(slope * f64::from(weight) + own)
    });
    let covariance = known.covariance.as_ref();
    let covariance = covariance.map(|known| known.entries().iter().map(|c| slope * slope * c));
    Some(Moved {
        weights: weights.collect(),
        covariance: covariance.map(Iterator::collect),
    })
}

/// The place of the weight that every action has alike.
fn constant(model: &LinearModel) -> Option<usize> {
    let mut first = 0;
    for term in &model.terms {
        if term.factors.is_empty() {
            return Some(first);
        }
        first += term.width()?;
    }
    None
}
