//! The extension as PostgreSQL sees it: created, dropped, loaded.

use anyhow::{Result, ensure};
use postgres::Client;
use postgres::error::SqlState;

use crate::run;
use crate::server::Stop;
use crate::temporary::Database;

/// DROP EXTENSION leaves nothing behind, and CREATE EXTENSION works afterwards.
pub fn is_created_and_dropped(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    ensure!(
        version(&mut client)?.is_some(),
        "CREATE EXTENSION left no extension"
    );
    client.batch_execute("DROP EXTENSION pg_decide")?;
    let left: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'decide'",
            &[],
        )?
        .get(0);
    ensure!(left == 0, "DROP EXTENSION left the schema decide");
    client.batch_execute("CREATE EXTENSION pg_decide")?;
    Ok(())
}

/// A server that does not preload the library can create the extension and load it on demand.
pub fn loads_without_preload(database: &Database) -> Result<()> {
    database.server.restart_with_preload("")?;
    let mut client = database.connect()?;
    client.batch_execute("LOAD 'pg_decide'")?;
    client.batch_execute("DROP EXTENSION pg_decide; CREATE EXTENSION pg_decide")?;
    ensure!(version(&mut client)?.is_some(), "the extension is missing");
    Ok(())
}

/// After a crash the server recovers, with the extension as it was.
pub fn survives_a_crash(database: &Database) -> Result<()> {
    database.server.restart(Stop::Immediate)?;
    ensure!(
        version(&mut database.connect()?)?.is_some(),
        "the extension is gone"
    );
    Ok(())
}

/// Only a superuser creates the extension: it brings compiled code.
pub fn is_refused_to_a_plain_role(database: &Database) -> Result<()> {
    let mut admin = database.connect()?;
    admin.batch_execute("DROP EXTENSION pg_decide; CREATE ROLE plain_developer LOGIN")?;
    let attempt = database
        .connect_as("plain_developer")?
        .batch_execute("CREATE EXTENSION pg_decide");
    admin.batch_execute("DROP ROLE plain_developer")?;
    let error = attempt.expect_err("a plain role created the extension");
    ensure!(
        error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE),
        "refused, but with {error}"
    );
    Ok(())
}

/// pg_dump writes the extension as one statement, not object by object.
pub fn is_dumped_as_one_statement(database: &Database) -> Result<()> {
    let dump = run::output(&mut database.client("pg_dump"))?;
    ensure!(
        dump.contains("CREATE EXTENSION IF NOT EXISTS pg_decide"),
        "the dump lacks it"
    );
    ensure!(
        !dump.contains("CREATE FUNCTION"),
        "the dump holds functions of the extension"
    );
    Ok(())
}

/// The version of the extension in this database.
fn version(client: &mut Client) -> Result<Option<String>> {
    let found = client.query_opt(
        "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_decide'",
        &[],
    )?;
    Ok(found.map(|row| row.get(0)))
}
