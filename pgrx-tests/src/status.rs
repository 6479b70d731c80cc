//! The table of private servers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cluster;
use crate::install::Target;
use crate::server::Server;
use crate::workspace::Workspace;

/// Prints one line for each cluster, or for the one asked for.
pub fn show(workspace: &Workspace, named: Option<Target>) -> Result<()> {
    let mut folders: Vec<PathBuf> = match &named {
        Some(target) => vec![target.cluster_dir(workspace)],
        None => fs::read_dir(workspace.home("cluster"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default(),
    };
    folders.sort();
    let mut rows = vec![
        [
            "version",
            "port",
            "state",
            "extension",
            "size",
            "jobs",
            "folder",
        ]
        .map(str::to_owned),
    ];
    for folder in &folders {
        if let Some(server) = cluster::existing(folder)? {
            rows.push(describe(&server, folder));
        }
    }
    if rows.len() == 1 {
        println!("no server yet; `cargo dev start` makes one");
        return Ok(());
    }
    for [version, port, state, extension, size, jobs, folder] in rows {
        println!("{version:<9}{port:<7}{state:<9}{extension:<11}{size:<10}{jobs:<18}{folder}");
    }
    Ok(())
}

/// The columns of `status` for one server.
fn describe(server: &Server, folder: &Path) -> [String; 7] {
    let facts = || -> Result<(String, String)> {
        let row = server.connect(cluster::DATABASE)?.query_one(
            "SELECT (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_decide'),
                    pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(pg_catalog.current_database()))",
            &[],
        )?;
        Ok((
            row.get::<_, Option<String>>(0)
                .unwrap_or_else(|| "none".into()),
            row.get(1),
        ))
    };
    let running = server.is_running();
    let jobs = running
        .then(|| jobs(server).ok())
        .flatten()
        .unwrap_or_default();
    let (extension, size) = if running { facts().ok() } else { None }.unwrap_or_default();
    let state = if running { "running" } else { "stopped" };
    let version = server
        .install
        .version
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    let folder = folder.display().to_string();
    [
        version,
        server.port().to_string(),
        state.into(),
        extension,
        size,
        jobs,
        folder,
    ]
}

/// How the jobs of the background workers are, in a few words.
fn jobs(server: &Server) -> Result<String> {
    let row = server.connect(cluster::DATABASE)?.query_one(
        "SELECT CASE WHEN count(last_run) = 0 THEN 'none has run'
                     WHEN max(failures) = 0 THEN 'well'
                     ELSE 'failing: ' || string_agg(job, ', ') FILTER (WHERE failures > 0) END
           FROM decide.job_status",
        &[],
    )?;
    Ok(row.get(0))
}
