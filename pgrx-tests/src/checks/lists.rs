//! Lists that stand once in the code, and again in the documents: reasons, settings, aggregates, selections.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::temporary::Database;
use crate::workspace::Workspace;

/// Every reason has a row in the documents that says the same of it.
pub fn name_every_reason(database: &Database) -> Result<()> {
    let text = page("rules-and-models.md")?;
    let reasons = database.connect()?.query(
        "SELECT kind, code, reason, step, description FROM decide.reason_catalog()",
        &[],
    )?;
    ensure!(reasons.len() > 10, "only {} reasons", reasons.len());
    for reason in &reasons {
        let name: &str = reason.get(2);
        let name = match name.ends_with(':') {
            true => format!("{name} …"),
            false => name.to_owned(),
        };
        let (step, text_of): (&str, &str) = (reason.get(3), reason.get(4));
        let row = match reason.get::<_, Option<i32>>(1) {
            Some(100) => format!(
                "\n| `{name}` | 100 and the [slot](limits.md#decidecap_slot) of the cap | `{step}` | {text_of}"
            ),
            Some(code) => format!("\n| `{name}` | {code} | `{step}` | {text_of}"),
            None => format!("\n| `{name}` | {}. | ", sentence(text_of)),
        };
        ensure!(text.contains(&row), "rules-and-models.md has no row{row}");
    }
    let rows = section(&text, "## Reasons")?
        .lines()
        .filter(|line| line.starts_with("| `"));
    let rows = rows.count();
    ensure!(
        rows == reasons.len(),
        "{rows} rows for {} reasons",
        reasons.len()
    );
    Ok(())
}

/// Every setting has one row in the documents, with the default that it has.
pub fn name_every_setting(database: &Database) -> Result<()> {
    let mut rows = Vec::new();
    for name in ["rules-and-models.md", "envelope.md", "modes.md"] {
        let text = page(name)?;
        rows.extend(
            text.lines()
                .filter(|line| line.starts_with("| `pg_decide."))
                .map(str::to_owned),
        );
    }
    let mut client = database.connect()?;
    client.batch_execute("LOAD 'pg_decide'")?;
    let settings = client.query(
        "SELECT name, COALESCE(boot_val, ''), COALESCE(unit, '') FROM pg_settings WHERE name LIKE 'pg\\_decide.%' ORDER BY name",
        &[],
    )?;
    ensure!(settings.len() > 10, "only {} settings", settings.len());
    for setting in &settings {
        let (name, default): (&str, &str) = (setting.get(0), setting.get(1));
        let mut of = rows
            .iter()
            .filter_map(|row| row.strip_prefix(&format!("| `{name}` | ")));
        let row = of
            .next()
            .with_context(|| format!("no document has a row of {name}"))?;
        ensure!(of.next().is_none(), "the documents have two rows of {name}");
        let written = row.split(" | ").next().unwrap_or_default();
        let agrees = match default {
            "" => written == "empty",
            _ => {
                let written = written.trim_matches('`');
                let unit: &str = setting.get(2);
                written == default || in_unit(written, unit).is_some_and(|value| value == default)
            }
        };
        ensure!(
            agrees,
            "{name}: the documents have the default {written}, and it is {default}"
        );
    }
    Ok(())
}

/// A number with a unit, as a number in the setting's own unit.
fn in_unit(written: &str, unit: &str) -> Option<String> {
    let split = written.find(|c: char| !c.is_ascii_digit())?;
    let (number, suffix) = written.split_at(split);
    let number: u64 = number.parse().ok()?;
    let value = match (suffix, unit) {
        ("kB", "B") => number * 1024,
        ("s", "ms") => number * 1_000,
        ("s", "s") => number,
        ("h", "s") => number * 3_600,
        ("h", "min") => number * 60,
        _ => return None,
    };
    Some(value.to_string())
}

