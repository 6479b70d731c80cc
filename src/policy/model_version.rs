//! Model versions out of their table.

use pgrx::pg_sys::{INT4OID, TEXTOID};

use crate::govern::switches::Switches;
use crate::math::model::{Covariance, LinearModel};
use crate::pg::{Statement, array, datum};

thread_local! {
    static MODEL: Statement = const { Statement::new(
        "SELECT m.spec::text, m.weights, m.covariance FROM decide.model_version AS m \
          WHERE m.model = $1 AND m.version = $2",
        &[TEXTOID, INT4OID],
    ) };
}

/// A model, and how sure it is of its weights where that was kept.
pub struct ModelVersion {
    pub model: LinearModel,
    pub covariance: Option<Covariance>,
}

/// The model version as it was trained.
pub fn read_whole(name: &str, version: i32) -> Result<Option<ModelVersion>, String> {
    read(name, version, &Switches::default())
}

/// The model version without the coefficients that switches kill; None if there is none, or what is wrong with it.
pub fn read(name: &str, version: i32, switches: &Switches) -> Result<Option<ModelVersion>, String> {
    let mut found = None;
    MODEL.with(|statement| {
        statement.read(&[datum::text(name), datum::int4(version)], |row| {
            let mut weights: Vec<f32> = Vec::new();
            let plain = row
                .datum(2)
                .is_some_and(|w| array::read_into(w, &mut weights));
            let mut covariance: Vec<f64> = Vec::new();
            let known = row.datum(3);
            let known = known.map(|c| array::read_into(c, &mut covariance).then_some(covariance));
            found = Some((row.must::<String>(1), weights, plain, known));
        })
    });
    let Some((spec, weights, plain, known)) = found else {
        return Ok(None);
    };
    if !plain {
        return Err("its weights have a null".into());
    }
    let model: LinearModel = serde_json::from_str(&spec).map_err(|e| format!("its spec: {e}"))?;
    let mut model = model.with_weights(weights);
    model.validate().map_err(|e| e.to_string())?;
    let no_covariance = || {
        let entries = Covariance::entries_for(model.weights.len());
        format!("its covariance is not one of {entries} finite numbers with variances from 0 up")
    };
    let known = known.map(|entries| {
        entries
            .and_then(|entries| Covariance::new(model.weights.len(), entries))
            .ok_or_else(no_covariance)
    });
    let mut covariance = known.transpose()?;
    if let Some(covariance) = &mut covariance {
        covariance.silence(&model, |term| switches.silence(name, term));
    }
    model.silence(|term| switches.silence(name, term));
    Ok(Some(ModelVersion { model, covariance }))
}
