//! The tables of columns in the documents say what the catalog says: every column, its type, its default, its comment.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use postgres::Client;

use crate::temporary::Database;
use crate::workspace::Workspace;

/// Columns of our tables and views, in order, as the documents write them.
const COLUMNS: &str = "
  SELECT c.relname::text, a.attname::text,
         replace(replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz'), 'time zone', 'timetz')
           || CASE WHEN a.attnotnull THEN ', not null' ELSE '' END
           || CASE WHEN EXISTS (SELECT 1 FROM pg_index AS x WHERE x.indrelid = c.oid AND x.indisunique AND NOT x.indisprimary
                                   AND x.indkey::text = a.attnum::text) THEN ', unique' ELSE '' END,
         pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod),
         COALESCE(col_description(c.oid, a.attnum), '')
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
   WHERE c.relnamespace = 'decide'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
     AND a.attnum > 0 AND NOT a.attisdropped
   ORDER BY c.relname, a.attnum";

const HEADER: &str = "| column | type | default | what |";

/// A column, as a row of a document or as the catalog has it.
#[derive(Clone)]
struct Column {
    name: String,
    kind: String,
    default: String,
    what: String,
}

impl Column {
    fn row(&self) -> String {
        let Column {
            name,
            kind,
            default,
            what,
        } = self;
        match default.as_str() {
            "" => format!("| `{name}` | {kind} | | {what} |"),
            _ => format!("| `{name}` | {kind} | `{default}` | {what} |"),
        }
    }
}

/// Every table and view has a table of its columns in a document, which agrees with the catalog.
pub fn agree_with_comments(database: &Database) -> Result<()> {
    let documented = documented()?;
    let mut client = database.connect()?;
    let mut faults = Vec::new();
    let mut relations: BTreeMap<String, Vec<(Column, String)>> = BTreeMap::new();
    for row in client.query(COLUMNS, &[])? {
        let column = Column {
            name: row.get(1),
            kind: row.get(2),
            default: row.get::<_, Option<String>>(3).unwrap_or_default(),
            what: row.get(5),
        };
        let of = relations.entry(row.get(0)).or_default();
        of.push((column, row.get(4)));
    }
    ensure!(relations.len() > 40, "only {} relations", relations.len());
    for (relation, columns) in &relations {
        let Some(rows) = documented.get(relation) else {
            let rows: Vec<String> = columns.iter().map(|(column, _)| column.row()).collect();
            faults.push(format!(
                "decide.{relation} is in no document:\n{}",
                rows.join("\n")
            ));
            continue;
        };
        for (column, kind) in columns {
            let found = rows.iter().find(|row| row.name == column.name);
            let agrees = match found {
                Some(row) => {
                    row.kind == column.kind
                        && plain(&row.what) == plain(&column.what)
                        && same_default(&mut client, row, column, kind)?
                }
                None => false,
            };
            if !agrees {
                let says = found.map_or("nothing".to_owned(), Column::row);
                let expected = column.row();
                faults.push(format!(
                    "decide.{relation}: the document says\n{says}\nand the catalog\n{expected}"
                ));
            }
        }
        let order = |name: &str| columns.iter().position(|(column, _)| column.name == name);
        if rows.iter().any(|row| order(&row.name).is_none()) {
            faults.push(format!(
                "decide.{relation}: a document has columns that it has not"
            ));
        }
    }
    for relation in documented
        .keys()
        .filter(|name| !relations.contains_key(*name))
    {
        faults.push(format!(
            "decide.{relation} is in a document, and there is none"
        ));
    }
    ensure!(
        faults.is_empty(),
        "{} differences between the documents and the catalog:\n\n{}",
        faults.len(),
        faults.join("\n\n")
    );
    Ok(())
}

/// The rows of each relation that has a heading of its own and a table of columns under it.
fn documented() -> Result<BTreeMap<String, Vec<Column>>> {
    let docs = Workspace::find()?.root().join("docs");
    let mut documented: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for entry in fs::read_dir(&docs)? {
        let text = fs::read_to_string(entry?.path())?;
        let mut relation = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.starts_with('#') {
                let heading = line.trim_start_matches('#').trim();
                relation = heading.strip_prefix("decide.").map(str::to_owned);
            } else if line == HEADER {
                let relation = relation
                    .clone()
                    .context("a table of columns under no table")?;
                let of = documented.entry(relation).or_default();
                of.extend(lines.by_ref().skip(1).map_while(column));
            }
        }
    }
    Ok(documented)
}

/// A row of a table of columns; None where the table ends.
fn column(line: &str) -> Option<Column> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let mut cells = inner.splitn(4, "|").map(str::trim);
    let mut next = || {
        cells
            .next()
            .unwrap_or_default()
            .trim_matches('`')
            .to_owned()
    };
    Some(Column {
        name: next(),
        kind: next(),
        default: next(),
        what: cells.next().unwrap_or_default().to_owned(),
    })
}

/// The text without its marks: backticks, links to what it names, and the brackets of functions.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let target = link
            .split_once("](")
            .and_then(|(name, after)| Some((name, after.split_once(')')?.1)));
        match target {
            Some((name, after)) if !name.contains('[') => {
                plain += before;
                plain += name;
                rest = after;
            }
            _ => {
                plain += before;
                plain.push('[');
                rest = link;
            }
        }
    }
    plain += rest;
    plain.replace('`', "").replace("\\|", "|").replace("()", "")
}

/// Whether the default is the same value, however it is written.
fn same_default(client: &mut Client, row: &Column, column: &Column, kind: &str) -> Result<bool> {
    if row.default == column.default || row.default.is_empty() || column.default.is_empty() {
        return Ok(row.default == column.default);
    }
    if column.default.ends_with(')') {
        return Ok(false);
    }
    let (written, stored) = (&row.default, &column.default);
    let query = format!("SELECT ({written})::{kind}::text = ({stored})::text");
    Ok(client
        .query_one(&query, &[])
        .is_ok_and(|same| same.get::<_, bool>(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_without_their_marks() {
        assert_eq!(
            plain("at most [a billion](limits.md#costs) of `x[1]`"),
            "at most a billion of x[1]"
        );
        let row = column("| `a` | text[], not null | `'{}'` | What `b` says |").unwrap();
        assert_eq!(
            (row.name.as_str(), row.kind.as_str()),
            ("a", "text[], not null")
        );
        assert_eq!(
            (row.default.as_str(), row.what.as_str()),
            ("'{}'", "What `b` says")
        );
        assert!(column("").is_none());
    }
}
