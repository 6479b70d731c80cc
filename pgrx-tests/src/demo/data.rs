//! The Open Bandit Dataset, from the Python wheel that ships it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use postgres::Client;

use crate::setup::wheel::{self, Wheel};
use crate::workspace::Workspace;

const WHEEL: Wheel = Wheel {
    requirement: include_str!("../../wheels/obp.txt"),
};

/// Log and items of the uniformly random policy, over all of the shop.
const FOLDER: &str = "obp/dataset/obd/random/all";

/// The columns of the log that are used; the others are affinities of users to items.
const LOG_COLUMNS: usize = 10;

/// The two files, as CSV with a heading.
pub struct Files {
    pub items: String,
    pub log: String,
}

/// The folder of the two files, fetched and unpacked below target/ unless they are there.
pub fn folder(workspace: &Workspace) -> Result<PathBuf> {
    let _lock = workspace.lock("data")?;
    let folder = workspace.target(&WHEEL.folder_name());
    if !folder.join(FOLDER).is_dir() {
        let file = WHEEL
            .download(workspace)
            .context("cannot get the Open Bandit Dataset")?;
        let partial = wheel::unpack(&file, &folder.with_extension("partial"))?;
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::rename(&partial, &folder)?;
        eprintln!("unpacked the Open Bandit Dataset into {}", folder.display());
    }
    Ok(folder.join(FOLDER))
}

/// Reads the data.
pub fn ensure(workspace: &Workspace) -> Result<Files> {
    let folder = folder(workspace)?;
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Files {
        items: read("item_context.csv")?,
        log: first_columns(&read("all.csv")?, LOG_COLUMNS),
    })
}

/// Copies CSV with a heading into a table.
pub fn copy(client: &mut Client, table: &str, csv: &str) -> Result<()> {
    let statement = format!("COPY {table} FROM STDIN (FORMAT csv, HEADER)");
    let mut writer = client.copy_in(&statement)?;
    writer.write_all(csv.as_bytes())?;
    writer
        .finish()
        .with_context(|| format!("cannot copy into {table}"))?;
    Ok(())
}

/// The first columns of a CSV whose fields have no quotes.
pub fn first_columns(csv: &str, columns: usize) -> String {
    let mut kept = String::with_capacity(csv.len() / 2);
    for line in csv.lines() {
        let end = line
            .match_indices(',')
            .nth(columns - 1)
            .map_or(line.len(), |(at, _)| at);
        kept.push_str(&line[..end]);
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::first_columns;

    #[test]
    fn columns_beyond_the_first_are_cut_off() {
        assert_eq!(first_columns("a,b,c\n1,,3\n4,5\n", 2), "a,b\n1,\n4,5\n");
    }
}
