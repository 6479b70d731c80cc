//! The SQL that the documents show is run, block by block, by psql.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail, ensure};

use super::shop;
use crate::demo::data;
use crate::temporary::Database;
use crate::workspace::Workspace;

/// A block of a document: the line before it, what follows its opening mark, and what is in it.
pub struct Block<'text> {
    pub line: usize,
    pub language: &'text str,
    pub body: String,
}

/// The README's first steps run as they stand.
pub fn first_steps_run(database: &Database) -> Result<()> {
    run(database, "README.md")
}

/// The tutorial runs from its first line to its last, and what operations, modes and upkeep show runs after it.
pub fn tutorial_and_operations_run(database: &Database) -> Result<()> {
    run(database, "docs/tutorial.md")?;
    run(database, "docs/tutorial-more.md")?;
    run(database, "docs/operations.md")?;
    run(database, "docs/servers.md")?;
    run(database, "docs/modes.md")?;
    run(database, "docs/upkeep.md")?;
    run(database, "docs/pacing.md")?;
    run(database, "docs/views.md")
}

/// What limits shows runs by itself.
pub fn limits_run(database: &Database) -> Result<()> {
    run(database, "docs/limits.md")
}

/// What pages and batches show runs by itself.
pub fn pages_and_batches_run(database: &Database) -> Result<()> {
    run(database, "docs/pages-and-batches.md")
}

/// What privacy shows runs by itself.
pub fn privacy_runs(database: &Database) -> Result<()> {
    run(database, "docs/privacy.md")?;
    run(database, "docs/pseudonyms.md")
}

/// What regions shows runs by itself.
pub fn regions_run(database: &Database) -> Result<()> {
    run(database, "docs/regions.md")
}

/// What users shows runs in a shop that is open.
pub fn users_run(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    shop::open(&mut client)?;
    run(database, "docs/users.md")?;
    client.batch_execute("DROP OWNED BY login_service; DROP ROLE login_service")?;
    Ok(())
}

/// What outcomes shows runs in a shop that is open.
pub fn outcomes_run(database: &Database) -> Result<()> {
    shop::open(&mut database.connect()?)?;
    run(database, "docs/outcomes.md")
}

/// What evaluation shows runs by itself.
pub fn evaluation_runs(database: &Database) -> Result<()> {
    run(database, "docs/evaluation.md")
}

/// What experiments shows runs by itself.
pub fn experiments_run(database: &Database) -> Result<()> {
    run(database, "docs/experiments.md")
}

/// Upkeep lists every job, with how often it runs and what it does, as the extension says it.
pub fn name_every_job(database: &Database) -> Result<()> {
    let workspace = Workspace::find()?;
    let text = plain(&fs::read_to_string(
        workspace.root().join("docs/upkeep.md"),
    )?);
    let jobs = "SELECT job, every, comment FROM decide.default_jobs()";
    let jobs = database.connect()?.query(jobs, &[])?;
    ensure!(!jobs.is_empty(), "there are no jobs");
    for job in &jobs {
        let [name, every, comment]: [&str; 3] = [job.get(0), job.get(1), job.get(2)];
        let row = format!("\n| {name} | {every} | {comment}");
        ensure!(text.contains(&row), "docs/upkeep.md has no row{row}");
    }
    Ok(())
}

/// Text without the marks of code and of links.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        plain += before;
        rest = link;
        if let Some((words, target)) = link.split_once("](")
            && !words.contains('\n')
            && let Some((_, after)) = target.split_once(')')
        {
            plain += words;
            rest = after;
        } else {
            plain.push('[');
        }
    }
    (plain + rest).replace('`', "")
}

/// Runs a document in one session; a block that fails, or one that should and does not, is named.
pub fn run(database: &Database, document: &str) -> Result<()> {
    let workspace = Workspace::find()?;
    let text = fs::read_to_string(workspace.root().join(document))?;
    let mut blocks = blocks(&text)?;
    blocks.retain(|block| matches!(block.language, SQL | FAILING_SQL));
    ensure!(!blocks.is_empty(), "{document} shows no SQL");
    let script = database.server.scratch("docs")?.join("document.sql");
    fs::write(&script, as_script(&blocks))?;
    let output = database
        .client("psql")
        .args(["-X", "-q", "-v"])
        .arg(format!("data={}", data::folder(&workspace)?.display()))
        .arg("-f")
        .arg(&script)
        .output()
        .context("cannot run psql")?;
    if output.status.success() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(&output.stdout);
    let last = shown.lines().rfind(|line| line.starts_with("-- line "));
    bail!(
        "{document}, {}: {}",
        last.unwrap_or("before its first block"),
        String::from_utf8_lossy(&output.stderr)
    )
}

const SQL: &str = "sql";
/// SQL that is shown for its error.
const FAILING_SQL: &str = "sql error";

/// The blocks of code, in their order.
pub fn blocks(text: &str) -> Result<Vec<Block<'_>>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            continue;
        };
        let mut body = String::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((_, line)) => writeln!(body, "{line}")?,
                None => bail!("the block at line {} does not end", number + 1),
            }
        }
        blocks.push(Block {
            line: number + 1,
            language,
            body,
        });
    }
    Ok(blocks)
}

/// One script of them all; exit status 3 where a block does not do what it should.
fn as_script(blocks: &[Block]) -> String {
    let mut script = String::new();
    if blocks
        .iter()
        .any(|block| block.body.contains("CREATE EXTENSION"))
    {
        script += "DROP EXTENSION pg_decide;\n";
    }
    for Block {
        line,
        language,
        body,
    } in blocks
    {
        let fails = *language == FAILING_SQL;
        script += &format!("\\echo -- line {line}\n");
        script += match fails {
            false => "\\set ON_ERROR_STOP 1\n",
            true => "\\set ON_ERROR_STOP 0\n",
        };
        script += body;
        if fails {
            script += "\\if :ERROR\n\\else\n\\warn it does not fail\n\\set ON_ERROR_STOP 1\nSELECT 1/0;\n\\endif\n";
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_lines() {
        let text = "a\n```sql\nSELECT 1;\n```\n```sh\nls\n```\n```sql error\nSELECT x;\n```\n";
        let found = blocks(text).unwrap();
        let seen: Vec<(usize, &str, &str)> = found
            .iter()
            .map(|block| (block.line, block.language, block.body.trim()))
            .collect();
        let expected = [
            (2, SQL, "SELECT 1;"),
            (5, "sh", "ls"),
            (8, FAILING_SQL, "SELECT x;"),
        ];
        assert_eq!(seen, expected);
        assert!(blocks("```sql\nSELECT 1;\n").is_err());
    }
}
