//! Which cells a feature has in the rows of its entity: given once to each definition, for ever.

use pgrx::pg_sys::{INT4OID, TEXTOID};

use super::feature::Feature;
use crate::error::Error;
use crate::pg::{Statement, datum};

thread_local! {
    static NEW_FEATURES: Statement = const { Statement::new(include_str!("slot.sql"), &[TEXTOID]) };
    static ADD: Statement = const { Statement::new(
        "INSERT INTO decide.feature_slot (slot, feature, definition, width, number) \
         SELECT (SELECT COALESCE(pg_catalog.max(l.slot + l.width), 0) FROM decide.feature_slot AS l), n.name, $2::jsonb, $3, n.number \
           FROM decide.named AS n WHERE n.kind = 'feature' AND n.name = $1",
        &[TEXTOID, TEXTOID, INT4OID]) };
}

/// Gives each new definition of a feature, or the one of a name, its cells. Needs an open session.
pub fn assign_cells(only: Option<&str>) -> Result<(), Error> {
    let mut new: Vec<(String, String, String)> = Vec::new();
    NEW_FEATURES.with(|statement| {
        let only = [datum::optional_text(only)];
        statement.write(&only, |row| {
            new.push((row.must(1), row.must(2), row.must(3)))
        })
    });
    for (name, content, definition) in new {
        let row = serde_json::from_str(&content).map_err(|e| Error::Damaged(e.to_string()))?;
        let width = Feature::width(&row) as i32;
        ADD.with(|statement| {
            let args = [
                datum::text(&name),
                datum::text(&definition),
                datum::int4(width),
            ];
            statement.write(&args, |_| {})
        });
    }
    Ok(())
}
