//! How fresh features are, and how often decisions miss them.

use super::job::{Run, Step};
use crate::error::Error;
use crate::pg::Statement;

thread_local! {
    static FORGET: Statement = const { Statement::new(
        "DELETE FROM decide.feature_statistic AS s WHERE s.feature NOT IN (SELECT f.feature FROM decide.feature_in_force AS f)", &[]) };
    static COUNT: Statement = const { Statement::new(include_str!("freshness.sql"), &[]) };
}

pub fn step() -> Result<Step, Error> {
    FORGET.with(|statement| statement.write(&[], |_| {}));
    let rows = COUNT.with(|statement| statement.write(&[], |_| {})) as i64;
    Ok(Step::last(rows))
}

pub fn report(run: &Run) -> String {
    format!("{} features looked at", run.rows)
}
