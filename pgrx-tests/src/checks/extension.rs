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

/// On the schema of the verbs, which outlives the extension, a role is given only what it lacks, and loses that again.
pub fn leaves_no_rights_behind(database: &Database) -> Result<()> {
    let mut client = database.connect()?;
    client.batch_execute("DROP EXTENSION pg_decide; CREATE SCHEMA app; CREATE ROLE left_behind")?;
    let rights = "SELECT string_agg(a.privilege_type, ' ') FROM pg_namespace AS n, aclexplode(n.nspacl) AS a \
                   WHERE n.nspname = $1 AND a.grantee = 'left_behind'::regrole";
    let outcome = (|| {
        for (schema, needed, otherwise) in [
            ("public", None, "SELECT"),
            ("app", Some("USAGE"), "SELECT"),
            ("app", None, "GRANT USAGE ON SCHEMA app TO left_behind"),
        ] {
            let held = |client: &mut Client| -> Result<Option<String>> {
                Ok(client.query_one(rights, &[&schema])?.get(0))
            };
            client.batch_execute(otherwise)?;
            let before = held(&mut client)?;
            client.batch_execute(&format!(
                "CREATE EXTENSION pg_decide SCHEMA {schema}; SELECT decide.grant('left_behind', 'serve')"
            ))?;
            let after = held(&mut client)?;
            ensure!(
                after.as_deref() == needed.or(before.as_deref()),
                "on {schema} the role has got {after:?}"
            );
            client.batch_execute(
                "SELECT decide.revoke(role, access) FROM decide.role_access; DROP EXTENSION pg_decide",
            )?;
            let left = held(&mut client)?;
            ensure!(
                left == before,
                "on {schema} the role had {before:?}, and is left with {left:?}"
            );
        }
        Ok(())
    })();
    client.batch_execute(
        "DROP OWNED BY left_behind; DROP ROLE left_behind; CREATE EXTENSION pg_decide",
    )?;
    outcome
}

/// The version of the extension in this database.
fn version(client: &mut Client) -> Result<Option<String>> {
    let found = client.query_opt(
        "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_decide'",
        &[],
    )?;
    Ok(found.map(|row| row.get(0)))
}