/// The aggregates that publish knows are those of the documents.
pub fn name_every_aggregate(database: &Database) -> Result<()> {
    let text = page("rules-and-models.md")?;
    let documented: Vec<&str> = section(&text, "### Aggregates")?
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let mut client = database.connect()?;
    client.batch_execute("INSERT INTO decide.feature (feature, event_type, aggregate) VALUES ('f', 'click', 'no such')")?;
    let error = client.execute("SELECT decide.publish()", &[]).err();
    let error = error.context("publish takes an aggregate that there is not")?;
    let error = error.as_db_error().context("an error of the server")?;
    let told = [error.message(), error.detail().unwrap_or_default()].join("\n");
    let (_, known) = told
        .split_once("is none of ")
        .with_context(|| told.clone())?;
    let known = known.lines().next().unwrap_or_default();
    let known: Vec<&str> = known.trim_end_matches('.').split(", ").collect();
    ensure!(
        known == documented,
        "publish knows {known:?}, and the documents {documented:?}"
    );
    Ok(())
}

/// Every selection has a row in the documents, with its own parameters and their defaults.
pub fn name_every_selection(database: &Database) -> Result<()> {
    let text = page("rules-and-models.md")?;
    let section = section(&text, "## Selections")?;
    let selections = database.connect()?.query(
        "SELECT selection, array_agg(parameter) FILTER (WHERE is_own), array_agg(default_value::text) FILTER (WHERE is_own)
           FROM (SELECT *, parameter NOT IN ('min_probability', 'min_lower_bound', 'lower_bound_gamma') AS is_own
                   FROM decide.selection_catalog()) AS c
          GROUP BY selection",
        &[],
    )?;
    for selection in &selections {
        let name: &str = selection.get(0);
        let parameters: Option<Vec<&str>> = selection.get(1);
        let defaults: Option<Vec<Option<&str>>> = selection.get(2);
        let own: Vec<(&str, Option<&str>)> = parameters
            .unwrap_or_default()
            .into_iter()
            .zip(defaults.unwrap_or_default())
            .collect();
        let row = section
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| `{name}` | ")))
            .with_context(|| format!("rules-and-models.md has no row of {name}"))?;
        let (written, _) = row.split_once('|').context("a row of one column")?;
        let mut parts = written.split(';').map(str::trim);
        let mut agrees = own.iter().all(|(parameter, default)| {
            let part = parts.next().unwrap_or_default();
            let default = default.map_or(String::new(), |value| format!("default {value}"));
            part.starts_with(&format!("`{parameter}`: ")) && part.ends_with(&default)
        });
        agrees &= own.is_empty() == written.trim().is_empty() && parts.all(str::is_empty);
        ensure!(agrees, "{name}: the documents say {written}");
    }
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.count();
    ensure!(
        rows == selections.len(),
        "{rows} rows for {} selections",
        selections.len()
    );
    Ok(())
}

/// Every kind of cap is one that decide.cap takes, and that the comment on its column describes.
pub fn name_every_kind_of_cap(database: &Database) -> Result<()> {
    let row = database.connect()?.query_one(
        "SELECT ARRAY(SELECT per FROM decide.cap_catalog()),
                (SELECT pg_get_constraintdef(c.oid) FROM pg_constraint AS c
                  WHERE c.conrelid = 'decide.cap'::regclass AND c.conname = 'cap_per_check'),
                (SELECT col_description(a.attrelid, a.attnum) FROM pg_attribute AS a
                  WHERE a.attrelid = 'decide.cap'::regclass AND a.attname = 'per')",
        &[],
    )?;
    let kinds: Vec<String> = row.get(0);
    let (check, comment): (&str, &str) = (row.get(1), row.get(2));
    let taken: Vec<&str> = check.split('\'').skip(1).step_by(2).collect();
    ensure!(
        taken == kinds,
        "decide.cap takes {taken:?}, and there are {kinds:?}"
    );
    let parts = comment.split("; ");
    let described: Vec<&str> = parts
        .filter_map(|part| Some(part.split_once(": ")?.0))
        .collect();
    ensure!(
        described == kinds,
        "decide.cap.per describes {described:?}, and there are {kinds:?}"
    );
    Ok(())
}

fn page(name: &str) -> Result<String> {
    let path = Workspace::find()?.root().join("docs").join(name);
    Ok(fs::read_to_string(path)?)
}

/// What stands under a heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> Result<&'a str> {
    let (_, rest) = text
        .split_once(&format!("\n{heading}\n"))
        .with_context(|| format!("there is no heading {heading}"))?;
    Ok(rest.split("\n#").next().unwrap_or(rest))
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
