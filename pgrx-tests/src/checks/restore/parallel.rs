//! pg_restore with several jobs: tables are loaded at the same time, in any order.

use anyhow::{Context, Result, ensure};

use super::{comes_to_life, contents, has_all_of, live};
use crate::run;
use crate::temporary::Database;

/// Each has another order of tables.
const RESTORES: u32 = 3;

/// Whatever the order in which tables are loaded, every row comes back, and the copy decides.
pub fn in_parallel(database: &Database) -> Result<()> {
    let mut source = database.connect()?;
    live(&mut source)?;
    let before = contents(&mut source)?;
    let file = database.server.scratch("parallel")?.join("dump");
    let mut dump = database.client("pg_dump");
    run::output(dump.args(["-Fc", "--file"]).arg(&file)).context("pg_dump failed")?;
    for restore in 1..=RESTORES {
        let copy = database.server.create_database()?;
        copy.connect()?.batch_execute("DROP EXTENSION pg_decide")?;
        let mut program = copy.client("pg_restore");
        program.args(["--exit-on-error", "--jobs=8", "--dbname", &copy.name]);
        run::output(program.arg(&file)).with_context(|| format!("restore {restore} failed"))?;
        let mut target = copy.connect()?;
        has_all_of(&mut target, &before).with_context(|| format!("after restore {restore}"))?;
        if restore == RESTORES {
            comes_to_life(&mut target)?;
        }
    }
    ensure!(
        contents(&mut source)? == before,
        "the source has changed meanwhile"
    );
    Ok(())
}
