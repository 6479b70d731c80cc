//! Memory that the system does not give.

use anyhow::{Context, Result, ensure};

use crate::temporary::Database;
use crate::user;

/// How much more than it has a session gets, in bytes: less than the texts that it is to keep.
const MORE: u64 = 48 << 20;

/// A session that gets no more memory ends, or the statement fails; all others go on.
pub fn ends_one_session(database: &Database) -> Result<()> {
    let (mut client, mut other) = (database.connect()?, database.connect()?);
    client.batch_execute(
        "CREATE TABLE wide AS SELECT repeat('x', 300) || i AS id, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END AS action, i % 7 AS v
           FROM generate_series(1, 300000) AS i;
         SELECT decide.bucket('seed', 'value')",
    )?;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = pages
        .split(' ')
        .next()
        .context("no size")?
        .parse()
        .context("the size of a process")?;
    let most = pages * 4096 + MORE;
    let limited = user::command("prlimit")
        .args([format!("--pid={pid}"), format!("--as={most}")])
        .status()?;
    ensure!(limited.success(), "prlimit failed");
    let asked = client.query_one(
        "SELECT count(*) FROM decide.estimate_propensities('public.wide', '{v}')",
        &[],
    );
    let error = match asked {
        Ok(_) => anyhow::bail!("the session has got all that it has asked for"),
        Err(error) => error,
    };
    if let Some(error) = error.as_db_error() {
        ensure!(error.code().code() == "53200", "the error is {error}");
    }
    let answer: i32 = other
        .query_one("SELECT 1", &[])
        .context("the server has thrown out another session")?
        .get(0);
    ensure!(answer == 1, "it answers {answer}");
    Ok(())
}
