//! Model versions out of their table.

use pgrx::pg_sys::{INT4OID, TEXTOID};

use crate::govern::switches::Switches;
use crate::math::model::LinearModel;
use crate::pg::{Statement, array, datum};

thread_local! {
    static MODEL: Statement = const { Statement::new(
        "SELECT m.spec::text, m.weights FROM decide.model_version AS m \
          WHERE m.model = $1 AND m.version = $2",
        &[TEXTOID, INT4OID],
    ) };
}

/// The model version without the coefficients that switches kill; None if there is none, or what is wrong with it.
/// Needs an open session.
pub fn read(name: &str, version: i32, switches: &Switches) -> Result<Option<LinearModel>, String> {
    let mut found = None;
    MODEL.with(|statement| {
        statement.read(&[datum::text(name), datum::int4(version)], |row| {
            let mut weights: Vec<f32> = Vec::new();
            let plain = row
                .datum(2)
                .is_some_and(|w| array::read_into(w, &mut weights));
            found = Some((row.must::<String>(1), weights, plain));
        })
    });
    let Some((spec, weights, plain)) = found else {
        return Ok(None);
    };
    if !plain {
        return Err("its weights have a null".into());
    }
    let model: LinearModel = serde_json::from_str(&spec).map_err(|e| format!("its spec: {e}"))?;
    let mut model = model.with_weights(weights);
    model.validate().map_err(|e| e.to_string())?;
    model.silence(|term| switches.silence(name, term));
    Ok(Some(model))
}
