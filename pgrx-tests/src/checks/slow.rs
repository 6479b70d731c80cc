pub fn sleeps(database: &crate::temporary::Database) -> anyhow::Result<()> {
    database.connect()?.batch_execute("select pg_sleep(60)")?;
    Ok(())
}
