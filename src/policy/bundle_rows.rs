//! Rows that say of a bundle what rules and readers of traces need. They are made of what was published, and not of the
//! policy tables, which somebody may have changed since.

use pgrx::pg_sys::{FLOAT8ARRAYOID, INT4ARRAYOID, INT8OID, TEXTARRAYOID, UUIDARRAYOID};
use uuid::Uuid;

use super::compile::rule_sets;
use super::tables::{ActionRow, Content};
use crate::error::Error;
use crate::pg::{Statement, datum};

thread_local! {
    static ACTIONS: Statement = const { Statement::new(
        "INSERT INTO decide.bundle_action (bundle, surface, rule, number, action, campaign, surfaces, attributes, cost) \
         SELECT $1, s.surface, a.rule, a.number, a.action, a.campaign, l.surfaces, a.attributes::jsonb, a.cost \
           FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), \
                           pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8)) \
                  AS a (rule, number, action, campaign, surfaces, attributes, cost) \
          CROSS JOIN LATERAL (SELECT ARRAY(SELECT pg_catalog.jsonb_array_elements_text(a.surfaces::jsonb)) AS surfaces OFFSET 0) AS l \
           JOIN pg_catalog.unnest($9) AS s (surface) ON l.surfaces = '{}' OR s.surface = ANY (l.surfaces)",
        &[INT8OID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, FLOAT8ARRAYOID, TEXTARRAYOID]) };
    static SURFACES: Statement = const { Statement::new(
        "INSERT INTO decide.bundle_surface (bundle, surface, latency_budget, context_fields, features) \
         SELECT b.bundle, s.surface, s.latency_budget, s.context_fields, $2 \
           FROM decide.bundle AS b \
          CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(b.content -> 'surfaces') \
             AS s (surface text, latency_budget interval, context_fields text[]) \
          WHERE b.bundle = $1", &[INT8OID, TEXTARRAYOID]) };
    // Of the actions in these chunks, those that have changed since the bundle before.
    static VERSIONS: Statement = const { Statement::new(
        "INSERT INTO decide.action_version (number, bundle, campaign, attributes, cost) \
         SELECT a.number, $1, a.campaign, a.attributes, a.cost \
           FROM decide.bundle_chunk AS k \
          CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(k.actions) AS a (number int, campaign text, attributes jsonb, cost float8) \
           LEFT JOIN LATERAL (SELECT v.campaign, v.attributes, v.cost FROM decide.action_version AS v \
                               WHERE v.number = a.number ORDER BY v.bundle DESC LIMIT 1) AS l ON true \
          WHERE k.chunk = ANY ($2) \
            AND (l.attributes IS NULL OR l.campaign IS DISTINCT FROM a.campaign OR l.attributes <> a.attributes OR l.cost <> a.cost)",
        &[INT8OID, UUIDARRAYOID]) };
}

/// What rules that look at the action see as `action`.
pub fn write_for_rules(bundle: i64, content: &Content) -> Result<(), Error> {
    let sets = rule_sets(content);
    let set_of = |action: &ActionRow| sets.get(action.eligible_when.as_deref()?).copied();
    let rows = content.actions.iter();
    let rows: Vec<(i32, &ActionRow)> = rows.filter_map(|of| Some((set_of(of)?, of))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let of_rows = || rows.iter().map(|&(_, action)| action);
    let sets: Vec<i32> = rows.iter().map(|&(set, _)| set).collect();
    let numbers: Vec<i32> = of_rows().map(|of| of.number).collect();
    let names: Vec<Option<&str>> = of_rows().map(|of| Some(of.action.as_str())).collect();
    let campaigns: Vec<Option<&str>> = of_rows().map(|of| of.campaign.as_deref()).collect();
    let surfaces = of_rows().map(|of| serde_json::to_string(&of.surfaces).map(Some));
    let surfaces: Vec<Option<String>> = surfaces
        .collect::<Result<_, _>>()
        .map_err(|e| Error::Damaged(e.to_string()))?;
    let attributes: Vec<Option<&str>> = of_rows().map(|of| Some(of.attributes.get())).collect();
    let costs: Vec<f64> = of_rows().map(|of| of.cost).collect();
    let all = content.surfaces.iter();
    let all: Vec<Option<&str>> = all.map(|row| Some(row.surface.as_str())).collect();
    let args = [
        datum::int8(bundle),
        datum::array(&sets),
        datum::array(&numbers),
        datum::texts(&names),
        datum::texts(&campaigns),
        datum::texts(&surfaces),
        datum::texts(&attributes),
        datum::array(&costs),
        datum::texts(&all),
    ];
    ACTIONS.with(|statement| statement.write(&args, |_| {}));
    Ok(())
}

/// What views of traces need: the names of the values in the vector, and what the actions in these chunks are.
pub fn write_for_readers(bundle: i64, vector: &[Option<&str>], changed: &[Uuid]) {
    let args = [datum::int8(bundle), datum::texts(vector)];
    SURFACES.with(|statement| statement.write(&args, |_| {}));
    let args = [datum::int8(bundle), datum::uuids(changed)];
    VERSIONS.with(|statement| statement.write(&args, |_| {}));
}
