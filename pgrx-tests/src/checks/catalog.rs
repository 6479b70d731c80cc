//! Every object of ours is described: in the catalog by a comment, and in the reference.

use std::fs;

use anyhow::{Result, ensure};
use postgres::Client;

use super::shop;
use crate::temporary::Database;
use crate::workspace::Workspace;

/// Our schema, tables, views, columns, functions, rules and partitions, with whether they have a comment.
const OBJECTS: &str = "
  WITH member AS (
    SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS x ON x.oid = d.refobjid
     WHERE x.extname = 'pg_decide' AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
  ), ours AS (
    SELECT classid, objid, 0 AS objsubid FROM member
    UNION SELECT 'pg_class'::regclass, oid, 0 FROM pg_class
           WHERE relnamespace = 'decide'::regnamespace AND relkind IN ('r', 'p', 'v')
    UNION SELECT 'pg_class'::regclass, a.attrelid, a.attnum FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
           WHERE c.relnamespace = 'decide'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
             AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT 'pg_rewrite'::regclass, r.oid, 0 FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
           WHERE c.relnamespace = 'decide'::regnamespace AND r.rulename <> '_RETURN'
  )
  SELECT o.classid::regclass::text, pg_describe_object(o.classid, o.objid, o.objsubid),
         CASE WHEN o.objsubid = 0 THEN obj_description(o.objid, o.classid::regclass::name) ELSE col_description(o.objid, o.objsubid) END,
         (pg_identify_object(o.classid, o.objid, o.objsubid)).name, COALESCE(p.proname::text, '')
    FROM ours AS o LEFT JOIN pg_proc AS p ON p.oid = o.objid AND o.classid = 'pg_proc'::regclass
   WHERE o.classid <> 'pg_type'::regclass
   ORDER BY 2";

/// COMMENT ON everything, partitions made later too.
pub fn has_comments(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    let mut missing = Vec::new();
    let objects = client.query(OBJECTS, &[])?;
    for object in &objects {
        let comment: Option<String> = object.get(2);
        if comment.is_none_or(|comment| comment.trim().is_empty()) {
            missing.push(object.get::<_, String>(1));
        }
    }
    ensure!(
        objects.len() > 200,
        "only {} objects were found",
        objects.len()
    );
    ensure!(missing.is_empty(), "no comment on: {}", missing.join(", "));
    Ok(())
}

/// The reference names every function, table, view and setting.
pub fn is_in_the_reference(database: &Database) -> Result<()> {
    let root = Workspace::find()?;
    let mut reference = String::new();
    for page in [
        "reference.md",
        "training.md",
        "internals.md",
        "tables.md",
        "traces.md",
        "outcomes.md",
        "views.md",
        "rules-and-models.md",
        "envelope.md",
        "modes.md",
        "pacing.md",
        "limits.md",
        "evaluation.md",
        "experiments.md",
        "privacy.md",
        "pseudonyms.md",
        "regions.md",
        "users.md",
    ] {
        reference += &fs::read_to_string(root.root().join("docs").join(page))?;
    }
    let mut client = database.connect()?;
    let mut missing: Vec<String> = names(&mut client)?
        .into_iter()
        .filter(|name| !mentions(&reference, name))
        .collect();
    missing.sort();
    missing.dedup();
    ensure!(
        missing.is_empty(),
        "the reference in docs/ lacks: {}",
        missing.join(", ")
    );
    Ok(())
}

fn names(client: &mut Client) -> Result<Vec<String>> {
    client.batch_execute("LOAD 'pg_decide'")?;
    let settings = "SELECT name FROM pg_settings WHERE name LIKE 'pg\\_decide.%'";
    let tables = "SELECT c.relname::text FROM pg_class AS c JOIN pg_depend AS d ON d.objid = c.oid AND d.deptype = 'e' \
                   WHERE c.relnamespace = 'decide'::regnamespace AND c.relkind IN ('r', 'p', 'v')";
    let functions = "SELECT p.proname::text FROM pg_proc AS p \
                       JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' \
                       JOIN pg_extension AS x ON x.oid = d.refobjid AND x.extname = 'pg_decide'";
    let mut names = Vec::new();
    for query in [settings, tables, functions] {
        let found = client.query(query, &[])?;
        ensure!(!found.is_empty(), "nothing found by {query}");
        names.extend(found.iter().map(|row| row.get::<_, String>(0)));
    }
    Ok(names)
}

/// Whether the text has the name as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}
